// Kills and full disks: a transaction is there as a whole, or not at all.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "tests/ledger/store_fixture.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2);

/// Runs `work` in a child process; its exit status, or minus the signal that ended it. No store is open when it starts.
template <class Work>
int in_child(Work work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Fills the store in transactions of one HOLD and one record until the disk refuses; 42 when it refused as it should.
int fill(const Store::Options& options) {
  auto store = Store::open(options, 1);
  if (!store) return 1;
  for (int i = 0; i < 10'000; ++i) {
    if (!(*store)->begin()) return 2;
    auto hold = (*store)->hold(bob.key(), hash_of(std::to_string(i)), {}, 1, 0, 1);
    auto put = (*store)->put("note", std::to_string(i), Bytes(1000, 'x'));
    auto done = (*store)->commit();
    if (done) continue;
    if (done.error().code != Code::io || (*store)->balance().blocks != static_cast<std::uint64_t>(i) + 1) return 3;
    return 42;
  }
  return 4;
}

/// Each HOLD has its record, and the chain adds up.
void check_whole(const StoreFixture& f) {
  auto store = f.open(alice);
  const auto holds = static_cast<std::int64_t>(store->balance().blocks) - 1;
  std::int64_t notes = 0;
  store->scan("note", [&](std::string_view, std::string_view) { ++notes; });
  CHECK(holds > 0);
  CHECK(notes == holds);
  CHECK(store->balance().held_micro == holds);
  committed(*store, [&] { good(store->hold(bob.key(), hash_of("one more"), {}, 1, 0, 1)); });
}

}  // namespace

TEST_CASE("what_was_not_committed_did_not_happen") {
  StoreFixture f;
  auto hold_and_die = [&](bool commit) {
    return in_child([&] {
      auto store = Store::open(f.options(alice), 1);
      if (!store || !(*store)->begin() || !(*store)->hold(bob.key(), hash_of(commit ? "kept" : "lost"), {}, 1, 0, 2) || !(*store)->put("note", "k", "v")) return 1;
      if (commit && !(*store)->commit()) return 2;
      kill(getpid(), SIGKILL);
      return 3;
    });
  };
  REQUIRE(hold_and_die(false) == -SIGKILL);
  CHECK(f.open(alice)->balance().blocks == 1);
  REQUIRE(hold_and_die(true) == -SIGKILL);
  check_whole(f);
}

TEST_CASE("a_kill_at_any_moment_leaves_whole_transactions") {
  StoreFixture f;
  for (int round = 0; round < 5; ++round) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = Store::open(f.options(alice), 1);
      if (!store) _exit(1);
      for (int i = 0;; ++i) {
        const std::string name = std::to_string(round) + "." + std::to_string(i);
        if (!(*store)->begin() || !(*store)->hold(bob.key(), hash_of(name), {}, 1, 0, 1) || !(*store)->put("note", name, Bytes(500, 'x')) || !(*store)->commit()) _exit(2);
        if (write(ready[1], "x", 1) != 1) _exit(3);
      }
    }
    close(ready[1]);
    char byte;
    for (int i = 0; i < 3 + round; ++i) REQUIRE(read(ready[0], &byte, 1) == 1);
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    close(ready[0]);
  }
  check_whole(f);
}

TEST_CASE("a_file_that_may_not_grow_loses_nothing_and_says_so") {
  StoreFixture f;
  REQUIRE(in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{400 << 10, 400 << 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    return fill(f.options(alice));
  }) == 42);
  check_whole(f);
}

TEST_CASE("a_full_disk_loses_nothing_and_says_so") {
  StoreFixture f;
  // A small disk of our own, seen by the child alone; a copy of what it holds in the end is looked at from here.
  const int ended = in_child([&] {
    const bool root = geteuid() == 0;
    if (unshare(root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    auto options = f.options(alice);
    const std::string small = f.dir.path + "/small";
    std::filesystem::create_directory(small);
    if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=600k") != 0) return 77;
    options.path = small + "/tnode.db";
    if (const int filled = fill(options); filled != 42) return filled;
    for (const char* part : {"", "-wal"}) {
      std::error_code ec;
      std::filesystem::copy_file(options.path + part, f.options(alice).path + part, ec);
    }
    return 42;
  });
  if (ended == 77) {
    WARN("this machine lets no test mount a small disk; skipped");
    return;
  }
  REQUIRE(ended == 42);
  check_whole(f);
}

TEST_CASE("a_transaction_that_failed_once_cannot_be_committed") {
  StoreFixture f;
  { auto a = f.open(alice); }
  REQUIRE(in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    auto store = Store::open(f.options(alice), 1);
    if (!store || !(*store)->begin() || !(*store)->hold(bob.key(), hash_of("a"), {}, 1, 0, 1)) return 1;
    rlimit limit{64 << 10, 64 << 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    // More than SQLite keeps in memory: it must write while the transaction is open.
    auto large = (*store)->put("note", "large", Bytes(32 << 20, 'x'));
    if (!large) {
      if ((*store)->put("note", "small", "x") || (*store)->hold(bob.key(), hash_of("b"), {}, 1, 0, 1)) return 2;
    }
    auto done = (*store)->commit();
    if (done || done.error().code != Code::io) return 3;
    if ((*store)->balance().blocks != 1 || (*store)->get("note", "small")) return 4;
    return 42;
  }) == 42);
  CHECK(f.open(alice)->balance().blocks == 1);
}

TEST_CASE("ten_thousand_blocks_are_a_matter_of_seconds", "[.bench]") {
  StoreFixture f;
  auto options = f.options(alice);
  auto store = good(Store::open(options, 1));
  auto started = std::chrono::steady_clock::now();
  auto took = [&] {
    auto now = std::chrono::steady_clock::now();
    auto seconds = std::chrono::duration<double>(now - started).count();
    started = now;
    return seconds;
  };
  for (int batch = 0; batch < 100; ++batch)
    committed(*store, [&] {
      for (int i = 0; i < 50; ++i) {
        const Hash ref = hash_of(std::to_string(batch * 1000 + i));
        good(store->hold(bob.key(), ref, {}, 1, 0, 1));
        good(store->release(ref, {}, 1));
      }
    });
  WARN("10,000 blocks in 100 transactions: " << took() << " s");
  store.reset();
  took();
  store = good(Store::open(options, 1));
  WARN("opened and replayed in " << took() << " s");
}
