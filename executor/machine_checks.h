// What this machine offers for a sandbox, in words for people: one line each, with the command that mends it. Starts nothing.
#pragma once
#include <string>
#include <string_view>

#include "executor/executor.h"
#include "executor/wire.h"

namespace tnode {

/// The path of a program, by PATH and the usual folders; empty when it is not installed.
std::string find_program(const std::string& name);

/// What decides which command mends a machine.
struct MachineFacts {
  std::string installer = "sudo apt install";  ///< of this distribution
  std::int64_t user_namespaces = 1;            ///< user.max_user_namespaces
  bool clone_allowed = true;                   ///< kernel.unprivileged_userns_clone, where there is one
  bool apparmor_restricts = false;             ///< kernel.apparmor_restrict_unprivileged_userns
  bool in_container = false, systemd = false, root = false;
  /// Where the kernel has the memory controller: in version 2, bound to version 1, or switched off when it was started.
  enum class Controllers : std::uint8_t { version2, version1, off } controllers = Controllers::version2;
};
MachineFacts look_at_machine();
/// From the text of /proc/cgroups.
MachineFacts::Controllers controllers_of(std::string_view cgroups);

/// The command that installs bubblewrap here.
std::string bubblewrap_remedy(const MachineFacts& facts);
/// The likely mend for a sandbox that did not start for that reason.
std::string namespace_remedy(const std::string& problem, const MachineFacts& facts);
/// What gives tnode control groups of its own.
std::string limits_remedy(const MachineFacts& facts);

SandboxState::Check bubblewrap_check(const std::string& path);
/// Why a trial sandbox did not work, and the likely mend.
SandboxState::Check failed_trial_check(const std::string& problem);
/// What a process in a working sandbox says of itself in /proc/self/status, and what the runner found.
std::vector<SandboxState::Check> working_checks(std::string_view status, const RunnerHello& hello);

}  // namespace tnode
