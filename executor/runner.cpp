#include "executor/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <utility>

#include "executor/kernel_files.h"
#include "executor/sandbox.h"
#include "executor/wire.h"

namespace tnode {
namespace {

constexpr TimeMs idle_kept_ms = 5'000;  // a sandbox waits so long for the next unit of its task
constexpr TimeMs idle_look_ms = 200;    // at what it shows: of a task that was removed none is kept
constexpr TimeMs end_wait_ms = 10'000;  // for killed processes to be gone; one that the kernel does not let go must not keep us
constexpr int end_pause_ms = 5;

/// Whatever the daemon had open stays with it: a second runner that held the first one's socket would keep it alive,
/// and a pipe of the daemon's must not wait for its runner. Messages of last resort may still go to stderr.
bool leave_descriptors(int& daemon) {
  constexpr int kept = STDERR_FILENO + 1;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) return false;
  if (daemon != kept && dup3(daemon, kept, O_CLOEXEC) < 0) return false;
  daemon = kept;
  return syscall(SYS_close_range, static_cast<unsigned>(kept) + 1, ~0U, 0U) == 0;
}

/// Where no quota can be had, sandboxes live on fewer CPUs: the runner's mask is inherited, and the filter keeps a task from widening it.
bool keep_to_cpus(std::int64_t cpu_milli) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  std::int64_t left = std::max<std::int64_t>(1, cpu_milli / 1000);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && left > 0; --cpu)  // from the last: the first ones serve most interrupts
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &chosen), --left;
  return sched_setaffinity(0, sizeof chosen, &chosen) == 0;
}

class Runner {
 public:
  Runner(int daemon, SandboxHost& host) : daemon_(daemon), host_(host) {}
  /// Until the daemon is gone.
  void run();

 private:
  bool on_daemon();
  void take_frames();
  void run_request(ExecutionRequest request);
  void cancel(std::uint64_t job);
  void pause();
  void resume();
  void reap();
  bool keeps(pid_t pid) const;
  void end_orphans() const;
  void end_all();
  void report_done();
  /// How long nothing has to be looked at; -1: until something happens.
  int wait_ms(TimeMs now) const;
  void start(ExecutionRequest request);
  void end_idle(TimeMs now);
  void end_idle_of(std::string_view task_hex);

  int daemon_;
  SandboxHost& host_;
  std::list<Sandbox> sandboxes_;
  bool paused_ = false;
  std::vector<ExecutionRequest> waiting_;  // asked for while paused
  Bytes received_;
};

void Runner::run() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    std::vector<pollfd> watched{{daemon_, POLLIN, 0}, {signals, POLLIN, 0}};
    std::vector<Sandbox*> owners;
    for (auto& sandbox : sandboxes_) {
      owners.push_back(&sandbox);
      watched.push_back({sandbox.control_fd(), POLLIN, 0});
      watched.push_back({sandbox.error_fd(), POLLIN, 0});
    }
    poll(watched.data(), watched.size(), wait_ms(monotonic_ms()));
    const TimeMs now = monotonic_ms();
    for (std::size_t i = 0; i < owners.size(); ++i) {
      if (watched[3 + 2 * i].revents && owners[i]->error_fd() >= 0) owners[i]->on_errors();
      if (watched[2 + 2 * i].revents && owners[i]->control_fd() >= 0) owners[i]->on_control();
      owners[i]->tick(now);
    }
    if (watched[1].revents) {
      signalfd_siginfo info;
      (void)!read(signals, &info, sizeof info);
      reap();
      end_orphans();
    }
    if (watched[0].revents && !on_daemon()) return;
    report_done();  // last: a request may end where it starts
    end_idle(now);
  }
}

int Runner::wait_ms(TimeMs now) const {
  TimeMs wait = -1;
  for (const auto& sandbox : sandboxes_) {
    if (sandbox.ended() || (paused_ && !sandbox.idle())) continue;  // its end is a signal, and what is paused has no limits
    const TimeMs own = sandbox.idle() ? std::clamp<TimeMs>(sandbox.idle_since() + idle_kept_ms - now, 0, idle_look_ms) : Sandbox::tick_ms;
    wait = wait < 0 ? own : std::min(wait, own);
  }
  return static_cast<int>(wait);
}

void Runner::start(ExecutionRequest request) {
  for (auto& sandbox : sandboxes_) {
    if (!sandbox.fits(request)) continue;
    if (sandbox.take(request)) return;
    sandbox.stop();
  }
  // A new one takes the place of the one that idles longest, so that all together are never more than were wanted at once.
  Sandbox* longest = nullptr;
  for (auto& sandbox : sandboxes_)
    if (sandbox.idle() && (!longest || sandbox.idle_since() < longest->idle_since())) longest = &sandbox;
  if (longest) longest->stop();
  sandboxes_.emplace_back(host_, std::move(request));
}

/// Whoever wants the machine wants its memory, too; and what nobody can use any more is not worth waiting for.
void Runner::end_idle(TimeMs now) {
  for (auto& sandbox : sandboxes_)
    if (sandbox.idle() && (paused_ || now >= sandbox.idle_since() + idle_kept_ms || sandbox.outdated())) sandbox.stop();
}

void Runner::end_idle_of(std::string_view task_hex) {
  for (auto& sandbox : sandboxes_)
    if (sandbox.idle() && sandbox.task_hex() == task_hex) sandbox.stop();
}

void Runner::reap() {
  for (pid_t pid; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;)
    for (auto& sandbox : sandboxes_)
      if (sandbox.pid() == pid) sandbox.on_exit();
}

bool Runner::keeps(pid_t pid) const {
  return host_.cgroups.employs(pid) || std::any_of(sandboxes_.begin(), sandboxes_.end(), [pid](const Sandbox& sandbox) { return sandbox.owns(pid); });
}

/// What ended sandboxes leave becomes our child, and not all of it ends by itself: bubblewrap's own child, when it had not yet asked to die
/// with its parent, waits for that parent for ever.
void Runner::end_orphans() const {
  for (pid_t pid : children_of(getpid()))
    if (!keeps(pid)) kill(pid, SIGKILL);
}

/// The daemon is gone: ends everything, and waits for it. The control groups go with their pool.
void Runner::end_all() {
  for (auto& sandbox : sandboxes_) sandbox.cancel();
  const TimeMs limit = monotonic_ms() + end_wait_ms;
  for (;;) {
    reap();
    std::erase_if(sandboxes_, [](const Sandbox& sandbox) { return sandbox.pid() < 0; });
    end_orphans();
    const auto left = children_of(getpid());
    if (std::all_of(left.begin(), left.end(), [this](pid_t pid) { return host_.cgroups.employs(pid); }) || monotonic_ms() >= limit) break;
    poll(nullptr, 0, end_pause_ms);
  }
  sandboxes_.clear();
}

/// A report goes out as soon as it stands; the sandbox itself is kept until its processes are gone, for its control group is.
void Runner::report_done() {
  for (auto it = sandboxes_.begin(); it != sandboxes_.end();) {
    if (auto report = it->take_report(); report && !send_frame(daemon_, RunnerFrame::report, encode_report(*report))) _exit(0);
    it = it->ended() && it->pid() < 0 ? sandboxes_.erase(it) : std::next(it);
  }
}

bool Runner::on_daemon() {
  char buffer[64 << 10];
  ssize_t got = recv(daemon_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) {
    end_all();
    return false;
  }
  received_.append(buffer, static_cast<std::size_t>(got));
  take_frames();
  return true;
}

void Runner::take_frames() {
  std::size_t at = 0;
  while (auto frame = next_frame(received_, at)) {
    switch (frame->kind) {
      case RunnerFrame::run: {
        auto request = decode_request(frame->body);
        check(request.ok() && !request->invocations.empty(), "the daemon sends whole requests");
        run_request(std::move(*request));
        break;
      }
      case RunnerFrame::cancel: {
        std::uint64_t job = 0;
        check(frame->body.size() == sizeof job, "a cancelled job has a number");
        std::memcpy(&job, frame->body.data(), sizeof job);
        cancel(job);
        break;
      }
      case RunnerFrame::pause: pause(); break;
      case RunnerFrame::resume: resume(); break;
      case RunnerFrame::end_idle: end_idle_of(frame->body); break;
      case RunnerFrame::report:
      case RunnerFrame::hello: check(false, "the daemon does not say what is the runner's");
    }
  }
  received_.erase(0, at);
}

void Runner::run_request(ExecutionRequest request) {
  if (paused_) waiting_.push_back(std::move(request));
  else start(std::move(request));
}

void Runner::cancel(std::uint64_t job) {
  for (auto& sandbox : sandboxes_)
    if (sandbox.runs(job)) sandbox.cancel();
  std::erase_if(waiting_, [&](const ExecutionRequest& request) {
    if (request.job != job) return false;
    ExecutionReport report;
    report.job = job;
    report.problem = "cancelled";
    send_frame(daemon_, RunnerFrame::report, encode_report(report));
    return true;
  });
}

void Runner::pause() {
  paused_ = true;
  for (auto& sandbox : sandboxes_) sandbox.pause(monotonic_ms());
}

void Runner::resume() {
  paused_ = false;
  for (auto& sandbox : sandboxes_) sandbox.resume(monotonic_ms());
  for (auto& request : std::exchange(waiting_, {})) run_request(std::move(request));
}

}  // namespace

void run_runner(int daemon_fd, const std::string& home, const std::string& bwrap, const SharedLimits& shared) {
  prctl(PR_SET_NAME, "tnode-runner");
  // The daemon's end is seen at its socket, by signals of nobody: a Ctrl-C at the terminal or a service's stop is the daemon's to handle.
  setsid();
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(signal_number, SIG_IGN);
  if (!leave_descriptors(daemon_fd)) _exit(1);
  // First processes outlive their bubblewrap for a moment. Whoever else would get them may never reap (a container's first process), and each
  // counts in its control group until somebody does.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  umask(022);
  {
    SandboxHost host(shared);
    host.home = home;
    host.bwrap = bwrap;
    host.runner = getpid();
    RunnerHello hello;
    hello.limit_mode = host.cgroups.mode();
    hello.limit_problem = host.cgroups.problem();
    hello.pause_mode = host.cgroups.freezes() ? "freezer" : "signals";
    hello.usage_path = host.cgroups.usage_path();
    hello.scoped = host.cgroups.scoped();
    hello.bounds_memory = host.cgroups.bounds_memory();
    if (shared.cpu_milli > 0) hello.cpu_mode = host.cgroups.bounds_cpu() ? "quota" : keep_to_cpus(shared.cpu_milli) ? "affinity" : "none";
    auto prepared = host.prepare(hello.cpu_mode == "affinity");
    if (!prepared) hello.problem = prepared.error().message;
    const uid_t uid = host.drop_to ? host.drop_to->first : geteuid();
    const passwd* user = getpwuid(uid);
    hello.user = user ? user->pw_name : std::to_string(uid);
    Runner runner(daemon_fd, host);
    if (send_frame(daemon_fd, RunnerFrame::hello, encode_hello(hello))) runner.run();
  }  // the control groups are removed here
  _exit(0);
}

}  // namespace tnode
