// How a sandbox comes to be: the process between fork and bubblewrap, which gives away everything a task must not have.
#include <fcntl.h>
#include <grp.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "core/bundle_paths.h"
#include "executor/kernel_files.h"
#include "executor/sandbox.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs start_wait_ms = 15'000;  // a sandbox that does not stand by then is a problem of this machine
// The machine's owner comes first: at the CPU by this, at the disk by the idle class, and what must go when memory is short is a sandbox.
constexpr int niceness = 10;
// Each entry is a mount of its own when in/ is put together from several torrents.
constexpr std::size_t max_merged_inputs = 4096;

/// A descriptor of the same file with an offset of its own.
int reopened(int fd) { return open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY); }

[[noreturn]] void give_up(const char* what) {
  dprintf(STDERR_FILENO, "%s: %s", what, std::strerror(errno));
  _exit(1);
}

}  // namespace

Result<SandboxPlan> plan_for(const SandboxHost& host, const ExecutionRequest& request) {
  SandboxPlan plan;
  plan.init_path = host.init_path;
  plan.disk_bytes = request.limits.disk_bytes;
  if (!request.warm.empty()) plan.warm_python = host.warm_python_path;
  plan.hidden = host.hidden;
  plan.watched_memory = host.cgroups.mode() == watchdog_mode;
  const fs::path inputs = request.task_dir + "/in";
  std::error_code ec;
  // bubblewrap follows links in what it binds, so a link here would show the task something else of this machine.
  const auto status = fs::symlink_status(inputs, ec);
  if (fs::exists(status) && !fs::is_directory(status)) return fail(Code::invalid, inputs.string() + " is not a folder; nothing else is shown to a task");
  if (request.foreign_inputs.empty()) {
    if (fs::exists(status)) plan.inputs_dir = host.view(inputs.string());
    return plan;
  }
  std::set<std::string> names;
  auto add = [&](const std::string& name, const std::string& path) -> Result<void> {
    if (auto good = check_path_part(name); !good) return good;
    const auto kind = fs::symlink_status(path, ec);
    if (!fs::is_directory(kind) && !fs::is_regular_file(kind)) return fail(Code::invalid, "the input " + path + " is neither a folder nor a file");
    if (!names.insert(name).second) return fail(Code::invalid, "two inputs are named " + quoted_name(name));
    if (names.size() > max_merged_inputs) return fail(Code::invalid, "in/ has more than " + std::to_string(max_merged_inputs) + " entries beside inputs from other torrents; put them in a folder");
    plan.inputs.emplace_back(name, host.view(path));
    return {};
  };
  if (fs::exists(status))
    for (const auto& entry : fs::directory_iterator(inputs, ec))
      if (auto good = add(entry.path().filename().string(), entry.path().string()); !good) return good.error();
  for (const auto& [name, path] : request.foreign_inputs)
    if (auto good = add(name, path); !good) return good.error();
  return plan;
}

std::vector<std::pair<dev_t, ino_t>> identities(const SandboxPlan& plan, const std::string& task_dir, const std::string& runtime_dir) {
  std::vector<std::pair<dev_t, ino_t>> found;
  auto add = [&](const std::string& path) {
    struct stat st{};
    if (stat(path.c_str(), &st) == 0) found.emplace_back(st.st_dev, st.st_ino);
  };
  add(task_dir);
  if (!plan.inputs_dir.empty()) add(plan.inputs_dir);
  for (const auto& [name, path] : plan.inputs) add(path);
  if (!runtime_dir.empty()) add(runtime_dir);
  return found;
}

Result<void> Sandbox::start() {
  auto made = plan_for(host_, unit_->request());
  if (!made) return made.error();
  plan_ = std::move(*made);
  shown_ = identities(plan_, task_dir_, runtime_dir_);
  RootLayout runtime;
  if (!runtime_dir_.empty()) {
    auto seen = look_at_runtime(runtime_dir_, host_.view(runtime_dir_));
    if (!seen) return seen.error();
    runtime = std::move(*seen);
  }
  auto arguments = sandbox_arguments(plan_, runtime_dir_.empty() ? host_.layout : runtime);
  int control[2], errors[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0) return fail(Code::io, std::string("socketpair: ") + std::strerror(errno));
  control_ = control[0];
  if (pipe2(errors, O_CLOEXEC) != 0) {
    close(control[1]);
    return fail(Code::io, std::string("pipe: ") + std::strerror(errno));
  }
  errors_ = errors[0];
  fcntl(errors_, F_SETFL, O_NONBLOCK);
  cgroup_ = host_.cgroups.take(group_memory(limits_), group_processes(limits_, !warm_.empty()));
  if (!cgroup_ && host_.cgroups.mode() != watchdog_mode) {
    close(control[1]);
    close(errors[1]);
    return fail(Code::io, "no control group for the sandbox: " + host_.cgroups.problem());
  }
  deadline_ = monotonic_ms() + start_wait_ms;
  pid_ = cgroup_ ? cgroup_->start(arguments, control[1], errors[1]) : host_.start_here(arguments, control[1], errors[1]);
  close(control[1]);
  close(errors[1]);
  if (pid_ < 0) return fail(Code::io, cgroup_ ? "no process could be started in the control group" : std::string("vfork: ") + std::strerror(errno));
  send_ahead(unit_->invocation());
  return {};
}

pid_t SandboxHost::start_here(const std::vector<std::string>& arguments, int control, int errors) const {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // Nothing is copied: until bubblewrap runs in it, the child has the runner's memory, and the runner waits.
  const pid_t pid = vfork();
  if (pid == 0) become_bubblewrap(argv.data(), control, errors);
  return pid;
}

/// Keeps nothing that it allocates, for its memory is the runner's, or a doorman's.
void SandboxHost::become_bubblewrap(char* const* argv, int control, int errors) const {
  // Everything moves out of the way first: the wanted numbers may be taken by one another.
  constexpr int out_of_the_way = 64;
  const int wanted[] = {fcntl(errors, F_DUPFD, out_of_the_way), fcntl(control, F_DUPFD, out_of_the_way), fcntl(reopened(seccomp), F_DUPFD, out_of_the_way),
                        fcntl(reopened(passwd), F_DUPFD, out_of_the_way), fcntl(reopened(group), F_DUPFD, out_of_the_way)};
  const int null = open("/dev/null", O_RDWR);
  if (dup2(wanted[0], 2) < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) give_up("cannot arrange descriptors");
  for (int i = 1; i < 5; ++i)
    if (dup2(wanted[i], 2 + i) < 0) give_up("cannot arrange descriptors");
  // An inherited descriptor is a way out of any sandbox.
  if (syscall(SYS_close_range, 7U, ~0U, 0U) != 0) give_up("cannot close descriptors");
  setpriority(PRIO_PROCESS, 0, niceness);
  const rlimit no_core{1, 1};  // less than any core, and the one value at which the kernel calls no core_pattern helper of the host; the filter keeps it
  setrlimit(RLIMIT_CORE, &no_core);
  syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
  write_kernel_file("/proc/self/oom_score_adj", "1000");
  if (drop_to) {
    auto [uid, gid] = *drop_to;
    if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) give_up("cannot leave root");
  }
  if (geteuid() == 0) {
    errno = EPERM;
    give_up("still root");
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which forgets it
  if (getppid() != runner) _exit(1);
  // What the runner does not listen to, a task may.
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(bwrap.c_str(), argv);
  give_up("cannot start bubblewrap");
}

}  // namespace tnode
