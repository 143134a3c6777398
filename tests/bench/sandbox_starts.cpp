// Starts programs in one of several ways, as often as asked, and says how long it took: scripts/bench/sandbox.py compares the ways.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "executor/executor.h"
#include "executor/plan.h"
#include "executor/seccomp_filter.h"

using namespace tnode;

namespace {

using Clock = std::chrono::steady_clock;
using Command = std::vector<std::string>;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

std::vector<char*> pointers(Command& command) {
  std::vector<char*> argv;
  for (auto& part : command) argv.push_back(part.data());
  argv.push_back(nullptr);
  return argv;
}

void expect_good(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) die("the program failed");
}

/// No sandbox at all.
void spawn(Command command) {
  auto argv = pointers(command);
  pid_t pid = -1;
  if (posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) die("cannot start " + command[0]);
  expect_good(pid);
}

int memory_file(std::string_view content) {
  const int fd = memfd_create("bench", 0);
  if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) die("memfd_create");
  return fd;
}

/// bubblewrap by itself with the arguments that a task's sandbox has, as the user that it has; the program in place of the first process.
class Bubblewrap {
 public:
  explicit Bubblewrap(const Command& command) {
    auto filter = seccomp_filter({.watched_memory = false});
    if (!filter) die(filter.error().message);
    filter_ = *filter;
    SandboxPlan plan;
    plan.init_path = std::filesystem::canonical("/usr/bin/true").string();
    plan.disk_bytes = 256 << 20;
    arguments_ = sandbox_arguments(plan, look_at_host());
    arguments_.pop_back();
    arguments_.insert(arguments_.end(), command.begin(), command.end());
    if (geteuid() != 0) return;
    const passwd* user = getpwnam("tnode");
    user_ = user ? user->pw_uid : 65534;
  }
  void start() {
    auto argv = pointers(arguments_);
    const SandboxDescriptors wanted;
    const pid_t pid = vfork();
    if (pid == 0) {
      const int high[] = {fcntl(open(("/proc/self/fd/" + std::to_string(filter_)).c_str(), O_RDONLY), F_DUPFD, 64), fcntl(memory_file(sandbox_passwd), F_DUPFD, 64), fcntl(memory_file(sandbox_group), F_DUPFD, 64)};
      lseek(high[1], 0, SEEK_SET);
      lseek(high[2], 0, SEEK_SET);
      dup2(high[0], wanted.seccomp);
      dup2(high[1], wanted.passwd);
      dup2(high[2], wanted.group);
      syscall(SYS_close_range, 7U, ~0U, 0U);
      if (user_ != 0 && (setgroups(0, nullptr) != 0 || setresgid(user_, user_, user_) != 0 || setresuid(user_, user_, user_) != 0)) _exit(1);
      execvp("bwrap", argv.data());
      _exit(1);
    }
    expect_good(pid);
  }

 private:
  Command arguments_;
  int filter_ = -1;
  uid_t user_ = 0;
};

/// Units of the real executor, one after the other.
class Units {
 public:
  Units() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tnode-bench-XXXXXX").string();
    if (!mkdtemp(pattern.data())) die("cannot make " + pattern);
    dir_ = pattern;
    auto started = Executor::start(dir_ + "/home");
    if (!started) die(started.error().message);
    executor_ = std::move(*started);
    executor_->on_report([this](ExecutionReport report) {
      std::lock_guard lock(mutex_);
      report_ = std::move(report);
      there_ = true;
      changed_.notify_all();
    });
  }
  ~Units() {
    executor_.reset();
    std::error_code ec;
    std::filesystem::remove_all(dir_, ec);
  }

  void run(const std::string& task, const Command& command, int indices, const Command& warm = {}) {
    ExecutionRequest request;
    request.job = ++jobs_;
    request.task_dir = dir_ + "/home/tasks/none";
    request.task_hex = task;
    const std::map<std::string, std::string> env{{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}, {"TZ", "UTC"}};
    for (int i = 0; i < indices; ++i) request.invocations.push_back({i, command, env});
    request.warm = warm;
    request.warm_env = env;
    request.outputs = {"out/**"};
    request.result_dir = dir_ + "/result";
    there_ = false;
    executor_->run(request);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return there_; });
    if (!report_.ran || !report_.outcome.good()) die("a unit failed: " + report_.problem + report_.failure_detail + report_.stderr_tail);
  }

 private:
  std::string dir_;
  std::unique_ptr<Executor> executor_;
  std::uint64_t jobs_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  ExecutionReport report_;
  bool there_ = false;
};

}  // namespace

/// Reads "WAY COUNT" lines and answers each with the seconds it took, so that the ways can take turns within one set of processes.
int main(int argc, char** argv) {
  if (argc < 2) die("usage: bench_sandbox PROGRAM [ARGUMENT]...   with lines 'WAY COUNT' on stdin");
  const Command command(argv + 1, argv + argc);
  setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);  // as in a sandbox
  Units units;  // first: it forks
  Bubblewrap bubblewrap(command);
  int tasks = 0;
  char way[32];
  int count = 0;
  while (std::scanf("%31s %d", way, &count) == 2) {
    const std::string name = way;
    const auto begin = Clock::now();
    if (name == "spawn") for (int i = 0; i < count; ++i) spawn(command);
    else if (name == "bubblewrap") for (int i = 0; i < count; ++i) bubblewrap.start();
    else if (name == "cold") for (int i = 0; i < count; ++i) units.run("cold-" + std::to_string(++tasks), command, 1);
    else if (name == "units") for (int i = 0; i < count; ++i) units.run("warm", command, 1);
    else if (name == "indices") units.run("warm", command, count);
    else if (name == "forked") units.run("forked", command, count, {"python3", warm_python_path});
    else if (name == "forked-units") for (int i = 0; i < count; ++i) units.run("forked", command, 1, {"python3", warm_python_path});
    else if (name == "forked-with-modules") units.run("modules", command, count, {"python3", warm_python_path, "argparse", "json", "random"});
    else die("no such way: " + name);
    std::printf("%.6f\n", std::chrono::duration<double>(Clock::now() - begin).count());
    std::fflush(stdout);
  }
}
