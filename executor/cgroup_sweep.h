// Removes control groups that runners left which were killed. A group is left behind only if nobody holds its lock *and* its name tells of
// a process that is no more: a name alone says nothing, ids are used again, and other containers count them differently.
#pragma once
#include <string>

namespace tnode {

inline constexpr const char* group_prefix = "tnode-";
/// Ends the name of the group that a runner itself moved into; it may still hold a daemon whose runner was killed.
inline constexpr const char* runner_suffix = "-runner";

/// "tnode-PID-START": the name of a runner's groups.
std::string group_name_of(int pid);

/// A lock on the folder that lasts as long as the descriptor, and with it the process; -1 when somebody else has it.
int lock_group(const std::string& folder);

/// Removes a group and those below it, waiting a moment for processes that are being killed. What is frozen in it is let go first:
/// on version 1 a kill reaches it only then.
void remove_group(const std::string& folder);

/// Kills what lives in groups that were left behind in this folder, and removes them. Waits a moment for all together; what does not end
/// by then is left to the next sweep.
void sweep_groups(const std::string& parent);

}  // namespace tnode
