// The processes below one: stopping them all, letting them go on, adding up what they used. For machines without a freezer group.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace tnode {

/// Stops (SIGSTOP) everything below `root`, whatever it forks meanwhile; `root` itself goes on. What was stopped, for continue_processes():
/// processes that had stopped by themselves are not among it.
std::vector<pid_t> stop_below(pid_t root);
void continue_processes(const std::vector<pid_t>& stopped);

/// CPU time of `root`, of what lives below it, and of what ended there and was waited for.
std::int64_t cpu_ms_of_tree(pid_t root);

}  // namespace tnode
