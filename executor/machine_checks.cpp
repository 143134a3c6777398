#include "executor/machine_checks.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "executor/cgroups.h"
#include "executor/kernel_files.h"
#include "executor/plan.h"

namespace tnode {
namespace {

using Check = SandboxState::Check;

std::int64_t number_in(const char* path, std::int64_t otherwise) {
  std::ifstream file(path);
  std::int64_t value;
  return file >> value ? value : otherwise;
}

/// The first word behind "Name:" in /proc/PID/status.
std::string field_of(std::string_view status, const std::string& name) {
  auto at = status.find("\n" + name + ":");
  if (at == std::string_view::npos) return {};
  at = std::min(status.find_first_not_of(" \t", at + name.size() + 2), status.size());
  return std::string(status.substr(at, status.find_first_of(" \t\n", at) - at));
}

}  // namespace

MachineFacts look_at_machine() {
  MachineFacts facts;
  for (const auto& [program, installer] : {std::pair{"apt", "sudo apt install"}, {"dnf", "sudo dnf install"}, {"pacman", "sudo pacman -S"}, {"zypper", "sudo zypper install"}, {"apk", "sudo apk add"}})
    if (!find_program(program).empty()) {
      facts.installer = installer;
      break;
    }
  facts.user_namespaces = number_in("/proc/sys/user/max_user_namespaces", 1);
  facts.clone_allowed = number_in("/proc/sys/kernel/unprivileged_userns_clone", 1) != 0;
  facts.apparmor_restricts = number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1;
  facts.in_container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 || std::getenv("container");
  facts.systemd = access("/run/systemd/system", F_OK) == 0;
  facts.root = geteuid() == 0;
  facts.controllers = controllers_of(read_kernel_file("/proc/cgroups"));
  return facts;
}

MachineFacts::Controllers controllers_of(std::string_view cgroups) {
  std::istringstream lines{std::string(cgroups)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    int hierarchy = 0, groups = 0, enabled = 1;
    if (!(fields >> name >> hierarchy >> groups >> enabled) || name != "memory") continue;
    return enabled == 0 ? MachineFacts::Controllers::off : hierarchy != 0 ? MachineFacts::Controllers::version1 : MachineFacts::Controllers::version2;
  }
  return MachineFacts::Controllers::version2;
}

std::string bubblewrap_remedy(const MachineFacts& facts) { return facts.installer + " bubblewrap"; }

std::string namespace_remedy(const std::string& problem, const MachineFacts& facts) {
  if (problem.find("Unknown option") != std::string::npos) return "install bubblewrap 0.8 or newer: " + bubblewrap_remedy(facts);
  auto set = [](const std::string& key, const std::string& value) {
    const std::string setting = key + "=" + value;
    return "sudo sysctl -w " + setting + "; to keep it: echo " + setting + " | sudo tee /etc/sysctl.d/90-tnode.conf";
  };
  if (facts.user_namespaces == 0) return (facts.in_container ? "on the host of this container: " : "") + set("user.max_user_namespaces", "15000");
  if (!facts.clone_allowed) return set("kernel.unprivileged_userns_clone", "1");
  if (facts.apparmor_restricts)
    return "let bubblewrap alone make user namespaces: printf 'abi <abi/4.0>,\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }\\n' | sudo tee /etc/apparmor.d/bwrap && "
           "sudo apparmor_parser -r /etc/apparmor.d/bwrap; or let every program: " + set("kernel.apparmor_restrict_unprivileged_userns", "0");
  if (facts.in_container)
    return "start the container so that it may make namespaces: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined …, "
           "or podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …; or run tnode outside of it";
  return "use a kernel with CONFIG_USER_NS=y, or a machine that lets its users make namespaces; `unshare --user true` shows whether one does";
}

std::string limits_remedy(const MachineFacts& facts) {
  using Controllers = MachineFacts::Controllers;
  if (facts.controllers == Controllers::off)
    return std::string(facts.in_container ? "on the host of this container: " : "") + "start the kernel with cgroup_enable=memory and without cgroup_disable=memory (GRUB: GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub; Raspberry Pi: cmdline.txt)";
  if (facts.in_container) return "start the container with control groups that it may write: docker run --privileged --cgroupns=private …, or podman run --systemd=always …";
  if (facts.systemd) return facts.root ? "systemd-run --scope -p Delegate=yes tnode farm" : "systemd-run --user --scope -p Delegate=yes tnode farm";
  if (facts.root && facts.controllers == Controllers::version1)
    return "for c in memory pids freezer; do mkdir -p /sys/fs/cgroup/$c && mount -t cgroup -o $c none /sys/fs/cgroup/$c; done; then start tnode again";
  if (facts.root) return "mount -t cgroup2 none /sys/fs/cgroup; then start tnode again";
  const std::string give = facts.controllers == Controllers::version1
                               ? "groups: for c in memory pids freezer; do g=/sys/fs/cgroup/$c/tnode; mkdir $g; chown -R USER $g; echo PID > $g/cgroup.procs; done"
                               : "a group: echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control; mkdir /sys/fs/cgroup/tnode; chown -R USER /sys/fs/cgroup/tnode; echo PID > /sys/fs/cgroup/tnode/cgroup.procs";
  return "have root give your shell " + give + " (USER: you, PID: your shell's); then `exec tnode farm` there";
}

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
  if (path.empty()) return {"bubblewrap", Check::missing, "the program bwrap is not installed", bubblewrap_remedy(look_at_machine())};
  return {"bubblewrap", Check::good, path, ""};
}

Check failed_trial_check(const std::string& problem) { return {"namespaces", Check::missing, problem, namespace_remedy(problem, look_at_machine())}; }

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
  const std::string remedy = watched ? limits_remedy(look_at_machine()) : "", held = "limited by " + hello.limit_mode + (hello.scoped ? ", in a scope of systemd's" : "");
  const Check::Level level = watched ? Check::weaker : Check::good;
  checks.push_back({"memory", level, watched ? "watched every 50 ms instead of limited by the kernel: " + hello.limit_problem : held, remedy});
  checks.push_back({"processes", level, watched ? "limited by RLIMIT_NPROC in the sandbox's own user namespace, and watched every 50 ms" : held, remedy});
  checks.push_back({"pausing", Check::good, hello.pause_mode == "freezer" ? "the kernel freezes what runs" : "what runs is stopped by signals, which it may notice", ""});
  if (!hello.cpu_mode.empty())
    checks.push_back({"cpu share", Check::good, hello.cpu_mode == "quota" ? "--cpus is held by a quota of the kernel" : "--cpus keeps sandboxes on some of the CPUs; no quota can be had", ""});
  return checks;
}

}  // namespace tnode
