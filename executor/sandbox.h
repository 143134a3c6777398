// A sandbox: bubblewrap started, the indices of units sent in, what init says taken to the unit. Lives in the runner's thread.
#pragma once
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "executor/cgroups.h"
#include "executor/plan.h"
#include "executor/unit_run.h"

namespace tnode {

/// What a request wants shown, checked; `invalid` for what must not be shown.
struct SandboxHost;
Result<SandboxPlan> plan_for(const SandboxHost& host, const ExecutionRequest& request);
/// The folders and files that a task reads, as the kernel knows them: one that was deleted and made again is another.
std::vector<std::pair<dev_t, ino_t>> identities(const SandboxPlan& plan, const std::string& task_dir, const std::string& runtime_dir);

/// What all sandboxes of a runner share.
struct SandboxHost {
  std::string bwrap;                       ///< path of bubblewrap
  std::string init_path;                   ///< the first process's program, where the sandbox's user can read it
  std::string warm_python_path;            ///< tnode's warm command for Python, likewise
  RootLayout layout;
  std::vector<std::string> hidden;         ///< files of /proc that are covered up
  int seccomp = -1, passwd = -1, group = -1;
  std::optional<std::pair<uid_t, gid_t>> drop_to;  ///< set when the runner is root
  std::string home, home_view;             ///< the home folder, and where the sandbox's user sees it
  pid_t runner = -1;                       ///< whose death ends every sandbox
  CgroupPool cgroups;
  explicit SandboxHost(SharedLimits shared) : cgroups(shared) {}
  /// A path below the home as the sandbox's user reaches it.
  std::string view(const std::string& path) const;
  /// Of a new process, which has two descriptors of its parent's: gives away everything that a task must not have.
  [[noreturn]] void become_bubblewrap(char* const* argv, int control, int errors) const;
  /// In a child of the calling process.
  pid_t start_here(const std::vector<std::string>& arguments, int control, int errors) const;
  /// Everything but the control groups and the three paths that are known from the start. `pinned`: sandboxes live on some of the CPUs.
  Result<void> prepare(bool pinned);
};

/// One sandbox. It runs units of one task with one layout and the same limits, one after the other, and idles between them.
class Sandbox {
 public:
  Sandbox(SandboxHost& host, ExecutionRequest request);
  ~Sandbox();

  int control_fd() const { return control_; }
  int error_fd() const { return errors_; }
  pid_t pid() const { return pid_; }
  /// The unit in it is this one.
  bool runs(std::uint64_t job) const { return unit_ && unit_->request().job == job; }
  /// It has ended; its processes may still be going.
  bool ended() const { return control_ < 0; }
  bool idle() const { return !unit_ && !ended(); }
  /// That process is its bubblewrap, or starts things in its control group.
  bool owns(pid_t pid) const { return pid == pid_ || (cgroup_ && cgroup_->doorman() == pid); }
  TimeMs idle_since() const { return idle_since_; }
  const std::string& task_hex() const { return task_hex_; }
  /// What it shows is no longer there, or something else.
  bool outdated() const { return identities(plan_, task_dir_, runtime_dir_) != shown_; }

  /// Whether this unit would find in it what a sandbox of its own would have.
  bool fits(const ExecutionRequest& request) const;
  /// Runs a unit that fits; false when it has to have a sandbox of its own after all.
  bool take(ExecutionRequest& request);
  /// The unit's report, once, as soon as it stands.
  std::optional<ExecutionReport> take_report();

  void on_control();
  void on_errors();
  /// Limits that are watched from outside; called at least every tick_ms while it runs.
  void tick(TimeMs now);
  void cancel();
  void stop();
  /// Everything in it stands still, and no limit of time runs; then goes on as if nothing had been.
  void pause(TimeMs now);
  void resume(TimeMs now);
  void on_exit() { pid_ = -1; }

  static constexpr int tick_ms = 50;

 private:
  Result<void> start();
  void send_index(const Invocation& invocation);
  /// Before it can be read, if it fits the socket.
  void send_ahead(const Invocation& invocation);
  void await_end();
  Bytes run_frame(const Invocation& invocation) const;
  void send_all(std::string_view bytes);
  /// Has init end the index that runs; its report follows.
  void stop_index(TimeMs now);
  void take_frames();
  bool take_frame(std::uint32_t type, std::string_view payload);
  bool on_file(std::string_view payload);
  bool on_bad(std::string_view payload);
  bool on_end(std::string_view payload);
  bool on_collected();
  void on_closed();
  void problem(std::string what);

  SandboxHost& host_;
  SandboxPlan plan_;
  std::vector<std::pair<dev_t, ino_t>> shown_;  ///< which folders the plan's inputs were when it started
  std::string task_hex_, task_dir_, runtime_dir_;
  RunLimits limits_;
  std::vector<std::string> warm_;
  std::map<std::string, std::string> warm_env_;
  std::optional<UnitRun> unit_;
  std::unique_ptr<Cgroup> cgroup_;
  pid_t pid_ = -1;
  int control_ = -1, errors_ = -1;
  Bytes received_;
  std::uint32_t data_left_ = 0;
  /// What init may say next: hello, nothing, how the index ended, what it wrote.
  enum class Turn { hello, idle, end, outputs } turn_ = Turn::hello;
  bool stopping_ = false, ahead_ = false;  ///< ahead_: init has the next index's request already
  TimeMs deadline_ = 0, next_look_ = 0, idle_since_ = 0;
  std::optional<TimeMs> paused_since_;
  std::vector<pid_t> stopped_;  // where there is no freezer: what was stopped by signals
  std::string error_text_;
};

/// A control group's limits for a unit's. Files in /tmp and out/ live in memory and count there too; besides the task's processes it holds
/// its doorman, bubblewrap's two, init, and a warm command where there is one.
inline constexpr std::int64_t warm_processes = 1;
inline std::int64_t group_memory(const RunLimits& limits) { return limits.memory_bytes + limits.disk_bytes; }
inline std::int64_t group_processes(const RunLimits& limits, bool warm) { return limits.processes + 4 + (warm ? warm_processes : 0); }

TimeMs monotonic_ms();

}  // namespace tnode
