#include "executor/machine_checks.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "executor/cgroups.h"
#include "executor/plan.h"

namespace tnode {
namespace {

using Check = SandboxState::Check;

std::int64_t number_in(const char* path, std::int64_t otherwise) {
  std::ifstream file(path);
  std::int64_t value;
  return file >> value ? value : otherwise;
}

/// The likely mend for a sandbox that does not start.
std::string namespace_remedy(const std::string& problem) {
  if (problem.find("Unknown option") != std::string::npos) return "install bubblewrap 0.8 or newer: " + std::string(bubblewrap_remedy);
  if (number_in("/proc/sys/user/max_user_namespaces", 1) == 0) return "sudo sysctl -w user.max_user_namespaces=15000";
  if (number_in("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0) return "sudo sysctl -w kernel.unprivileged_userns_clone=1";
  if (number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1) return "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
  return "inside a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or use a machine that allows user namespaces";
}

/// The first word behind "Name:" in /proc/PID/status.
std::string field_of(std::string_view status, const std::string& name) {
  auto at = status.find("\n" + name + ":");
  if (at == std::string_view::npos) return {};
  at = std::min(status.find_first_not_of(" \t", at + name.size() + 2), status.size());
  return std::string(status.substr(at, status.find_first_of(" \t\n", at) - at));
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  const std::string folders = std::string(path ? path : "") + ":/usr/local/bin:/usr/bin:/bin";
  for (std::size_t at = 0; at < folders.size();) {
    const auto end = std::min(folders.find(':', at), folders.size());
    const std::string candidate = folders.substr(at, end - at) + "/" + name;
    if (end > at && access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return {};
}

Check bubblewrap_check(const std::string& path) {
  if (path.empty()) return {"bubblewrap", Check::missing, "the program bwrap is not installed", bubblewrap_remedy};
  return {"bubblewrap", Check::good, path, ""};
}

Check failed_trial_check(const std::string& problem) { return {"namespaces", Check::missing, problem, namespace_remedy(problem)}; }

std::vector<Check> working_checks(std::string_view status, const RunnerHello& hello) {
  std::vector<Check> checks;
  auto demand = [&](const char* what, bool good, std::string detail, std::string remedy) {
    checks.push_back({what, good ? Check::good : Check::missing, std::move(detail), good ? std::string() : std::move(remedy)});
  };
  const std::string filter = field_of(status, "Seccomp"), capabilities = field_of(status, "CapEff"), uid = field_of(status, "Uid");
  demand("namespaces", true, "user, mount, process, network, ipc and host name are separate", "");
  demand("seccomp", filter == "2", filter == "2" ? "the system-call filter holds" : "no system-call filter is in force", "use a kernel with CONFIG_SECCOMP_FILTER=y");
  const bool harmless = uid == std::to_string(sandbox_uid) && capabilities.find_first_not_of('0') == std::string::npos && !capabilities.empty();
  demand("user", harmless, "tasks run as '" + hello.user + "' outside, as uid " + uid + (harmless ? " without capabilities" : " with capabilities " + capabilities) + " inside", "run tnode as an ordinary user");
  const bool watched = hello.limit_mode == watchdog_mode;
  const std::string remedy = watched ? "systemd-run --user --scope -p Delegate=yes tnode farm" : "";
  const Check::Level level = watched ? Check::weaker : Check::good;
  checks.push_back({"memory", level, watched ? "watched every 50 ms instead of limited by the kernel: " + hello.limit_problem : "limited by " + hello.limit_mode, remedy});
  checks.push_back({"processes", level, watched ? "limited by RLIMIT_NPROC in the sandbox's own user namespace, and watched every 50 ms" : "limited by " + hello.limit_mode, remedy});
  return checks;
}

}  // namespace tnode
