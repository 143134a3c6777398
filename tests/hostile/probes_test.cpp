// Programs written to get out or to use more than they were given, on every kind of machine and in every place where a task's program runs. Prints a
// table: probe, mode, expected, seen.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/hostile/machine.h"
#include "tests/hostile/probe_ground.h"

using namespace tnode;

namespace {

constexpr std::size_t fewest_probes = 70;
constexpr std::size_t side_by_side = 4;

/// CPU time runs out before the clock only where several processors are free: what was used says which it had to be, but for what is used
/// between two looks at it.
std::string expected_of(const Probe& probe, Place place, const ExecutionReport& report, const RunLimits& limits, bool watched) {
  constexpr std::int64_t between_looks_ms = 300;
  const auto& [limited_end, watched_end] = probe.ends.at(place);
  if (limited_end != "cpu_limit") return watched ? watched_end : limited_end;
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
    for (const auto& [place, name] : places)
      for (auto from = probes_.list.begin(); from != probes_.list.end();) {
        const auto to = from + std::min<std::ptrdiff_t>(side_by_side, probes_.list.end() - from);
        run_side_by_side(place, {from, to});
        from = to;
      }
    return complaints_ + ground_.complaint();
  }

 private:
  struct Course { const Probe* probe; ExecutionRequest unit, other; };

  /// Together from one unit to the next: a sandbox that starts for one probe would end that of another, which idles.
  void run_side_by_side(Place place, const std::vector<Probe>& probes) {
    std::vector<Course> courses;
    for (const auto& probe : probes) courses.push_back({&probe, ground_.request(probe, place), {}});
    if (place == Place::warm || place == Place::forked) {
      for (auto& each : courses) ground_.begin(each.other = ground_.unit_before(each.unit));
      for (auto& each : courses) ground_.same_sandbox(ground_.wait(each.other.job), each.unit);
    }
    for (auto& each : courses) ground_.begin(each.unit);
    for (auto& each : courses) {
      const auto report = ground_.wait(each.unit.job);
      row(each.probe->name, name_of(place), expected_of(*each.probe, place, report, each.unit.limits, ground_.watched()), words_of(report), report);
      if (!report.outcome.good() && std::filesystem::exists(each.unit.result_dir)) complaints_ += each.probe->name + " left results of a failure\n";
    }
    if (place == Place::served) return;
    // What one unit leaves is not there for the next one of the same task either.
    std::erase_if(courses, [](const Course& each) { return !each.probe->name.starts_with("leftovers."); });
    for (auto& each : courses) ground_.begin(each.other = ground_.look_after(each.unit));
    for (auto& each : courses) {
      const auto report = ground_.wait(each.other.job);
      row(each.probe->name, name_of(place) + ", next unit", "exited 0", words_of(report), report);
    }
  }
  void row(const std::string& name, const std::string& place, const std::string& expected, const std::string& seen, const ExecutionReport& report) {
    const std::string mode = machine_.name() + " " + ground_.limit_mode() + " " + place;
    std::printf("%-64s %-42s %-14s %s%s\n", name.c_str(), mode.c_str(), expected.c_str(), seen.c_str(), seen == expected ? "" : "   <-- WRONG");
    if (seen != expected) complaints_ += mode + " " + name + ": expected " + expected + ", seen " + seen + "; " + story_of(report) + "\n";
  }

  const Machine machine_;
  const Probes& probes_;
  ProbeGround ground_;
  std::string complaints_;
};

}  // namespace

TEST_CASE("hostile_programs_come_to_the_end_they_must_on_every_kind_of_machine") {
  Probes probes;
  REQUIRE(probes.list.size() >= fewest_probes);
  if (const char* wanted = std::getenv("TNODE_PROBES")) std::erase_if(probes.list, [&](const Probe& each) { return !each.name.starts_with(wanted); });
  std::printf("%-64s %-42s %-14s %s\n", "probe", "mode", "expected", "seen");
  std::string complaints;
  for (const auto& machine : machines()) {
    const auto run = run_on(machine, [&] {
      const auto complaint = Matrix(machine, probes).run();
      std::fflush(stdout);
      return complaint;
    });
    if (!run.skipped.empty()) std::printf("%-64s %-42s skipped: %s\n", "all probes", machine.name().c_str(), run.skipped.c_str());
    complaints += run.complaint;
  }
  INFO(complaints);
  REQUIRE(complaints.empty());
}
