#include "executor/sandbox.h"

#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "executor/init/protocol.h"
#include "executor/process_tree.h"

namespace tnode {
namespace {

constexpr TimeMs overtime_ms = 5'000;      // init ends an index at its wall limit; one that does not is ended from outside
constexpr TimeMs outputs_wait_ms = 120'000;  // for an index's outputs to be read and written
constexpr std::size_t max_error_text = 4096;
// Init is trusted, but it lives beside the task: nothing it says may fill or break the runner.
constexpr std::size_t max_init_frame = 64 << 10;
// What fits the socket while init does not read: the next index's request goes ahead of its turn only within this.
constexpr std::size_t max_ahead_bytes = 32 << 10;

}  // namespace

TimeMs monotonic_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

Sandbox::Sandbox(SandboxHost& host, ExecutionRequest request) : host_(host), task_hex_(request.task_hex), task_dir_(request.task_dir), runtime_dir_(request.runtime_dir), limits_(request.limits), warm_(request.warm), warm_env_(request.warm_env), unit_(std::move(request)) {
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

// --- one unit after the other ---

bool Sandbox::fits(const ExecutionRequest& request) const {
  if (!idle() || request.task_hex != task_hex_ || request.runtime_dir != runtime_dir_ || !(request.limits == limits_) || request.warm != warm_ || request.warm_env != warm_env_) return false;
  auto plan = plan_for(host_, request);
  return plan && *plan == plan_ && identities(*plan, request.task_dir, runtime_dir_) == shown_;
}

bool Sandbox::take(ExecutionRequest& request) {
  // What the units before it were refused or killed for is not its doing.
  if (cgroup_ && !cgroup_->prepare(group_memory(limits_), group_processes(limits_, !warm_.empty()))) return false;
  unit_.emplace(std::move(request));
  stopping_ = false;
  send_index(unit_->invocation());
  await_end();
  return true;
}

std::optional<ExecutionReport> Sandbox::take_report() {
  if (!unit_ || !unit_->done()) return std::nullopt;
  // Whatever happened in there, nobody else shall meet it. A unit of no task is alone anyway.
  if (!unit_->good() || task_hex_.empty()) stop();
  std::optional<ExecutionReport> report = unit_->take_report();
  unit_.reset();
  idle_since_ = monotonic_ms();
  return report;
}

void Sandbox::cancel() { problem("cancelled"); }

void Sandbox::problem(std::string what) {
  if (unit_) unit_->problem(std::move(what));
  stop();
}

// --- what init is told ---

Bytes Sandbox::run_frame(const Invocation& invocation) const {
  init_run run{};
  run.wall_ms = static_cast<std::uint64_t>(limits_.wall_ms);
  run.cpu_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, limits_.wall_ms * limits_.cpus));
  run.stdio_bytes = static_cast<std::uint64_t>(limits_.stdio_bytes);
  run.inodes = max_inodes;
  run.open_files = static_cast<std::uint64_t>(limits_.open_files);
  // A control group counts processes and says so; the resource limit stands behind it. Without one, init watches what the resource
  // limit bounds, with room for itself and for the process too many by which it sees that the limit was met.
  run.processes = static_cast<std::uint64_t>(cgroup_ ? 2 * limits_.processes : limits_.processes + 2 + (warm_.empty() ? 0 : warm_processes));
  run.watch_memory_bytes = cgroup_ ? 0 : static_cast<std::uint64_t>(limits_.memory_bytes);
  run.argc = static_cast<std::uint32_t>(invocation.argv.size());
  run.envc = static_cast<std::uint32_t>(invocation.env.size() + 1);
  Bytes strings;
  auto add = [&](const std::vector<std::string>& argv, const std::map<std::string, std::string>& env) {
    for (const auto& part : argv) strings.append(part).push_back('\0');
    for (const auto& [key, value] : env) strings.append(key + "=" + value).push_back('\0');
    strings.append("TNODE_TASK=" + task_hex_).push_back('\0');
  };
  if (!warm_.empty()) {
    run.warm_argc = static_cast<std::uint32_t>(warm_.size());
    run.warm_envc = static_cast<std::uint32_t>(warm_env_.size() + 1);
    add(warm_, warm_env_);
  }
  add(invocation.argv, invocation.env);
  const init_header header{INIT_RUN, static_cast<std::uint32_t>(sizeof run + strings.size())};
  Bytes frame(reinterpret_cast<const char*>(&header), sizeof header);
  frame.append(reinterpret_cast<const char*>(&run), sizeof run);
  return frame + strings;
}

void Sandbox::send_index(const Invocation& invocation) { send_all(run_frame(invocation)); }

void Sandbox::await_end() {
  turn_ = Turn::end;
  const TimeMs now = monotonic_ms();
  deadline_ = now + limits_.wall_ms + overtime_ms;
  next_look_ = now + tick_ms;
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
  if (!unit_ || ended() || paused_since_) return;
  paused_since_ = now;
  if (cgroup_ && cgroup_->can_freeze()) cgroup_->freeze(true);
  else stopped_ = stop_below(pid_);
}

void Sandbox::resume(TimeMs now) {
  if (ended() || !paused_since_) return;
  const TimeMs slept = now - *paused_since_;
  paused_since_.reset();
  deadline_ += slept;
  next_look_ += slept;
  // Init hears of it before it goes on, so that what it watches was not late. It may be in an index of which we have not heard yet.
  if (turn_ == Turn::end || ahead_) {
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
  while (sense && !(unit_ && unit_->done())) {
    std::string_view rest = std::string_view(received_).substr(at);
    if (data_left_ > 0) {
      if (rest.empty()) break;
      std::string_view part = rest.substr(0, data_left_);
      data_left_ -= static_cast<std::uint32_t>(part.size());
      at += part.size();
      sense = turn_ == Turn::outputs && unit_->data(part);
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
  received_.erase(0, at);
  if (!sense) problem("the sandbox's first process said something senseless");
}

bool Sandbox::take_frame(std::uint32_t type, std::string_view payload) {
  switch (type) {
    case INIT_READY:
      if (turn_ != Turn::hello) return false;
      if (!std::exchange(ahead_, false)) send_index(unit_->invocation());
      await_end();
      return true;
    case INIT_END: return turn_ == Turn::end && on_end(payload);
    case INIT_FILE: return turn_ == Turn::outputs && on_file(payload);
    case INIT_BAD: return turn_ == Turn::outputs && on_bad(payload);
    case INIT_COLLECTED: return turn_ == Turn::outputs && on_collected();
    default: return false;
  }
}

bool Sandbox::on_end(std::string_view payload) {
  init_end ended;
  if (payload.size() < sizeof ended) return false;
  std::memcpy(&ended, payload.data(), sizeof ended);
  payload.remove_prefix(sizeof ended);
  if (ended.stdout_tail > INIT_TAIL_BYTES || ended.stderr_tail > INIT_TAIL_BYTES || payload.size() != ended.stdout_tail + ended.stderr_tail) return false;
  turn_ = Turn::outputs;
  deadline_ = monotonic_ms() + outputs_wait_ms;
  if (!unit_->index_ended(ended, payload.substr(0, ended.stdout_tail), payload.substr(ended.stdout_tail), cgroup_.get())) return false;
  // While init hands over and cleans up, the next request can be on its way: what this index did was counted above.
  if (const Invocation* next = unit_->done() ? nullptr : unit_->following()) send_ahead(*next);
  return true;
}

void Sandbox::send_ahead(const Invocation& invocation) {
  const Bytes frame = run_frame(invocation);
  ahead_ = frame.size() <= max_ahead_bytes;
  if (ahead_) send_all(frame);
}

bool Sandbox::on_file(std::string_view payload) {
  init_file file;
  if (payload.size() <= sizeof file) return false;
  std::memcpy(&file, payload.data(), sizeof file);
  return unit_->file(std::string(payload.substr(sizeof file)), static_cast<std::int64_t>(file.size), file.executable != 0);
}

bool Sandbox::on_bad(std::string_view payload) {
  const auto nul = payload.find('\0');
  return nul != std::string_view::npos && unit_->refused(payload.substr(nul + 1), payload.substr(0, nul));
}

bool Sandbox::on_collected() {
  if (!unit_->collected(cgroup_.get())) return false;
  if (unit_->done()) {
    turn_ = Turn::idle;
    return true;
  }
  if (!std::exchange(ahead_, false)) send_index(unit_->invocation());
  await_end();
  return true;
}

void Sandbox::on_closed() {
  if (!unit_ || unit_->done()) return stop();
  on_errors();
  const bool stood = turn_ != Turn::hello;
  // The kernel may have chosen init itself.
  if (cgroup_ && (cgroup_->killed_for_others() || (stood && cgroup_->out_of_memory()))) {
    unit_->killed_for_memory(*cgroup_);
    return stop();
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
  if (!unit_ || unit_->done() || paused_since_) return;
  if (now >= deadline_) {
    if (turn_ == Turn::hello) return problem("the sandbox did not stand in time; this machine may be overloaded");
    return problem("the sandbox could not be ended at its limit; this machine may be overloaded");
  }
  if (!cgroup_ || turn_ != Turn::end || now < next_look_) return;
  next_look_ = now + tick_ms;
  // The kernel killed one process, and the others may wait for it in vain; or refused one, and the program may go on trying.
  if (cgroup_->out_of_memory() || cgroup_->killed_for_others() || cgroup_->out_of_processes()) stop_index(now);
}

}  // namespace tnode
