// Whoever of the chain daemon, runner, bubblewrap, first process, command is killed, on every kind of machine: nothing lives on, the unit has the end it must
// have, and the next one runs.
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"
#include "tests/hostile/machine.h"

using namespace tnode;

namespace {

struct Link { const char* name; const char* expected; };

const std::vector<Link> chain{
    {"runner", "problem: the runner process ended"},
    {"bubblewrap", "problem: the sandbox ended before the unit did"},
    {"first process", "problem: the sandbox ended before the unit did"},
    {"command", "exited 137"},
};

ExecutionRequest long_sleep(SandboxFixture& f) {
  auto r = f.request({"sleep", "600"});
  r.limits.wall_ms = 600'000;
  return r;
}

/// From the runner down to the command; empty until all of them are there.
std::vector<pid_t> links_below(pid_t daemon) {
  std::vector<pid_t> links{runner_of(daemon)};
  for (int deeper = 0; deeper < 3; ++deeper) {
    const auto below = children(links.back());
    if (below.size() != 1) return {};
    links.push_back(below.front());
  }
  return proc_text(links.back(), "comm") == "sleep\n" ? links : std::vector<pid_t>{};
}

bool all_gone(const std::vector<pid_t>& processes) {
  return eventually([&] { return std::none_of(processes.begin(), processes.end(), lives); });
}

std::string kill_link(std::size_t which) {
  SandboxFixture f;
  auto r = long_sleep(f);
  f.executor->run(r);
  std::vector<pid_t> links;
  if (!eventually([&] { return !(links = links_below(getpid())).empty(); })) return "the chain did not come to be";
  kill(links[which], SIGKILL);
  const auto report = f.wait(r.job);
  if (!all_gone({links.begin() + 1, links.end()})) return "something lives on";
  if (which != 0 && !f.shell("true").outcome.good()) return "the next unit does not run";
  if (std::filesystem::exists(r.result_dir)) return "it left a result";
  return report.ran ? std::string(outcome_word(report.outcome.kind)) + " " + std::to_string(report.outcome.exit_code) : "problem: " + report.problem;
}

/// The daemon is another process than the test; its orphans come to the test, so that none can hide.
std::string kill_daemon() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  TempDir outer;
  const pid_t daemon = fork();
  if (daemon == 0) {
    setenv("TMPDIR", outer.path.c_str(), 1);
    SandboxFixture f;
    f.executor->run(long_sleep(f));
    for (;;) pause();
  }
  std::vector<pid_t> links;
  if (!eventually([&] { return !(links = links_below(daemon)).empty(); })) return "the chain did not come to be";
  const auto beside = doormen(links[0]);
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  if (!all_gone(links) || !all_gone(beside)) return "something lives on";
  if (!eventually([&] { return control_groups(links[0]).empty(); })) return "control groups are left";
  while (waitpid(-1, nullptr, WNOHANG) > 0) {}
  return children(getpid()).empty() ? "nothing left" : "a process was left";
}

/// Whoever starts sandboxes in a control group is not part of the chain: nobody notices.
std::string kill_doormen() {
  SandboxFixture f;
  auto r = f.request({"sleep", "0.3"});
  f.executor->run(r);
  if (!eventually([&] { return !links_below(getpid()).empty(); })) return "the chain did not come to be";
  for (pid_t each : doormen(runner_of(getpid()))) kill(each, SIGKILL);
  const auto report = f.wait(r.job);
  if (!f.shell("exit 3").outcome.exit_code || !f.shell("true").outcome.good()) return "the next unit does not run";
  return report.ran ? std::string(outcome_word(report.outcome.kind)) + " " + std::to_string(report.outcome.exit_code) : "problem: " + report.problem;
}

std::string run_chain(const Machine& machine) {
  std::string complaints;
  auto row = [&](const std::string& name, const std::string& expected, const std::string& seen) {
    std::printf("%-64s %-30s %s: %s%s\n", ("killed: " + name).c_str(), machine.name().c_str(), expected.c_str(), seen.c_str(), seen == expected ? "" : "   <-- WRONG");
    if (seen != expected) complaints += machine.name() + " killed " + name + ": expected " + expected + ", seen " + seen + "\n";
  };
  row("daemon", "nothing left", kill_daemon());
  row("doormen", "exited 0", kill_doormen());
  for (std::size_t i = 0; i < chain.size(); ++i) row(chain[i].name, chain[i].expected, kill_link(i));
  std::fflush(stdout);
  return complaints;
}

}  // namespace

TEST_CASE("whoever_is_killed_nothing_lives_on_and_the_unit_has_its_proper_end") {
  std::string complaints;
  for (const auto& machine : machines()) {
    const auto run = run_on(machine, [&] { return run_chain(machine); });
    if (!run.skipped.empty()) std::printf("%-64s %-30s skipped: %s\n", "killed: each", machine.name().c_str(), run.skipped.c_str());
    complaints += run.complaint;
  }
  INFO(complaints);
  REQUIRE(complaints.empty());
}
