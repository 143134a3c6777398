// Control groups as files: what is written where, and files that tell nothing.
#include <algorithm>

#include "executor/cgroups.h"
#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

/// A version 1 group's files in a folder of the test's own. Each holds one character, which a writer replaces.
struct Files {
  TempDir dir;
  explicit Files(std::initializer_list<const char*> names) {
    for (const char* name : names) write_file(dir.path + "/" + name, "x");
  }
  Cgroup group() const { return Cgroup({dir.path, dir.path, ""}, false, Cgroup::Freezer::none); }
  std::string content(const std::string& name) const { return content_of(dir.path + "/" + name); }
};

}  // namespace

TEST_CASE("where_swap_is_not_counted_nothing_is_swapped_out") {
  const Files with({"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness", "pids.max"});
  REQUIRE(with.group().prepare(7, 8));
  CHECK(with.content("memory.limit_in_bytes") == "7");
  CHECK(with.content("memory.memsw.limit_in_bytes").starts_with("7"));  // after the "-1" that came first
  CHECK(with.content("memory.swappiness") == "x");
  CHECK(with.content("pids.max") == "8");
  const Files without({"memory.limit_in_bytes", "memory.swappiness", "pids.max"});
  REQUIRE(without.group().prepare(7, 8));
  CHECK(without.content("memory.limit_in_bytes") == "7");
  CHECK(without.content("memory.swappiness") == "0");
  const Files neither({"memory.swappiness", "pids.max"});
  CHECK_FALSE(neither.group().prepare(7, 8));
}

TEST_CASE("limits_that_a_group_has_are_not_written_again") {
  const Files files({"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max"});
  Cgroup group = files.group();
  REQUIRE(group.prepare(7, 8));
  write_file(files.dir.path + "/pids.max", "y");
  REQUIRE(group.prepare(7, 8));
  CHECK(files.content("pids.max") == "y");
  REQUIRE(group.prepare(7, 9));
  CHECK(files.content("pids.max") == "9");
}

TEST_CASE("a_file_that_cannot_be_read_to_its_end_tells_what_it_told") {
  CHECK(read_kernel_file("/proc/self/mem").empty());  // can be opened, and reading it fails, as with a process that has ended
  CHECK(read_kernel_file("/proc").empty());
  CHECK(read_kernel_file("/proc/no such file").empty());
  CHECK(read_kernel_file("/proc/self/comm") == "test_executor\n");
}

TEST_CASE_METHOD(SandboxFixture, "a_doorman_that_is_killed_is_replaced") {
  const pid_t runner = runner_of(getpid());
  if (executor->state().limit_mode == "watchdog") {
    CHECK(doormen(runner).empty());
    return;
  }
  REQUIRE(shell("true").outcome.good());
  const auto before = doormen(runner);
  REQUIRE_FALSE(before.empty());
  for (pid_t each : before) REQUIRE(kill(each, SIGKILL) == 0);
  for (pid_t each : before) REQUIRE(eventually([&] { return !lives(each); }));
  REQUIRE(shell("true").outcome.good());  // in the sandbox that idles
  REQUIRE(shell("exit 3").outcome.exit_code == 3);
  REQUIRE(shell("true").outcome.good());  // in a new one
  REQUIRE_FALSE(doormen(runner).empty());
}

TEST_CASE_METHOD(SandboxFixture, "what_a_doorman_starts_lives_in_its_group") {
  const pid_t runner = runner_of(getpid());
  if (executor->state().limit_mode == "watchdog") return;
  auto r = request({"sleep", "600"});
  executor->run(r);
  pid_t sleeps = -1;
  REQUIRE(eventually([&] {
    for (pid_t each : descendants(runner))
      if (proc_text(each, "comm") == "sleep\n") sleeps = each;
    return sleeps > 0;
  }));
  const std::string group = proc_text(sleeps, "cgroup");
  CHECK(group != proc_text(runner, "cgroup"));
  const auto all = doormen(runner);
  CHECK(std::count_if(all.begin(), all.end(), [&](pid_t doorman) { return proc_text(doorman, "cgroup") == group; }) == 1);
  executor->cancel(r.job);
  wait(r.job);
}
