// Programs written to get out or to use more than they were given, each on every kind of machine, as a unit of its own (cold) and as the middle index of
// one, with another after it that must find nothing (warm). Prints a table: probe, mode, expected, seen.
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "tests/hostile/machine.h"
#include "tests/hostile/probe_ground.h"

using namespace tnode;

namespace {

constexpr std::size_t fewest_probes = 70;
constexpr std::size_t side_by_side = 2;

/// CPU time runs out before the clock only where several processors are free: what was used says which it had to be, but for what is used
/// between two looks at it.
std::string expected_of(const Probe& probe, const ExecutionReport& report, const RunLimits& limits, bool watched) {
  constexpr std::int64_t between_looks_ms = 300;
  if (probe.expected != "cpu_limit") return watched ? probe.watched : probe.expected;
  const std::int64_t over_ms = report.usage.cpu_ms - limits.wall_ms * limits.cpus;
  if (over_ms >= 0 && over_ms < between_looks_ms && report.outcome.kind == OutcomeKind::timeout) return "timeout";
  return over_ms < 0 ? "timeout" : "cpu_limit";
}

class Matrix {
 public:
  Matrix(const Machine& machine, const Probes& probes) : machine_(machine), probes_(probes), ground_(probes) {}

  /// One line of complaint for each probe that came to another end.
  std::string run() {
    if (geteuid() == 0 && ground_.watched() == machine_.control_groups) return "limits are by " + ground_.limit_mode() + "\n";
    for (bool warm : {false, true}) {
      for (const auto& probe : probes_.list) {
        if (waiting_.size() == side_by_side) take_one();
        waiting_.push_back({&probe, warm, ground_.request(probe, warm)});
        ground_.begin(waiting_.back().request);
      }
    }
    while (!waiting_.empty()) take_one();
    units_one_after_the_other();
    return complaints_ + ground_.complaint();
  }

 private:
  struct Waiting { const Probe* probe; bool warm; ExecutionRequest request; };

  void take_one() {
    const Waiting one = std::move(waiting_.front());
    waiting_.pop_front();
    const auto report = ground_.wait(one.request.job);
    row(one.probe->name, one.warm ? "warm" : "cold", expected_of(*one.probe, report, one.request.limits, ground_.watched()), words_of(report, one.warm), report);
    if (!report.outcome.good() && std::filesystem::exists(one.request.result_dir)) complaints_ += one.probe->name + " left results of a failure\n";
  }
  /// What one unit leaves is not there for the next one of the same task.
  void units_one_after_the_other() {
    for (const auto& probe : probes_.list) {
      if (!probe.name.starts_with("leftovers.")) continue;
      const auto before = ground_.request(probe);
      ground_.run(before);
      const auto report = ground_.run(ground_.look_after(before));
      row(probe.name, "next unit", "exited 0", words_of(report), report);
    }
  }
  void row(const std::string& name, const std::string& place, const std::string& expected, const std::string& seen, const ExecutionReport& report) {
    const std::string mode = machine_.name() + " " + ground_.limit_mode() + " " + place;
    std::printf("%-64s %-32s %-14s %s%s\n", name.c_str(), mode.c_str(), expected.c_str(), seen.c_str(), seen == expected ? "" : "   <-- WRONG");
    if (seen != expected) complaints_ += mode + " " + name + ": expected " + expected + ", seen " + seen + "; " + story_of(report) + "\n";
  }

  const Machine machine_;
  const Probes& probes_;
  ProbeGround ground_;
  std::deque<Waiting> waiting_;
  std::string complaints_;
};

}  // namespace

TEST_CASE("hostile_programs_come_to_the_end_they_must_on_every_kind_of_machine") {
  Probes probes;
  REQUIRE(probes.list.size() >= fewest_probes);
  if (const char* wanted = std::getenv("TNODE_PROBES")) std::erase_if(probes.list, [&](const Probe& each) { return !each.name.starts_with(wanted); });
  std::printf("%-64s %-32s %-14s %s\n", "probe", "mode", "expected", "seen");
  std::string complaints;
  for (const auto& machine : machines()) {
    const auto run = run_on(machine, [&] {
      const auto complaint = Matrix(machine, probes).run();
      std::fflush(stdout);
      return complaint;
    });
    if (!run.skipped.empty()) std::printf("%-64s %-32s skipped: %s\n", "all probes", machine.name().c_str(), run.skipped.c_str());
    complaints += run.complaint;
  }
  INFO(complaints);
  REQUIRE(complaints.empty());
}
