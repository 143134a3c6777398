// The executor adapter: runs units in bubblewrap through a runner process that was forked before anything else.
// Owns the runner and one reader thread. Never opens a socket or a store, never runs anything outside the sandbox.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/execution.h"

namespace tnode {

/// Which limits hold on this machine; said in bids and by `doctor`.
struct SandboxState {
  bool whole = false;               ///< everything docs/sandbox.md names is in force
  std::string limit_mode;           ///< "cgroup2", "cgroup1", "watchdog"
  struct Check { std::string what; enum Level { good, weaker, missing } level = good; std::string detail, remedy; };
  std::string cpu_mode;             ///< how a shared CPU limit holds: "quota", "affinity"; "" without one
  bool bounds_memory = false;       ///< a control group holds a shared memory limit
  std::string pause_mode;           ///< "freezer", "signals"
  std::vector<Check> checks;        ///< one line each for doctor
  bool usable() const { for (const auto& c : checks) if (c.level == Check::missing) return false; return true; }
};

class Executor {
 public:
  using Sink = std::function<void(ExecutionReport)>;  ///< called from the executor's own thread

  /// Forks the runner. Must be the first thing a process does: before threads, sockets and stores exist.
  /// `home` is the folder under which tasks and results of this node live (may not exist yet).
  /// `unavailable` with a remedy when the sandbox cannot be had.
  static Result<std::unique_ptr<Executor>> start(const std::string& home, const SharedLimits& shared = {});
  ~Executor();  ///< ends every sandbox and the runner

  void on_report(Sink sink);
  /// Starts at once; the caller bounds how many run side by side.
  void run(ExecutionRequest request);
  /// Kills the job; its report says ran = false, problem "cancelled".
  void cancel(std::uint64_t job);
  /// No more units of this task are to come: a sandbox that idles for it ends.
  void end_idle(const std::string& task_hex);
  /// Freezes everything that runs, until resume(); a frozen unit's limits of time stand still too. A unit asked for meanwhile starts then.
  void pause();
  void resume();
  /// CPU time that all sandboxes used since the start; also their helpers'. Reads a few files.
  std::int64_t cpu_ms() const;
  const SandboxState& state() const;

 private:
  friend SandboxState examine_sandbox(const std::string& home);
  struct Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Starts a sandbox, looks, and ends it; for `doctor`.
SandboxState examine_sandbox(const std::string& home);

}  // namespace tnode
