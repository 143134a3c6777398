#include "executor/sandbox.h"

#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/bundle_paths.h"
#include "executor/init/protocol.h"
#include "executor/process_tree.h"

namespace tnode {
namespace {

constexpr TimeMs overtime_ms = 5'000;      // init ends an index at its wall limit; one that does not is ended from outside
constexpr TimeMs outputs_wait_ms = 120'000;  // for an index's outputs to be read and written
constexpr std::size_t max_error_text = 4096;
// Init is trusted, but it lives beside the task: nothing it says may fill or break the runner.
constexpr std::size_t max_init_frame = 64 << 10;
constexpr const char* memory_of_others = "this machine, or what its sandboxes may have together, ran out of memory, and the kernel ended a process of the unit";
constexpr std::uint64_t max_inodes = 200'000;  // an empty file costs the kernel about a KiB that no disk limit counts

std::string mebibytes(std::int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }
std::string mebibytes(std::uint64_t bytes) { return mebibytes(static_cast<std::int64_t>(bytes)); }

/// 2,000 → "2 s", 1,500 → "1.5 s".
std::string seconds(TimeMs ms) {
  std::string decimals = ms % 1000 == 0 ? "" : "." + std::to_string(1000 + ms % 1000).substr(1);
  while (decimals.ends_with('0')) decimals.pop_back();
  return std::to_string(ms / 1000) + decimals + " s";
}

}  // namespace

TimeMs monotonic_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

Sandbox::Sandbox(SandboxHost& host, ExecutionRequest request)
    : host_(host), request_(std::move(request)), outputs_(request_.result_dir, request_.outputs, request_.limits) {
  report_.job = request_.job;
  if (auto good = start(); !good) problem(good.error().message);
}

Sandbox::~Sandbox() {
  stop();
  if (cgroup_) host_.cgroups.give_back(std::move(cgroup_));
}

void Sandbox::stop() {
  if (control_ >= 0) close(control_);  // init sees it and ends, and its namespace with it
  if (errors_ >= 0) close(errors_);
  control_ = errors_ = -1;
  if (pid_ > 0) kill(pid_, SIGKILL);
  if (paused_since_ && cgroup_) cgroup_->freeze(false);  // the kill reaches what is frozen by version 1 only then
}

// --- what init is told ---

void Sandbox::send_next() {
  const Invocation& invocation = request_.invocations[next_];
  const RunLimits& limits = request_.limits;
  init_run run{};
  run.wall_ms = static_cast<std::uint64_t>(limits.wall_ms);
  run.cpu_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, limits.wall_ms * limits.cpus));
  run.stdio_bytes = static_cast<std::uint64_t>(limits.stdio_bytes);
  run.inodes = max_inodes;
  run.open_files = static_cast<std::uint64_t>(limits.open_files);
  // A control group counts processes and says so; the resource limit stands behind it. Without one, init watches what the resource
  // limit bounds, with room for itself and for the process too many by which it sees that the limit was met.
  run.processes = static_cast<std::uint64_t>(cgroup_ ? 2 * limits.processes : limits.processes + 2);
  run.watch_memory_bytes = cgroup_ ? 0 : static_cast<std::uint64_t>(limits.memory_bytes);
  run.argc = static_cast<std::uint32_t>(invocation.argv.size());
  run.envc = static_cast<std::uint32_t>(invocation.env.size() + 1);
  Bytes strings;
  for (const auto& part : invocation.argv) strings.append(part).push_back('\0');
  for (const auto& [key, value] : invocation.env) strings.append(key + "=" + value).push_back('\0');
  strings.append("TNODE_TASK=" + request_.task_hex).push_back('\0');
  const init_header header{INIT_RUN, static_cast<std::uint32_t>(sizeof run + strings.size())};
  Bytes frame(reinterpret_cast<const char*>(&header), sizeof header);
  frame.append(reinterpret_cast<const char*>(&run), sizeof run);
  frame += strings;
  turn_ = Turn::end;
  const TimeMs now = monotonic_ms();
  deadline_ = now + limits.wall_ms + overtime_ms;
  next_look_ = now + tick_ms;
  send_all(frame);
}

void Sandbox::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(control_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return;  // it ended: on_control() will say how
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Sandbox::stop_index(TimeMs now) {
  if (stopping_) return;
  stopping_ = true;
  deadline_ = now + overtime_ms;
  const init_header header{INIT_STOP, 0};
  send_all({reinterpret_cast<const char*>(&header), sizeof header});
}

// --- pausing ---

void Sandbox::pause(TimeMs now) {
  if (done_ || paused_since_) return;
  paused_since_ = now;
  if (cgroup_ && cgroup_->can_freeze()) cgroup_->freeze(true);
  else stopped_ = stop_below(pid_);
}

void Sandbox::resume(TimeMs now) {
  if (done_ || !paused_since_) return;
  const TimeMs slept = now - *paused_since_;
  paused_since_.reset();
  deadline_ += slept;
  next_look_ += slept;
  // Init hears of it before it goes on, so that what it watches was not late.
  if (turn_ == Turn::end) {
    const init_header header{INIT_PAUSED, sizeof(init_paused)};
    const init_paused paused{static_cast<std::uint64_t>(slept)};
    send_all({reinterpret_cast<const char*>(&header), sizeof header});
    send_all({reinterpret_cast<const char*>(&paused), sizeof paused});
  }
  if (cgroup_ && cgroup_->can_freeze()) cgroup_->freeze(false);
  else continue_processes(stopped_);
}

// --- what init says ---

void Sandbox::on_control() {
  char buffer[256 << 10];
  ssize_t got = recv(control_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return on_closed();
  received_.append(buffer, static_cast<std::size_t>(got));
  take_frames();
}

void Sandbox::take_frames() {
  std::size_t at = 0;
  bool sense = true;
  while (!done_ && sense) {
    std::string_view rest = std::string_view(received_).substr(at);
    if (data_left_ > 0) {
      if (rest.empty()) break;
      std::string_view part = rest.substr(0, data_left_);
      data_left_ -= static_cast<std::uint32_t>(part.size());
      at += part.size();
      sense = take_data(part);
      continue;
    }
    init_header header;
    if (rest.size() < sizeof header) break;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.type == INIT_DATA) {
      data_left_ = header.length;
      at += sizeof header;
      continue;
    }
    sense = header.length <= max_init_frame;
    if (!sense || rest.size() < sizeof header + header.length) break;
    at += sizeof header + header.length;
    sense = take_frame(header.type, rest.substr(sizeof header, header.length));
  }
  if (!sense) problem("the sandbox's first process said something senseless");
  received_.erase(0, at);
}

bool Sandbox::take_data(std::string_view part) {
  if (turn_ != Turn::outputs || static_cast<std::int64_t>(part.size()) > outputs_.expected()) return false;
  if (auto good = outputs_.data(part); !good) refuse(good.error());
  return true;
}

bool Sandbox::take_frame(std::uint32_t type, std::string_view payload) {
  switch (type) {
    case INIT_READY:
      if (turn_ != Turn::hello) return false;
      send_next();
      return true;
    case INIT_END: return on_end(payload);
    case INIT_FILE: return on_file(payload);
    case INIT_BAD: {
      auto nul = payload.find('\0');
      if (turn_ != Turn::outputs || nul == std::string_view::npos) return false;
      end(OutcomeKind::bad_output, 0, "the output " + quoted_name(payload.substr(nul + 1)) + " " + std::string(payload.substr(0, nul)) + "; only files and folders may be left in out/");
      return true;
    }
    case INIT_COLLECTED:
      if (turn_ != Turn::outputs || outputs_.expected() != 0) return false;
      if (auto good = outputs_.end_index(); !good) {
        refuse(good.error());
        return true;
      }
      if (++next_ < request_.invocations.size()) send_next();
      else finish();
      return true;
    default: return false;
  }
}

bool Sandbox::on_file(std::string_view payload) {
  init_file file;
  if (turn_ != Turn::outputs || outputs_.expected() != 0 || payload.size() <= sizeof file) return false;
  std::memcpy(&file, payload.data(), sizeof file);
  const auto size = static_cast<std::int64_t>(file.size);
  if (size < 0) return false;
  if (auto good = outputs_.begin(std::string(payload.substr(sizeof file)), size, file.executable != 0); !good) refuse(good.error());
  return true;
}

void Sandbox::refuse(const Error& error) {
  if (error.code == Code::io) problem(error.message);
  else if (error.code == Code::refused) end(OutcomeKind::result_limit, 0, error.message);
  else end(OutcomeKind::bad_output, 0, error.message);
}

bool Sandbox::on_end(std::string_view payload) {
  init_end ended;
  if (turn_ != Turn::end || payload.size() < sizeof ended) return false;
  std::memcpy(&ended, payload.data(), sizeof ended);
  payload.remove_prefix(sizeof ended);
  if (ended.stdout_tail > INIT_TAIL_BYTES || ended.stderr_tail > INIT_TAIL_BYTES || payload.size() != ended.stdout_tail + ended.stderr_tail) return false;
  turn_ = Turn::outputs;
  deadline_ = monotonic_ms() + outputs_wait_ms;
  wall_us_ += static_cast<std::int64_t>(ended.wall_us);
  cpu_us_ += static_cast<std::int64_t>(ended.cpu_us);
  report_.usage.wall_ms = wall_us_ / 1000;
  report_.usage.cpu_ms = cpu_us_ / 1000;
  const std::int64_t peak = cgroup_ ? cgroup_->peak_bytes() : static_cast<std::int64_t>(ended.peak_bytes);
  report_.usage.peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, peak);
  report_.stdout_tail = Bytes(payload.substr(0, ended.stdout_tail));
  report_.stderr_tail = Bytes(payload.substr(ended.stdout_tail, ended.stderr_tail));
  const RunLimits& limits = request_.limits;
  const bool failed = ended.ending != INIT_EXITED || ended.exit_code != 0;
  auto end_as = [&](OutcomeKind kind, std::string detail) {
    end(kind, 0, std::move(detail));
    return true;
  };
  // Not its own limit but the machine's: nothing that anybody should vote on.
  if (cgroup_ && cgroup_->killed_for_others()) {
    problem(memory_of_others);
    return true;
  }
  // A limit that was met explains the end better than the exit status that came of it.
  if (ended.ending == INIT_MEMORY || (cgroup_ && cgroup_->out_of_memory())) return end_as(OutcomeKind::out_of_memory, memory_detail(peak));
  if (ended.ending == INIT_OUTPUT) {
    const bool more_out = ended.stdout_bytes > ended.stderr_bytes;
    return end_as(OutcomeKind::output_limit, "it wrote " + std::to_string(more_out ? ended.stdout_bytes : ended.stderr_bytes) + " bytes to " + (more_out ? "stdout" : "stderr") +
                                                 "; the limit is " + std::to_string(limits.stdio_bytes));
  }
  if (ended.ending == INIT_PROCESSES || (failed && cgroup_ && cgroup_->out_of_processes()))
    return end_as(OutcomeKind::process_limit, "it wanted more than " + std::to_string(limits.processes) + " processes and threads (peak " + std::to_string(cgroup_ ? limits.processes : ended.threads) + ")");
  if (ended.ending == INIT_INODES)
    return end_as(OutcomeKind::inode_limit, "it made " + std::to_string(ended.scratch_files) + " files in /tmp and out/; the limit is " + std::to_string(max_inodes));
  if (failed && ended.disk_full)
    return end_as(OutcomeKind::disk_limit, "/tmp or out/ was full; each holds " + mebibytes(limits.disk_bytes) + " less what is in the other (peak " + mebibytes(ended.scratch_bytes) + ")");
  if (ended.ending == INIT_TIMEOUT) return end_as(OutcomeKind::timeout, "it ran for " + seconds(static_cast<TimeMs>(ended.wall_us / 1000)) + "; the limit is " + seconds(limits.wall_ms));
  if (ended.ending == INIT_CPU)
    return end_as(OutcomeKind::cpu_limit, "its processes used " + seconds(static_cast<TimeMs>(ended.cpu_us / 1000)) + " of CPU time; the limit is " + seconds(limits.wall_ms * limits.cpus));
  if (ended.ending != INIT_EXITED) return false;  // stopped, though no limit was met
  if (failed) end(OutcomeKind::exited, static_cast<int>(ended.exit_code & 255), {});
  return true;
}

std::string Sandbox::memory_detail(std::int64_t peak) const {
  return "it needed more than " + mebibytes(request_.limits.memory_bytes) + " of memory (peak " + mebibytes(peak) + (cgroup_ ? ", files in /tmp and out/ counted)" : ")");
}

void Sandbox::on_closed() {
  if (done_) return;
  on_errors();
  const bool stood = turn_ != Turn::hello;
  if (cgroup_ && cgroup_->killed_for_others()) return problem(memory_of_others);
  // The kernel may have chosen init itself.
  if (stood && cgroup_ && cgroup_->out_of_memory()) {
    report_.usage.peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, cgroup_->peak_bytes());
    return end(OutcomeKind::out_of_memory, 0, memory_detail(cgroup_->peak_bytes()));
  }
  while (!error_text_.empty() && error_text_.back() == '\n') error_text_.pop_back();
  problem(stood ? "the sandbox ended before the unit did" : "the sandbox did not start: " + (error_text_.empty() ? "no reason was given" : error_text_));
}

void Sandbox::on_errors() {
  char buffer[1024];
  for (ssize_t got; errors_ >= 0 && (got = read(errors_, buffer, sizeof buffer)) != -1;) {
    if (got == 0) {
      close(errors_);
      errors_ = -1;
      break;
    }
    if (error_text_.size() < max_error_text) error_text_.append(buffer, static_cast<std::size_t>(got));
  }
}

void Sandbox::tick(TimeMs now) {
  if (done_ || paused_since_) return;
  if (now >= deadline_) {
    if (turn_ == Turn::hello) return problem("the sandbox did not stand in time; this machine may be overloaded");
    return problem("the sandbox could not be ended at its limit; this machine may be overloaded");
  }
  if (!cgroup_ || turn_ != Turn::end || now < next_look_) return;
  next_look_ = now + tick_ms;
  // The kernel killed one process, and the others may wait for it in vain; or refused one, and the program may go on trying.
  if (cgroup_->out_of_memory() || cgroup_->killed_for_others() || cgroup_->out_of_processes()) stop_index(now);
}

// --- the end ---

void Sandbox::end(OutcomeKind kind, int exit_code, std::string detail) {
  if (done_) return;
  report_.ran = true;
  report_.outcome = {kind, exit_code};
  report_.failed_index = request_.invocations[std::min(next_, request_.invocations.size() - 1)].index;
  report_.failure_detail = std::move(detail);
  outputs_.discard();
  done_ = true;
  stop();
}

void Sandbox::problem(std::string what) {
  if (done_) return;
  report_.ran = false;
  report_.problem = std::move(what);
  outputs_.discard();
  done_ = true;
  stop();
}

void Sandbox::finish() {
  auto files = outputs_.finish();
  if (!files) return end(OutcomeKind::bad_output, 0, files.error().message);
  report_.ran = true;
  report_.files = std::move(*files);
  done_ = true;
  stop();
}

}  // namespace tnode
