// Where this process stands in the machine's control-group hierarchies. Reads two files of /proc; changes nothing.
#pragma once
#include <string>
#include <string_view>

namespace tnode {

/// The folder of a controller's group that a process lives in, from the texts of /proc/PID/mountinfo and /proc/PID/cgroup.
/// `controller` empty: the version 2 hierarchy. Empty when none is mounted, or the group lies outside of what is mounted here.
std::string cgroup_folder(std::string_view mountinfo, std::string_view cgroups, std::string_view controller);

/// That of the calling process.
std::string own_cgroup_folder(std::string_view controller);

}  // namespace tnode
