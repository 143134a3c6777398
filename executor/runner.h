// The runner: a process of one thread, forked before the daemon opens sockets, stores or threads; all sandboxes are its children.
// It holds nothing worth stealing, and ends, with all sandboxes, when the daemon does.
#pragma once
#include <string>

#include "core/execution.h"

namespace tnode {

/// Never returns. `daemon_fd` is the socket to the daemon.
[[noreturn]] void run_runner(int daemon_fd, const std::string& home, const std::string& bwrap, const SharedLimits& shared);

}  // namespace tnode
