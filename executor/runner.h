// The runner: a process of one thread, forked before the daemon opens sockets, stores or threads; all sandboxes are its children.
// It holds nothing worth stealing, and ends, with all sandboxes, when the daemon does.
#pragma once
#include <string>

#include "core/execution.h"

namespace tnode {

/// What the runner found when it started; the first thing it tells the daemon.
struct RunnerHello {
  std::string problem;      ///< why nothing can run, or empty
  std::string limit_mode, limit_problem;
  std::string cpu_mode;     ///< "quota", "affinity"; "" when no limit was asked for
  std::string pause_mode;   ///< "freezer", "signals"
  std::string usage_path;   ///< file with the CPU time of all sandboxes, or empty
  bool scoped = false;         ///< the groups lie in a scope that systemd made for them
  bool bounds_memory = false;  ///< a control group holds the shared memory limit
  std::string user;         ///< who sandboxes run as on the host
};
std::string encode_hello(const RunnerHello& hello);
Result<RunnerHello> decode_hello(std::string_view bytes);

/// Never returns. `daemon_fd` is the socket to the daemon.
[[noreturn]] void run_runner(int daemon_fd, const std::string& home, const std::string& bwrap, const SharedLimits& shared);

}  // namespace tnode
