// Whoever of the chain daemon, runner, bubblewrap is killed: nothing lives on, and the others know.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <algorithm>

#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

/// Not by number: the sandbox that the executor tried itself with may still be going.
bool sleeps_below(pid_t process) {
  const auto all = descendants(process);
  return std::any_of(all.begin(), all.end(), [](pid_t each) { return proc_text(each, "comm") == "sleep\n"; });
}

pid_t bubblewrap_of_the_sleep(pid_t runner) {
  const auto all = children(runner);
  const auto found = std::find_if(all.begin(), all.end(), sleeps_below);
  REQUIRE(found != all.end());
  return *found;
}

ExecutionRequest long_sleep(SandboxFixture& f) {
  auto r = f.request({"sleep", "600"});
  r.limits.wall_ms = 600'000;
  return r;
}

void expect_nothing_left(pid_t runner, const std::vector<pid_t>& processes) {
  for (pid_t pid : processes) REQUIRE(eventually([&] { return !lives(pid); }));
  REQUIRE(eventually([&] { return !lives(runner); }));
}

}  // namespace

TEST_CASE("a_killed_daemon_leaves_no_process_and_no_control_group") {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  TempDir outer;
  const pid_t daemon = fork();
  if (daemon == 0) {
    setenv("TMPDIR", outer.path.c_str(), 1);
    SandboxFixture f;
    f.executor->run(long_sleep(f));
    f.executor->run(long_sleep(f));
    (void)!write(ready[1], "x", 1);
    for (;;) pause();
  }
  char word;
  REQUIRE(read(ready[0], &word, 1) == 1);
  const pid_t runner = runner_of(daemon);
  REQUIRE(runner > 0);
  REQUIRE(eventually([&] { return descendants(runner).size() >= 6; }));
  const auto processes = descendants(runner);
  REQUIRE(kill(daemon, SIGKILL) == 0);
  REQUIRE(waitpid(daemon, nullptr, 0) == daemon);
  expect_nothing_left(runner, processes);
  REQUIRE(eventually([&] { return control_groups(runner).empty(); }));
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("a_killed_runner_takes_its_sandboxes_along_and_its_jobs_did_not_run") {
  SandboxFixture f;
  const pid_t runner = runner_of(getpid());
  REQUIRE(runner > 0);
  auto r = long_sleep(f);
  f.executor->run(r);
  REQUIRE(eventually([&] { return sleeps_below(runner); }));
  const auto processes = descendants(runner);
  REQUIRE(kill(runner, SIGKILL) == 0);
  const auto report = f.wait(r.job);
  REQUIRE_FALSE(report.ran);
  REQUIRE(report.problem == "the runner process ended");
  for (pid_t pid : processes) REQUIRE(eventually([&] { return !lives(pid); }));
  // And what is asked later is answered too.
  const auto late = f.shell("true");
  REQUIRE_FALSE(late.ran);
}

TEST_CASE("a_killed_bubblewrap_is_a_problem_of_this_machine_and_not_an_answer") {
  SandboxFixture f;
  const pid_t runner = runner_of(getpid());
  auto r = long_sleep(f);
  f.executor->run(r);
  REQUIRE(eventually([&] { return sleeps_below(runner); }));
  const auto processes = descendants(runner);
  REQUIRE(kill(bubblewrap_of_the_sleep(runner), SIGKILL) == 0);
  const auto report = f.wait(r.job);
  REQUIRE_FALSE(report.ran);
  REQUIRE(report.problem == "the sandbox ended before the unit did");
  for (pid_t pid : processes) REQUIRE(eventually([&] { return !lives(pid); }));
  REQUIRE(f.shell("true").outcome.good());
}

TEST_CASE("a_runner_hears_no_signal_of_the_terminal_and_ends_with_its_executor") {
  pid_t runner;
  {
    SandboxFixture f;
    runner = runner_of(getpid());
    for (int number : {SIGINT, SIGTERM, SIGHUP}) REQUIRE(kill(runner, number) == 0);
    REQUIRE(f.shell("true").outcome.good());
  }
  REQUIRE_FALSE(lives(runner));
  REQUIRE(control_groups(runner).empty());
}

TEST_CASE("a_runner_ends_however_far_its_sandbox_has_come") {
  // A bubblewrap that is killed in the middle of its work leaves a child that waits for it for ever.
  for (std::size_t come = 0; come < 24; ++come) {
    pid_t runner;
    std::vector<pid_t> processes;
    {
      SandboxFixture f;
      runner = runner_of(getpid());
      REQUIRE(eventually([&] { return descendants(runner).empty(); }));
      f.executor->run(long_sleep(f));
      REQUIRE(eventually([&] { return descendants(runner).size() >= come % 4; }));
      processes = descendants(runner);
    }
    expect_nothing_left(runner, processes);
    REQUIRE(control_groups(runner).empty());
  }
}

TEST_CASE("a_second_runner_does_not_keep_the_first_ones_sandboxes_alive") {
  auto first = std::make_unique<SandboxFixture>();
  const pid_t runner = runner_of(getpid());
  SandboxFixture second;
  first->executor->run(long_sleep(*first));
  REQUIRE(eventually([&] { return sleeps_below(runner); }));
  const auto processes = descendants(runner);
  first.reset();
  expect_nothing_left(runner, processes);
  REQUIRE(second.shell("true").outcome.good());
}
