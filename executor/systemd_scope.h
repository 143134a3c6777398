// A control group of one's own from systemd: where the group that tnode was started in is not its to divide, the service manager makes a scope
// with delegated controllers and moves the runner there, and nothing else. Asks by the program busctl.
#pragma once
#include <string>
#include <vector>

namespace tnode {

/// The request, as data. `user`: of the user's own service manager, else of the system's.
std::vector<std::string> scope_request(const std::string& busctl, bool user, const std::string& name, int pid);

/// Moves the calling process. Empty when it is done, else why not, for people.
std::string enter_systemd_scope(const std::string& name);

}  // namespace tnode
