// Whoever of the chain daemon, runner, bubblewrap is killed: nothing lives on, and the others know.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "tests/executor/sandbox_fixture.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

constexpr auto patience = std::chrono::seconds(20);

template <class Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool lives(pid_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

std::vector<pid_t> children(pid_t pid) {
  const std::string id = std::to_string(pid);
  std::istringstream text(content_of("/proc/" + id + "/task/" + id + "/children"));
  std::vector<pid_t> found;
  for (pid_t child; text >> child;) found.push_back(child);
  return found;
}

std::vector<pid_t> descendants(pid_t pid) {
  auto found = children(pid);
  for (std::size_t i = 0; i < found.size(); ++i)
    for (pid_t each : children(found[i])) found.push_back(each);
  return found;
}

pid_t runner_of(pid_t daemon) {
  for (pid_t child : children(daemon))
    if (content_of("/proc/" + std::to_string(child) + "/comm") == "tnode-runner\n") return child;
  return -1;
}

/// bubblewrap's two processes, the first process's children and theirs: a task of one `sleep` makes three below the runner.
bool sleeps_below(pid_t runner) { return descendants(runner).size() >= 3; }

std::vector<std::string> control_groups(pid_t runner) {
  const std::string name = "tnode-" + std::to_string(runner) + "-";
  std::vector<std::string> found;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, ec); it != fs::recursive_directory_iterator(); it.increment(ec)) {
    if (ec) break;
    if (it->path().filename().string().starts_with(name)) found.push_back(it->path().string());
  }
  return found;
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
  REQUIRE(kill(children(runner).front(), SIGKILL) == 0);
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

TEST_CASE("many_units_leave_no_process_descriptor_or_folder_behind") {
  SandboxFixture f;
  const pid_t runner = runner_of(getpid());
  auto descriptors = [&] { return std::distance(fs::directory_iterator("/proc/" + std::to_string(runner) + "/fd"), fs::directory_iterator()); };
  REQUIRE(f.shell("echo warm > out/x").outcome.good());
  REQUIRE(eventually([&] { return descendants(runner).empty(); }));
  const auto before = descriptors();
  for (int i = 0; i < 30; ++i) {
    auto r = f.request({"sh", "-c", i % 3 == 0 ? "echo x > out/x; exit 1" : "echo x > out/x"});
    const auto report = f.run(r);
    REQUIRE(report.ran);
    REQUIRE(fs::exists(r.result_dir) == report.outcome.good());
  }
  REQUIRE(eventually([&] { return descendants(runner).empty() && descriptors() == before; }));
}
