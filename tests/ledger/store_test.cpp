#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "ledger/store.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

KeyPair key_of(std::uint8_t number) {
  Seed seed;
  seed.fill(number);
  return KeyPair::from_seed(seed);
}
Hash hash_of(const std::string& text) { return sha256(text); }

/// A store in a folder of its own, which is gone afterwards.
struct Fixture {
  Fixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tnode-store-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
  }
  ~Fixture() { std::filesystem::remove_all(dir); }
  Store::Options options(const KeyPair& key, bool read_only = false) const {
    Store::Options o;
    o.path = dir + "/" + short_hex(key.key()) + ".db";
    o.key = key.key();
    o.signer = &key;
    o.read_only = read_only;
    o.line_micro = 10 * credit_micro;
    return o;
  }
  std::unique_ptr<Store> open(const KeyPair& key) const {
    auto store = Store::open(options(key), 1000);
    if (!store) FAIL(store.error().message);
    return std::move(*store);
  }
  void sql(const KeyPair& key, const char* text) const {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(options(key).path.c_str(), &handle) == SQLITE_OK);
    REQUIRE(sqlite3_exec(handle, text, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(handle);
  }
  std::string dir;
};

}  // namespace

TEST_CASE("paying_moves_credits_and_the_sum_stays_zero") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto a = f.open(alice), b = f.open(bob);
  REQUIRE(a->begin().ok());
  auto hold = a->hold(bob.key(), hash_of("award"), hash_of("offer"), 3 * credit_micro, 9000, 2000);
  REQUIRE(hold.ok());
  REQUIRE(a->commit().ok());
  REQUIRE(a->balance().held_micro == 3 * credit_micro);
  REQUIRE(a->begin().ok());
  auto debit = a->debit(hash_of("award"), hash_of("verdict"), 2 * credit_micro, 3000);
  REQUIRE(debit.ok());
  REQUIRE(a->commit().ok());
  REQUIRE(a->balance().balance_micro == -2 * credit_micro);
  REQUIRE(a->balance().held_micro == 0);
  REQUIRE(a->balance().unclaimed_out_micro == 2 * credit_micro);

  REQUIRE(b->begin().ok());
  auto credit = b->credit(*debit, 4000);
  REQUIRE(credit.ok());
  REQUIRE(b->commit().ok());
  REQUIRE(b->balance().balance_micro == 2 * credit_micro);
  REQUIRE(b->credited_from(alice.key()) == 2 * credit_micro);

  REQUIRE(a->begin().ok());
  REQUIRE(a->keep_foreign(*credit).ok());
  REQUIRE(a->commit().ok());
  REQUIRE(a->balance().unclaimed_out_micro == 0);
}

TEST_CASE("every_step_done_twice_counts_once") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto a = f.open(alice), b = f.open(bob);
  REQUIRE(a->begin().ok());
  auto hold = a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1);
  REQUIRE(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 2).value() == hold.value());
  auto debit = a->debit(hash_of("award"), {}, credit_micro, 3);
  REQUIRE(a->debit(hash_of("award"), {}, credit_micro, 4).value() == debit.value());
  REQUIRE(a->release(hash_of("award"), {}, 5).error().code == Code::exists);
  REQUIRE(a->commit().ok());
  REQUIRE(b->begin().ok());
  auto credit = b->credit(*debit, 6);
  REQUIRE(b->credit(*debit, 7).value() == credit.value());
  REQUIRE(b->commit().ok());
  REQUIRE(a->balance().blocks == 3);
  REQUIRE(b->balance().blocks == 2);
}

TEST_CASE("a_released_hold_is_free_again_and_cannot_be_paid") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto a = f.open(alice);
  REQUIRE(a->begin().ok());
  REQUIRE(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1).ok());
  REQUIRE(a->release(hash_of("award"), {}, 2).ok());
  REQUIRE(a->debit(hash_of("award"), {}, credit_micro, 3).error().code == Code::exists);
  REQUIRE(a->commit().ok());
  REQUIRE(a->balance().held_micro == 0);
  REQUIRE(a->balance().balance_micro == 0);
}

TEST_CASE("nobody_goes_below_the_line_nor_pays_more_than_was_held") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto a = f.open(alice);
  REQUIRE(a->begin().ok());
  REQUIRE(a->hold(bob.key(), hash_of("all"), {}, 10 * credit_micro, 0, 1).ok());
  auto more = a->hold(bob.key(), hash_of("more"), {}, 1, 0, 1);
  REQUIRE(more.error().code == Code::credit);
  REQUIRE_THAT(more.error().message, has_text("not enough credit"));
  REQUIRE_FALSE(a->debit(hash_of("all"), {}, 10 * credit_micro + 1, 2).ok());
  REQUIRE(a->hold(bob.key(), hash_of("less"), {}, -5, 0, 1).error().code == Code::credit);
  REQUIRE(a->debit(hash_of("none"), {}, 0, 2).error().code == Code::not_found);
  a->rollback();
  REQUIRE(a->balance().held_micro == 0);
}

TEST_CASE("what_was_not_committed_did_not_happen") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto hold_in_child = [&](bool commit) {
    pid_t child = fork();
    if (child == 0) {
      auto store = Store::open(f.options(alice), 1);
      if (!store || !(*store)->begin() || !(*store)->hold(bob.key(), hash_of(commit ? "kept" : "lost"), {}, credit_micro, 0, 2) || !(*store)->put("note", "k", commit ? "kept" : "lost")) _exit(1);
      if (commit && !(*store)->commit()) _exit(1);
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
  };
  hold_in_child(false);
  REQUIRE(f.open(alice)->balance().held_micro == 0);
  hold_in_child(true);
  auto store = f.open(alice);
  REQUIRE(store->balance().held_micro == credit_micro);
  REQUIRE(store->get("note", "k").value() == "kept");
}

TEST_CASE("a_second_writer_is_refused_and_a_reader_is_not") {
  Fixture f;
  auto alice = key_of(1);
  auto first = f.open(alice);
  auto second = Store::open(f.options(alice), 1);
  REQUIRE(second.error().code == Code::unavailable);
  REQUIRE_THAT(second.error().message, has_text("process " + std::to_string(getpid())));
  REQUIRE(first->begin().ok());
  REQUIRE(first->put("b", "k", "v").ok());
  REQUIRE(first->commit().ok());
  auto reader = Store::open(f.options(alice, true), 1);
  REQUIRE(reader.ok());
  REQUIRE((*reader)->get("b", "k").value() == "v");
}

TEST_CASE("a_store_that_does_not_add_up_is_refused") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  {
    auto a = f.open(alice);
    REQUIRE(a->begin().ok());
    REQUIRE(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1).ok());
    REQUIRE(a->commit().ok());
  }
  SECTION("an amount was changed") { f.sql(alice, "UPDATE own SET amount = 5 WHERE seq = 1"); }
  SECTION("a block's bytes were changed") { f.sql(alice, "UPDATE own SET bytes = substr(bytes, 1, 230) || x'01' || substr(bytes, 232) WHERE seq = 1"); }
  SECTION("the head's signature was changed") { f.sql(alice, "UPDATE own SET bytes = substr(bytes, 1, 311) || x'00' WHERE seq = 1"); }
  SECTION("the first block is gone") { f.sql(alice, "DELETE FROM own WHERE seq = 0"); }
  auto opened = Store::open(f.options(alice), 1);
  REQUIRE_FALSE(opened.ok());
  REQUIRE(opened.error().code == Code::invalid);
  REQUIRE_THAT(opened.error().message, has_text("damaged"));
}

TEST_CASE("a_store_of_a_newer_version_is_left_alone") {
  Fixture f;
  auto alice = key_of(1);
  f.open(alice);
  f.sql(alice, "PRAGMA user_version = 99");
  auto opened = Store::open(f.options(alice), 1);
  REQUIRE(opened.error().code == Code::newer);
  REQUIRE_THAT(opened.error().message, has_text("update tnode"));
}

TEST_CASE("a_full_disk_loses_nothing_and_says_so") {
  Fixture f;
  auto alice = key_of(1);
  auto store = f.open(alice);
  REQUIRE(store->begin().ok());
  REQUIRE(store->put("small", "k", "v").ok());
  REQUIRE(store->commit().ok());
  // The file-size limit of the process stands for a disk that is full: SQLite sees a failing write either way.
  pid_t child = fork();
  if (child == 0) {
    store.reset();
    auto own = Store::open(f.options(alice), 1);
    if (!own) _exit(1);
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{64 << 10, 64 << 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!(*own)->begin()) _exit(2);
    auto put = (*own)->put("large", "k", Bytes(1 << 20, 'x'));
    auto committed = put ? (*own)->commit() : put;
    _exit(!committed && committed.error().code == Code::io ? 42 : 3);
  }
  store.reset();
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 42);
  store = f.open(alice);
  REQUIRE(store->get("small", "k").value() == "v");
  REQUIRE_FALSE(store->get("large", "k").has_value());
}

TEST_CASE("a_forked_chain_of_another_key_is_noticed_and_both_halves_kept") {
  Fixture f;
  auto alice = key_of(1), bob = key_of(2);
  auto a = f.open(alice);
  Block one;
  one.type = BlockType::hold;
  one.seq = 7;
  one.key = bob.key();
  one.counterparty = alice.key();
  one.amount = 1;
  Block other = one;
  other.amount = 2;
  sign_block(one, bob);
  sign_block(other, bob);
  REQUIRE(a->begin().ok());
  REQUIRE(a->keep_foreign(one).ok());
  REQUIRE(a->keep_foreign(one).ok());
  auto forked = a->keep_foreign(other);
  REQUIRE_THAT(forked.error().message, has_text("forked"));
  other.amount = 3;
  REQUIRE_THAT(a->keep_foreign(other).error().message, has_text("signature"));
  REQUIRE(a->commit().ok());
  REQUIRE(a->find_block(block_id(one)).has_value());
}
