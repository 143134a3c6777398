// Memory and process limits by control groups: version 2, version 1, or none. Only ever touches groups it made, below the one it was started in.
// Groups are pooled: making one costs milliseconds, using one again costs two writes.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

/// The mode without control groups: the sandbox's first process watches memory and processes, and the system-call filter is tighter.
inline constexpr const char* watchdog_mode = "watchdog";

/// One group (on version 1: a pair of them) that one sandbox at a time lives in.
class Cgroup {
 public:
  struct Controllers { std::string memory, pids; };  ///< folders; the same one on version 2, empty where there is none
  Cgroup(Controllers folders, bool version2) : folders_(std::move(folders)), version2_(version2) {}
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// Sets the limits and forgets what was counted before. False when the kernel does not take the limits; then nothing may run in it.
  bool prepare(std::int64_t memory_bytes, std::int64_t processes);
  /// Moves the calling process in. Async-signal-safe enough for a child between fork and exec.
  bool join() const;
  bool empty() const;              ///< no process lives in it
  bool out_of_memory() const;      ///< since prepare()
  bool out_of_processes() const;   ///< since prepare()
  std::int64_t peak_bytes() const;

 private:
  std::int64_t oom_kills() const;
  std::int64_t refused_forks() const;
  Controllers folders_;
  bool version2_;
  std::int64_t oom_before_ = 0, refused_before_ = 0;
};

class CgroupPool {
 public:
  /// Finds out what this process may use, and sweeps groups that runners left which no longer live.
  CgroupPool();
  /// "cgroup2", "cgroup1" or "watchdog"; the last when memory or processes cannot be limited by groups.
  const std::string& mode() const { return mode_; }
  const std::string& problem() const { return problem_; }
  /// A group with these limits in force and nobody in it; none in watchdog mode, or when it cannot be had: see problem().
  std::unique_ptr<Cgroup> take(std::int64_t memory_bytes, std::int64_t processes);
  void give_back(std::unique_ptr<Cgroup> group) { free_.push_back(std::move(group)); }

 private:
  bool try_version2();
  bool try_version1();
  std::unique_ptr<Cgroup> make();
  void sweep(const std::string& parent) const;

  std::string mode_ = watchdog_mode, problem_;
  std::string memory_parent_, pids_parent_;
  std::string name_;  // of this runner's groups: process id and start time
  int made_ = 0;
  std::vector<std::unique_ptr<Cgroup>> free_;
};

}  // namespace tnode
