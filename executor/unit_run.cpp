#include "executor/unit_run.h"

#include <algorithm>

#include "core/bundle_paths.h"
#include "executor/init/protocol.h"

namespace tnode {
namespace {

constexpr const char* memory_of_others = "this machine, or what its sandboxes may have together, ran out of memory, and the kernel ended a process of the unit";

std::string mebibytes(std::int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }
std::string mebibytes(std::uint64_t bytes) { return mebibytes(static_cast<std::int64_t>(bytes)); }

/// 2,000 → "2 s", 1,500 → "1.5 s".
std::string seconds(TimeMs ms) {
  std::string decimals = ms % 1000 == 0 ? "" : "." + std::to_string(1000 + ms % 1000).substr(1);
  while (decimals.ends_with('0')) decimals.pop_back();
  return std::to_string(ms / 1000) + decimals + " s";
}

}  // namespace

UnitRun::UnitRun(ExecutionRequest request) : request_(std::move(request)), outputs_(request_.result_dir, request_.outputs, request_.limits) { report_.job = request_.job; }

bool UnitRun::index_ended(const init_end& ended, std::string_view stdout_tail, std::string_view stderr_tail, Cgroup* cgroup) {
  wall_us_ += static_cast<std::int64_t>(ended.wall_us);
  cpu_us_ += static_cast<std::int64_t>(ended.cpu_us);
  report_.usage.wall_ms = wall_us_ / 1000;
  report_.usage.cpu_ms = cpu_us_ / 1000;
  report_.stdout_tail = Bytes(stdout_tail);
  report_.stderr_tail = Bytes(stderr_tail);
  const RunLimits& limits = request_.limits;
  const bool failed = ended.ending != INIT_EXITED || ended.exit_code != 0;
  const bool out_of_memory = ended.ending == INIT_MEMORY || (cgroup && cgroup->out_of_memory());
  if (!cgroup) note_peak(static_cast<std::int64_t>(ended.peak_bytes));
  else if (failed || out_of_memory) note_peak(cgroup->peak_bytes());
  auto end_as = [&](OutcomeKind kind, std::string detail) {
    end(kind, 0, std::move(detail));
    return true;
  };
  // Not its own limit but the machine's: nothing that anybody should vote on.
  if (cgroup && cgroup->killed_for_others()) {
    problem(memory_of_others);
    return true;
  }
  // A limit that was met explains the end better than the exit status that came of it.
  if (out_of_memory) return end_as(OutcomeKind::out_of_memory, memory_detail(cgroup != nullptr));
  if (ended.ending == INIT_OUTPUT) {
    const bool more_out = ended.stdout_bytes > ended.stderr_bytes;
    return end_as(OutcomeKind::output_limit, "it wrote " + std::to_string(more_out ? ended.stdout_bytes : ended.stderr_bytes) + " bytes to " + (more_out ? "stdout" : "stderr") +
                                                 "; the limit is " + std::to_string(limits.stdio_bytes));
  }
  if (ended.ending == INIT_PROCESSES || (failed && cgroup && cgroup->out_of_processes()))
    return end_as(OutcomeKind::process_limit, "it wanted more than " + std::to_string(limits.processes) + " processes and threads (peak " + std::to_string(cgroup ? limits.processes : ended.threads) + ")");
  if (ended.ending == INIT_INODES)
    return end_as(OutcomeKind::inode_limit, "it made " + std::to_string(ended.files) + " files in /tmp, out/ and /dev/shm; the limit is " + std::to_string(max_inodes));
  if (failed && ended.disk_full)
    return end_as(OutcomeKind::disk_limit, "/tmp or out/ was full; each holds " + mebibytes(limits.disk_bytes) + " less what is in the other (peak " + mebibytes(ended.scratch_bytes) + ")");
  if (ended.ending == INIT_TIMEOUT) return end_as(OutcomeKind::timeout, "it ran for " + seconds(static_cast<TimeMs>(ended.wall_us / 1000)) + "; the limit is " + seconds(limits.wall_ms));
  if (ended.ending == INIT_CPU)
    return end_as(OutcomeKind::cpu_limit, "its processes used " + seconds(static_cast<TimeMs>(ended.cpu_us / 1000)) + " of CPU time; the limit is " + seconds(limits.wall_ms * limits.cpus));
  if (ended.ending != INIT_EXITED) return false;  // stopped, though no limit was met
  if (failed) end(OutcomeKind::exited, static_cast<int>(ended.exit_code & 255), {});
  else if (cgroup) cgroup->forget_refusals();  // it got over them; the next index shall not fail of them
  return true;
}

bool UnitRun::file(std::string path, std::int64_t size, bool executable) {
  if (outputs_.expected() != 0 || size < 0) return false;
  if (auto good = outputs_.begin(path, size, executable); !good) refuse(good.error());
  return true;
}

bool UnitRun::data(std::string_view part) {
  if (static_cast<std::int64_t>(part.size()) > outputs_.expected()) return false;
  if (auto good = outputs_.data(part); !good) refuse(good.error());
  return true;
}

bool UnitRun::refused(std::string_view path, std::string_view why) {
  end(OutcomeKind::bad_output, 0, "the output " + quoted_name(std::string(path)) + " " + std::string(why) + "; only files and folders may be left in out/");
  return true;
}

bool UnitRun::collected(const Cgroup* cgroup) {
  if (outputs_.expected() != 0) return false;
  if (auto good = outputs_.end_index(); !good) {
    refuse(good.error());
    return true;
  }
  if (following()) {
    ++at_;
    return true;
  }
  if (cgroup) note_peak(cgroup->peak_bytes());
  auto files = outputs_.finish();
  if (!files) {
    end(OutcomeKind::bad_output, 0, files.error().message);
    return true;
  }
  report_.ran = true;
  report_.files = std::move(*files);
  done_ = true;
  return true;
}

void UnitRun::killed_for_memory(const Cgroup& cgroup) {
  if (cgroup.killed_for_others()) return problem(memory_of_others);
  note_peak(cgroup.peak_bytes());
  end(OutcomeKind::out_of_memory, 0, memory_detail(true));
}

void UnitRun::refuse(const Error& error) {
  if (error.code == Code::io) problem(error.message);
  else if (error.code == Code::refused) end(OutcomeKind::result_limit, 0, error.message);
  else end(OutcomeKind::bad_output, 0, error.message);
}

void UnitRun::note_peak(std::int64_t bytes) { report_.usage.peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, bytes); }

std::string UnitRun::memory_detail(bool files_count) const {
  return "it needed more than " + mebibytes(request_.limits.memory_bytes) + " of memory (peak " + mebibytes(report_.usage.peak_memory_bytes) + (files_count ? ", files in /tmp and out/ counted)" : ")");
}

void UnitRun::end(OutcomeKind kind, int exit_code, std::string detail) {
  if (done_) return;
  report_.ran = true;
  report_.outcome = {kind, exit_code};
  report_.failed_index = invocation().index;
  report_.failure_detail = std::move(detail);
  outputs_.discard();
  done_ = true;
}

void UnitRun::problem(std::string what) {
  if (done_) return;
  report_.ran = false;
  report_.problem = std::move(what);
  outputs_.discard();
  done_ = true;
}

}  // namespace tnode
