#include "executor/executor.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "executor/kernel_files.h"
#include "executor/machine_checks.h"
#include "executor/process_tree.h"
#include "executor/runner.h"
#include "executor/wire.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr int answer_wait_ms = 20'000;

}  // namespace

struct Executor::Impl {
  pid_t runner = -1;
  int socket = -1;
  SandboxState state;
  std::thread reader;
  std::mutex mutex;
  std::set<std::uint64_t> pending;
  Sink sink;
  Bytes received;
  std::string usage_path;  // of the control group of all sandboxes

  bool send(RunnerFrame kind, std::string_view bytes) const { return send_frame(socket, kind, bytes); }

  /// The next frame; `timeout` or `unavailable` when there is none.
  Result<std::pair<RunnerFrame, Bytes>> receive(int wait_ms) {
    for (;;) {
      std::size_t at = 0;
      if (const auto next = next_frame(received, at)) {
        std::pair<RunnerFrame, Bytes> frame{next->kind, Bytes(next->body)};
        received.erase(0, at);
        return frame;
      }
      pollfd watched{socket, POLLIN, 0};
      int ready = poll(&watched, 1, wait_ms);
      if (ready < 0 && errno == EINTR) continue;
      if (ready == 0) return fail(Code::timeout, "the runner process does not answer");
      char buffer[64 << 10];
      ssize_t got = recv(socket, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return fail(Code::unavailable, "the runner process ended");
      received.append(buffer, static_cast<std::size_t>(got));
    }
  }

  void read_loop() {
    for (;;) {
      auto frame = receive(-1);
      if (!frame) break;
      auto report = decode_report(frame->second);
      check(frame->first == RunnerFrame::report && report.ok(), "the runner sends whole reports");
      {
        std::lock_guard lock(mutex);
        pending.erase(report->job);
      }
      sink(std::move(*report));
    }
    std::set<std::uint64_t> lost;
    {
      std::lock_guard lock(mutex);
      lost.swap(pending);
    }
    for (std::uint64_t job : lost) {
      ExecutionReport report;
      report.job = job;
      report.problem = "the runner process ended";
      sink(std::move(report));
    }
  }

  Result<void> start(const std::string& home, const SharedLimits& shared);
  Result<void> fork_runner(const std::string& home, const std::string& bwrap, const SharedLimits& shared);
  Result<std::string> try_out(const std::string& home);
};

Result<void> Executor::Impl::start(const std::string& home, const SharedLimits& shared) {
  const std::string bwrap = find_program("bwrap");
  state.checks.push_back(bubblewrap_check(bwrap));
  if (bwrap.empty()) return fail(Code::unavailable, "no sandbox: bubblewrap is not installed; nothing is ever run without it. Install it: " + state.checks.back().remedy);
  std::error_code ec;
  fs::create_directories(home, ec);
  if (ec) return fail(Code::io, "cannot make the folder " + home + ": " + ec.message());
  if (auto forked = fork_runner(home, bwrap, shared); !forked) return forked;
  auto first = receive(answer_wait_ms);
  if (!first) return first.error();
  auto hello = decode_hello(first->second);
  check(first->first == RunnerFrame::hello && hello.ok(), "the runner says hello first");
  state.limit_mode = hello->limit_mode;
  state.cpu_mode = hello->cpu_mode;
  state.pause_mode = hello->pause_mode;
  state.bounds_memory = hello->bounds_memory;
  usage_path = hello->usage_path;
  auto status = hello->problem.empty() ? try_out(home) : Result<std::string>(fail(Code::unavailable, hello->problem));
  if (!status) {
    state.checks.push_back(failed_trial_check(status.error().message));
    return fail(Code::unavailable, "no sandbox: " + status.error().message + ". Likely mend: " + state.checks.back().remedy);
  }
  for (auto& each : working_checks(*status, *hello)) state.checks.push_back(std::move(each));
  state.whole = true;
  for (const auto& each : state.checks) {
    state.whole = state.whole && each.level == SandboxState::Check::good;
    if (each.level == SandboxState::Check::missing) return fail(Code::unavailable, "no sandbox: " + each.detail + ". Likely mend: " + each.remedy);
  }
  return {};
}

Result<void> Executor::Impl::fork_runner(const std::string& home, const std::string& bwrap, const SharedLimits& shared) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return fail(Code::io, std::string("socketpair: ") + std::strerror(errno));
  socket = sockets[0];
  runner = fork();
  if (runner == 0) run_runner(sockets[1], home, bwrap, shared);
  close(sockets[1]);
  if (runner < 0) return fail(Code::io, std::string("cannot start the runner process: ") + std::strerror(errno));
  return {};
}

/// One real unit: what works now will work for tasks. What it says of itself is the answer.
Result<std::string> Executor::Impl::try_out(const std::string& home) {
  ExecutionRequest trial;
  trial.task_dir = home + "/tasks/none";
  trial.invocations.push_back({0, {"cat", "/proc/self/status"}, {{"PATH", "/usr/local/bin:/usr/bin:/bin"}}});
  trial.outputs = {"out/**"};
  trial.result_dir = home + "/trial";
  if (!send(RunnerFrame::run, encode_request(trial))) return fail(Code::unavailable, "the runner process ended");
  auto frame = receive(answer_wait_ms);
  if (!frame) return frame.error();
  auto report = decode_report(frame->second);
  if (!report) return report.error();
  if (!report->ran) return fail(Code::unavailable, report->problem);
  if (!report->outcome.good()) return fail(Code::unavailable, "`cat` fails in it: " + report->failure_detail + report->stderr_tail);
  return report->stdout_tail;
}

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Executor::~Executor() {
  if (impl_->socket >= 0) shutdown(impl_->socket, SHUT_RDWR);
  if (impl_->reader.joinable()) impl_->reader.join();
  if (impl_->socket >= 0) close(impl_->socket);
  if (impl_->runner > 0) waitpid(impl_->runner, nullptr, 0);
}

Result<std::unique_ptr<Executor>> Executor::start(const std::string& home, const SharedLimits& shared) {
  std::unique_ptr<Executor> executor(new Executor(std::make_unique<Impl>()));
  if (auto started = executor->impl_->start(home, shared); !started) return started.error();
  return executor;
}

void Executor::on_report(Sink sink) {
  check(!impl_->reader.joinable(), "one sink");
  impl_->sink = std::move(sink);
  impl_->reader = std::thread([impl = impl_.get()] { impl->read_loop(); });
}

void Executor::run(ExecutionRequest request) {
  check(!request.invocations.empty(), "a unit has an index");
  const std::uint64_t job = request.job;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->pending.insert(job);
  }
  if (impl_->send(RunnerFrame::run, encode_request(request))) return;
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->pending.erase(job) == 0) return;  // the reader told it already
  }
  ExecutionReport report;
  report.job = job;
  report.problem = "the runner process ended";
  impl_->sink(std::move(report));
}

void Executor::cancel(std::uint64_t job) { impl_->send(RunnerFrame::cancel, {reinterpret_cast<const char*>(&job), sizeof job}); }

void Executor::end_idle(const std::string& task_hex) { impl_->send(RunnerFrame::end_idle, task_hex); }

void Executor::pause() { impl_->send(RunnerFrame::pause, {}); }
void Executor::resume() { impl_->send(RunnerFrame::resume, {}); }

std::int64_t Executor::cpu_ms() const {
  if (impl_->usage_path.empty()) return cpu_ms_of_tree(impl_->runner);
  return field_in(read_kernel_file(impl_->usage_path), "usage_usec") / 1000;
}

const SandboxState& Executor::state() const { return impl_->state; }

SandboxState examine_sandbox(const std::string& home) {
  Executor executor(std::make_unique<Executor::Impl>());
  // All of the machine: a limit that changes nothing, and shows how one would hold.
  (void)executor.impl_->start(home, {static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency())) * 1000, 0});
  return executor.impl_->state;
}

}  // namespace tnode
