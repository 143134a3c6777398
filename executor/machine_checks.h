// What this machine offers for a sandbox, in words for people: one line each, with the command that mends it. Starts nothing.
#pragma once
#include <string>
#include <string_view>

#include "executor/executor.h"
#include "executor/runner.h"

namespace tnode {

/// The path of a program, by PATH and the usual folders; empty when it is not installed.
std::string find_program(const std::string& name);

inline constexpr const char* bubblewrap_remedy = "sudo apt install bubblewrap";

SandboxState::Check bubblewrap_check(const std::string& path);
/// Why a trial sandbox did not work, and the likely mend.
SandboxState::Check failed_trial_check(const std::string& problem);
/// What a process in a working sandbox says of itself in /proc/self/status, and what the runner found.
std::vector<SandboxState::Check> working_checks(std::string_view status, const RunnerHello& hello);

}  // namespace tnode
