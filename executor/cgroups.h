// Memory and process limits by control groups: version 2, version 1, or none. Only ever touches groups it made, below the one it was started in.
// Groups are pooled, and each has a doorman: making one or moving into one costs milliseconds, using one again costs nothing much. The same groups freeze
// sandboxes, and bound all of them together.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/execution.h"
#include "executor/doorman.h"
#include "executor/kernel_files.h"

namespace tnode {

/// The mode without control groups: the sandbox's first process watches memory and processes, and the system-call filter is tighter.
inline constexpr const char* watchdog_mode = "watchdog";

/// One group (on version 1: one in each hierarchy) that one sandbox at a time lives in.
class Cgroup {
 public:
  enum class Freezer : std::uint8_t { none, version1, version2 };
  /// Folders; all the same one on version 2.
  struct Folders { std::string memory, pids, freezer; };
  Cgroup(Folders folders, bool version2, Freezer kind);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// Sets the limits and forgets what was counted before. False when the kernel does not take the limits; then nothing may run in it.
  bool prepare(std::int64_t memory_bytes, std::int64_t processes);
  /// Has somebody at hand who starts processes in it; a new one where the last was killed.
  bool man(const Doorman::Become& become, const std::vector<int>& kept);
  /// A child of this process that lives in the group; -1 when there is nobody to start it.
  pid_t start(const std::vector<std::string>& argv, int control, int errors);
  pid_t doorman() const { return doorman_ ? doorman_->pid() : -1; }
  bool empty() const;              ///< no process lives in it but its doorman
  void forget_refusals() { refused_before_ = refused_forks(); }
  bool out_of_memory() const;      ///< since prepare(), by its own limit
  /// Since prepare(), a process was killed because something around the group was full: the machine, or all sandboxes together.
  bool killed_for_others() const { return oom_kills() > oom_before_ && !out_of_memory(); }
  bool out_of_processes() const;   ///< since prepare() or forget_refusals()
  std::int64_t peak_bytes() const;
  bool can_freeze() const { return freezer_ != Freezer::none; }
  void freeze(bool frozen);

 private:
  bool enter() const;
  bool set_memory(std::int64_t bytes);
  std::int64_t oom_kills() const;
  std::int64_t refused_forks() const;
  bool lives_elsewhere(const KernelFile& members) const;
  Folders folders_;
  bool version2_;
  Freezer freezer_;
  KernelFile peak_, oom_, pids_events_, members_, pids_members_;
  std::unique_ptr<Doorman> doorman_;
  std::int64_t limit_bytes_ = 0, limit_processes_ = 0, oom_before_ = 0, limit_hits_before_ = 0, refused_before_ = 0;
};

class CgroupPool {
 public:
  /// Finds out what this process may use, and sweeps groups that runners left which no longer live.
  explicit CgroupPool(SharedLimits shared);
  ~CgroupPool();
  CgroupPool(const CgroupPool&) = delete;
  CgroupPool& operator=(const CgroupPool&) = delete;
  /// "cgroup2", "cgroup1" or "watchdog"; the last when memory or processes cannot be limited by groups.
  const std::string& mode() const { return mode_; }
  const std::string& problem() const { return problem_; }
  /// A group with these limits in force and nobody in it; none in watchdog mode, or when it cannot be had: see problem().
  std::unique_ptr<Cgroup> take(std::int64_t memory_bytes, std::int64_t processes);
  /// Folders that must stay where they are.
  std::vector<std::string> places() const;
  /// What is started in groups, from now on.
  void starts(Doorman::Become become, std::vector<int> kept);
  /// That process is the doorman of a group that nobody uses.
  bool employs(pid_t pid) const;
  void give_back(std::unique_ptr<Cgroup> group) { free_.push_back(std::move(group)); }

  /// systemd made a scope for the runner: the groups lie in it.
  bool scoped() const { return scoped_; }
  bool freezes() const { return freezer_ != Cgroup::Freezer::none; }
  bool bounds_cpu() const { return bounds_cpu_; }        ///< the shared CPU limit is in force
  bool bounds_memory() const { return bounds_memory_; }  ///< the shared memory limit is in force
  /// A file that counts the CPU time of all sandboxes; empty when there is none. Its first line has it in microseconds.
  const std::string& usage_path() const { return usage_path_; }

 private:
  bool try_version2();
  bool try_version1();
  bool try_scope();
  void find_freezer();
  void bound_all(const SharedLimits& shared);
  /// Makes this runner's group below `place`, and marks it as in use for as long as the process lives; empty when it cannot be made.
  std::string claim(const std::string& place);
  void leave();
  void move_back();
  void move_aside(const std::string& folder) const;
  std::unique_ptr<Cgroup> make();

  std::string mode_ = watchdog_mode, problem_, usage_path_;
  std::string name_;                                // of this runner's groups: process id and start time
  std::string memory_parent_, pids_parent_, freezer_parent_;
  Cgroup::Freezer freezer_ = Cgroup::Freezer::none;
  bool bounds_cpu_ = false, bounds_memory_ = false;
  std::vector<std::string> claimed_;                // folders, removed at the end
  std::vector<std::string> moved_out_of_;           // where this process lived before it moved into one of them
  std::string own_version2_, leaf_;                 // the group we were started in, and the one below it that we moved to
  bool added_controllers_ = false, scoped_ = false;
  std::vector<int> locks_;
  int made_ = 0;
  std::vector<std::unique_ptr<Cgroup>> free_;
  Doorman::Become become_;                          // what doormen start, and the descriptors that this takes
  std::vector<int> kept_;
};

}  // namespace tnode
