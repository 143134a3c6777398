// Pausing: everything in a sandbox stands still, its limits of time too, and goes on as if nothing had been. By freezer where there is one,
// by signals for an ordinary user without control groups.
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "executor/kernel_files.h"
#include "executor/cgroup_place.h"
#include "executor/process_tree.h"
#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

constexpr auto patience = std::chrono::seconds(30);
constexpr TimeMs short_wall_ms = 2'000;
constexpr uid_t ordinary_user = 65534;
constexpr int held = 7;

template <class Condition>
void wait_for(const char* what, Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) throw std::runtime_error(std::string("never happened: ") + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Time is what is tried here: whether it passes for a unit, too.
void pass(TimeMs ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  wait_for("time passes", [&] { return std::chrono::steady_clock::now() >= until; });
}

void demand(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

/// Counts with a child of its own, so that more than one process has to stand still.
ExecutionRequest spinner(SandboxFixture& f) {
  auto r = f.request({"sh", "-c", "sh -c 'while :; do :; done' & while :; do :; done"});
  r.limits.wall_ms = 60'000;
  r.limits.cpus = 4;
  return r;
}

void stands_still_while_paused() {
  SandboxFixture f;
  f.executor->run(spinner(f));
  std::int64_t before = f.executor->cpu_ms();
  wait_for("it uses the CPU", [&] { return f.executor->cpu_ms() > before + 100; });
  f.executor->pause();
  wait_for("it stands still", [&] {
    const std::int64_t last = f.executor->cpu_ms();
    pass(300);
    return f.executor->cpu_ms() == last;
  });
  before = f.executor->cpu_ms();
  f.executor->resume();
  wait_for("it goes on", [&] { return f.executor->cpu_ms() > before + 100; });
}

void time_stands_still_too() {
  SandboxFixture f;
  // Two halves of its work with a pause between that is longer than all it may take.
  auto r = f.request({"sh", "-c", "sleep 0.4; echo done > out/x"});
  r.limits.wall_ms = short_wall_ms;
  f.executor->run(r);
  const pid_t runner = runner_of(getpid());
  wait_for("it sleeps", [&] { return !children(runner).empty(); });
  f.executor->pause();
  pass(short_wall_ms + 500);
  f.executor->resume();
  const auto report = f.wait(r.job);
  demand(report.ran && report.outcome.good(), "a pause counted: " + report.failure_detail + report.problem);
  demand(f.result(report, "out/x") == "done\n", "it wrote what it writes");
  demand(report.usage.wall_ms < short_wall_ms, "the pause is no time that it ran: " + std::to_string(report.usage.wall_ms));
}

void limit_counts_what_it_ran() {
  SandboxFixture f;
  auto r = f.request({"sleep", "600"});
  r.limits.wall_ms = short_wall_ms;
  const auto started = std::chrono::steady_clock::now();
  f.executor->run(r);
  for (int i = 0; i < 4; ++i) {
    f.executor->pause();
    pass(300);
    f.executor->resume();
    pass(100);
  }
  const auto report = f.wait(r.job);
  demand(report.ran && report.outcome.kind == OutcomeKind::timeout, "a unit that was paused still ends at its limit: " + report.problem);
  // Init counts in whole milliseconds: its limit may come one early.
  demand(report.usage.wall_ms >= short_wall_ms - 1, "what it ran: " + std::to_string(report.usage.wall_ms));
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started).count();
  demand(report.usage.wall_ms <= elapsed - 4 * 300, "what it ran: " + std::to_string(report.usage.wall_ms) + " of " + std::to_string(elapsed));
}

void paused_unit_can_be_cancelled() {
  SandboxFixture f;
  auto r = spinner(f);
  f.executor->run(r);
  const pid_t runner = runner_of(getpid());
  const std::int64_t before = f.executor->cpu_ms();
  wait_for("it uses the CPU", [&] { return f.executor->cpu_ms() > before + 100; });
  f.executor->pause();
  auto later = f.request({"true"});
  f.executor->run(later);
  f.executor->cancel(r.job);
  demand(f.wait(r.job).problem == "cancelled", "it is cancelled while it stands still");
  wait_for("no process of it is left", [&] { return children(runner).empty(); });
  auto never = f.request({"true"});
  f.executor->run(never);
  f.executor->cancel(never.job);
  demand(f.wait(never.job).problem == "cancelled", "so is one that never started");
  f.executor->resume();
  demand(f.wait(later.job).outcome.good(), "what was asked for meanwhile starts afterwards");
}

void all_of_it(const std::string& pause_mode) {
  {
    SandboxFixture f;
    demand(f.executor->state().pause_mode == pause_mode, "paused by " + f.executor->state().pause_mode);
  }
  stands_still_while_paused();
  time_stands_still_too();
  limit_counts_what_it_ran();
  paused_unit_can_be_cancelled();
}

/// All of it in a child that became somebody else, or whose machine lacks something. What was wrong; nothing when it could not become so.
std::optional<std::string> all_of_it_as(const std::function<bool()>& become, const std::string& pause_mode) {
  constexpr int cannot = 8;
  int out[2];
  REQUIRE(pipe(out) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(out[0]);
    std::string wrong;
    if (!become()) _exit(cannot);
    try {
      all_of_it(pause_mode);
    } catch (const std::exception& error) {
      wrong = error.what();
    } catch (...) {
      wrong = "no sandbox there";
    }
    _exit(write(out[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size()) ? held : 1);
  }
  close(out[1]);
  std::string wrong;
  char buffer[4096];
  for (ssize_t got; (got = read(out[0], buffer, sizeof buffer)) > 0;) wrong.append(buffer, static_cast<std::size_t>(got));
  close(out[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == cannot) return std::nullopt;
  INFO(wrong);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == held);
  return wrong;
}

bool become_ordinary() { return geteuid() == 0 && setgroups(0, nullptr) == 0 && setresgid(ordinary_user, ordinary_user, ordinary_user) == 0 && setresuid(ordinary_user, ordinary_user, ordinary_user) == 0; }

/// Leaves version 1 alone, as on machines that have no other.
bool hide_version_2() {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string place = own_cgroup_folder("");
  return !own_cgroup_folder("freezer").empty() && !own_cgroup_folder("memory").empty() && (place.empty() || umount2(place.c_str(), MNT_DETACH) == 0);
}

}  // namespace

TEST_CASE("paused_units_stand_still_and_so_do_their_limits") {
  SandboxFixture f;
  const std::string mode = f.executor->state().pause_mode;
  REQUIRE(mode == (f.executor->state().limit_mode == "watchdog" ? "signals" : "freezer"));
  f.executor.reset();
  REQUIRE_NOTHROW(all_of_it(mode));
}

TEST_CASE("paused_units_of_an_ordinary_user_stand_still_by_signals") {
  const auto wrong = all_of_it_as(become_ordinary, "signals");
  if (!wrong) WARN("skipped: only root can become somebody without control groups; the test above ran as we are");
  REQUIRE(wrong.value_or("") == "");
}

TEST_CASE("paused_units_stand_still_by_the_freezer_of_version_1") {
  const auto wrong = all_of_it_as(hide_version_2, "freezer");
  if (!wrong) WARN("skipped: this machine has no freezer of version 1, or we are not root");
  REQUIRE(wrong.value_or("") == "");
}
