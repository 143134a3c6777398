#include "executor/runner.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
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
#include <filesystem>
#include <list>
#include <utility>

#include "core/dict_reader.h"
#include "executor/init_image.h"
#include "executor/kernel_files.h"
#include "executor/sandbox.h"
#include "executor/seccomp_filter.h"
#include "executor/wire.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr const char* user_name = "tnode";  // preferred over nobody, whom other services run as too
constexpr uid_t nobody = 65534;
constexpr TimeMs idle_kept_ms = 5'000;  // a sandbox waits so long for the next unit of its task
constexpr TimeMs end_wait_ms = 10'000;  // for killed processes to be gone; one that the kernel does not let go must not keep us
constexpr int end_pause_ms = 5;
constexpr const char* visible_folders[] = {"tasks", "inputs", "results", "runtimes"};  // of the home: what sandboxes may be shown; an input may be a result

std::string errno_text(const std::string& what) { return what + ": " + std::strerror(errno); }

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

Result<int> memory_file(const char* name, std::string_view content) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) return fail(Code::io, errno_text("memfd"));
  return fd;
}

Result<void> write_file(const std::string& path, std::string_view image) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (fd < 0) return fail(Code::io, errno_text("cannot write " + temporary));
  bool good = write(fd, image.data(), image.size()) == static_cast<ssize_t>(image.size()) && fchmod(fd, 0755) == 0;
  close(fd);
  if (!good || rename(temporary.c_str(), path.c_str()) != 0) return fail(Code::io, errno_text("cannot write " + path));
  return {};
}

/// Root's home is closed to others, and bubblewrap runs as somebody else: show it the folders it needs in a mount namespace of our own.
Result<void> show_home(SandboxHost& host) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail(Code::unavailable, errno_text("root cannot make a mount namespace; run tnode as an ordinary user"));
  for (const char* place : {"/mnt", "/media", "/srv"}) {
    if (!fs::is_directory(place) || host.home.starts_with(std::string(place) + "/") || mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) continue;
    host.home_view = place;
    for (const char* folder : visible_folders) {
      const std::string from = host.home + "/" + folder, to = host.home_view + "/" + folder;
      if (mkdir(to.c_str(), 0755) != 0 || mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) return fail(Code::unavailable, errno_text("cannot show " + from + " to the sandbox's user"));
    }
    return {};
  }
  return fail(Code::unavailable, "none of /mnt, /media and /srv can be used to show the home to the sandbox's user");
}

Result<void> prepare(SandboxHost& host, bool pinned) {
  for (const char* folder : visible_folders) {
    std::error_code ec;
    fs::create_directories(host.home + "/" + folder, ec);
    chmod((host.home + "/" + folder).c_str(), 0755);
  }
  if (geteuid() == 0) {
    const passwd* user = getpwnam(user_name);
    host.drop_to = user ? std::pair<uid_t, gid_t>{user->pw_uid, user->pw_gid} : std::pair<uid_t, gid_t>{nobody, nobody};
    if (auto shown = show_home(host); !shown) return shown;
    host.init_path = host.home_view + "/init";
    host.warm_python_path = host.home_view + "/warm-python3.py";
  } else {
    host.init_path = host.home + "/sandbox-init";
    host.warm_python_path = host.home + "/sandbox-warm-python3.py";
  }
  if (auto written = write_file(host.init_path, init_image()); !written) return written;
  if (auto written = write_file(host.warm_python_path, warm_python_image()); !written) return written;
  auto seccomp = seccomp_filter({.watched_memory = host.cgroups.mode() == watchdog_mode, .pinned = pinned});
  if (!seccomp) return seccomp.error();
  auto passwd_file = memory_file("tnode-passwd", sandbox_passwd), group_file = memory_file("tnode-group", sandbox_group);
  if (!passwd_file) return passwd_file.error();
  if (!group_file) return group_file.error();
  host.seccomp = *seccomp;
  host.passwd = *passwd_file;
  host.group = *group_file;
  host.layout = look_at_host();
  host.hidden = files_to_hide();
  return {};
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
  bool send(RunnerFrame kind, std::string_view bytes);

 private:
  bool on_daemon();
  void take_frames();
  void run_request(ExecutionRequest request);
  void cancel(std::uint64_t job);
  void pause();
  void resume();
  void reap();
  void end_orphans() const;
  void end_all();
  void report_done();
  /// How long nothing has to be looked at; -1: until something happens.
  int wait_ms(TimeMs now) const;
  void start(ExecutionRequest request);
  void end_idle(TimeMs now);

  int daemon_;
  SandboxHost& host_;
  std::list<Sandbox> sandboxes_;
  bool paused_ = false;
  std::vector<ExecutionRequest> waiting_;  // asked for while paused
  Bytes received_;
};

bool Runner::send(RunnerFrame kind, std::string_view bytes) {
  const RunnerHeader header{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(bytes.size())};
  Bytes frame(reinterpret_cast<const char*>(&header), sizeof header);
  frame += bytes;
  for (std::string_view rest = frame; !rest.empty();) {
    ssize_t sent = ::send(daemon_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

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
    const TimeMs own = sandbox.idle() ? std::max<TimeMs>(0, sandbox.idle_since() + idle_kept_ms - now) : Sandbox::tick_ms;
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

void Runner::end_idle(TimeMs now) {
  for (auto& sandbox : sandboxes_)
    if (sandbox.idle() && (paused_ || now >= sandbox.idle_since() + idle_kept_ms)) sandbox.stop();  // who wants the machine wants its memory, too
}

void Runner::reap() {
  for (pid_t pid; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;)
    for (auto& sandbox : sandboxes_)
      if (sandbox.pid() == pid) sandbox.on_exit();
}

/// What ended sandboxes leave becomes our child, and not all of it ends by itself: bubblewrap's own child, when it had not yet asked to die
/// with its parent, waits for that parent for ever.
void Runner::end_orphans() const {
  for (pid_t pid : children_of(getpid()))
    if (std::none_of(sandboxes_.begin(), sandboxes_.end(), [&](const Sandbox& sandbox) { return sandbox.pid() == pid; })) kill(pid, SIGKILL);
}

/// The daemon is gone: ends everything, waits for it, and takes the control groups along.
void Runner::end_all() {
  for (auto& sandbox : sandboxes_) sandbox.cancel();
  const TimeMs limit = monotonic_ms() + end_wait_ms;
  for (;;) {
    reap();
    end_orphans();
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || monotonic_ms() >= limit) break;  // no child is left
    if (ended.si_pid == 0) poll(nullptr, 0, end_pause_ms);
  }
  sandboxes_.clear();
}

/// A report goes out as soon as it stands; the sandbox itself is kept until its processes are gone, for its control group is.
void Runner::report_done() {
  for (auto it = sandboxes_.begin(); it != sandboxes_.end();) {
    if (auto report = it->take_report(); report && !send(RunnerFrame::report, encode_report(*report))) _exit(0);
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
  for (;;) {
    RunnerHeader header;
    if (received_.size() - at < sizeof header) break;
    std::memcpy(&header, received_.data() + at, sizeof header);
    if (received_.size() - at - sizeof header < header.length) break;
    std::string_view body = std::string_view(received_).substr(at + sizeof header, header.length);
    at += sizeof header + header.length;
    if (static_cast<RunnerFrame>(header.kind) == RunnerFrame::run) {
      auto request = decode_request(body);
      check(request.ok() && !request->invocations.empty(), "the daemon sends whole requests");
      run_request(std::move(*request));
    } else if (static_cast<RunnerFrame>(header.kind) == RunnerFrame::cancel) {
      std::uint64_t job = 0;
      check(body.size() == sizeof job, "a cancelled job has a number");
      std::memcpy(&job, body.data(), sizeof job);
      cancel(job);
    } else if (static_cast<RunnerFrame>(header.kind) == RunnerFrame::pause) {
      pause();
    } else if (static_cast<RunnerFrame>(header.kind) == RunnerFrame::resume) {
      resume();
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
    send(RunnerFrame::report, encode_report(report));
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

std::string encode_hello(const RunnerHello& hello) {
  return bencode::encode(bencode::Dictionary{{"bounds memory", std::int64_t{hello.bounds_memory}}, {"cpu", hello.cpu_mode}, {"limits", hello.limit_mode}, {"limits problem", hello.limit_problem},
                                             {"pause", hello.pause_mode}, {"problem", hello.problem}, {"scoped", std::int64_t{hello.scoped}}, {"usage", hello.usage_path}, {"user", hello.user}});
}

Result<RunnerHello> decode_hello(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  RunnerHello hello;
  hello.bounds_memory = reader.number("bounds memory", 0, 1) == 1;
  hello.cpu_mode = reader.bytes("cpu", 64);
  hello.limit_mode = reader.bytes("limits", 64);
  hello.limit_problem = reader.bytes("limits problem", 4096);
  hello.pause_mode = reader.bytes("pause", 64);
  hello.problem = reader.bytes("problem", 4096);
  hello.scoped = reader.number("scoped", 0, 1) == 1;
  hello.usage_path = reader.bytes("usage", 4096);
  hello.user = reader.bytes("user", 64);
  if (auto good = reader.finish(); !good) return good.error();
  return hello;
}

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
    auto prepared = prepare(host, hello.cpu_mode == "affinity");
    if (!prepared) hello.problem = prepared.error().message;
    const uid_t uid = host.drop_to ? host.drop_to->first : geteuid();
    const passwd* user = getpwuid(uid);
    hello.user = user ? user->pw_name : std::to_string(uid);
    Runner runner(daemon_fd, host);
    if (runner.send(RunnerFrame::hello, encode_hello(hello))) runner.run();
  }  // the control groups are removed here
  _exit(0);
}

}  // namespace tnode
