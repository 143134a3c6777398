// One unit in a sandbox: which index is on, what the indices used and left, and how the unit ended. Classifies; never touches a process.
#pragma once
#include <string>
#include <string_view>

#include "executor/cgroups.h"
#include "executor/output_writer.h"

struct init_end;

namespace tnode {

class UnitRun {
 public:
  explicit UnitRun(ExecutionRequest request);

  const ExecutionRequest& request() const { return request_; }
  /// The index that runs, or is about to.
  const Invocation& invocation() const { return request_.invocations[at_]; }
  /// The one after it; null when there is none.
  const Invocation* following() const { return at_ + 1 < request_.invocations.size() ? &request_.invocations[at_ + 1] : nullptr; }

  /// How the index ended, as init says. False when that makes no sense. A failure ends the unit.
  bool index_ended(const init_end& ended, std::string_view stdout_tail, std::string_view stderr_tail, Cgroup* cgroup);
  // Its outputs, in the order init sends them; false when they make no sense.
  bool file(std::string path, std::int64_t size, bool executable);
  bool data(std::string_view part);
  bool refused(std::string_view path, std::string_view why);
  /// All outputs of the index are in; the next one is on, or the unit has ended well.
  bool collected(const Cgroup* cgroup);
  /// The sandbox was killed for memory, by the limit of its control group or for others' need.
  void killed_for_memory(const Cgroup& cgroup);
  /// No outcome, but a problem of this machine.
  void problem(std::string what);

  /// The report stands.
  bool done() const { return done_; }
  bool good() const { return done_ && report_.ran && report_.outcome.good(); }
  ExecutionReport take_report() { return std::move(report_); }

 private:
  void end(OutcomeKind kind, int exit_code, std::string detail);
  void refuse(const Error& error);
  void note_peak(std::int64_t bytes);
  std::string memory_detail(bool files_count) const;

  ExecutionRequest request_;
  OutputWriter outputs_;
  std::size_t at_ = 0;
  bool done_ = false;
  // Many indices take less than a millisecond each: their sum is kept finer than the report's.
  std::int64_t wall_us_ = 0, cpu_us_ = 0;
  ExecutionReport report_;
};

inline constexpr std::uint64_t max_inodes = 200'000;  ///< an empty file costs the kernel about a KiB that no disk limit counts

}  // namespace tnode
