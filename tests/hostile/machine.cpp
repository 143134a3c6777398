#include "tests/hostile/machine.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>

namespace tnode {
namespace {

constexpr uid_t ordinary_user = 65534;
constexpr int cannot_be_had = 3;  // the child's exit status; its words say why

std::string errno_text(const std::string& what) { return what + ": " + std::strerror(errno); }

struct Mount { std::string place, kind, options, root; };

std::vector<Mount> mounts() {
  std::vector<Mount> found;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const auto dash = line.find(" - ");
    std::istringstream left(line), right(line.substr(dash + 3));
    std::string skip, source;
    Mount mount;
    left >> skip >> skip >> skip >> mount.root >> mount.place;
    right >> mount.kind >> source >> mount.options;
    found.push_back(mount);
  }
  return found;
}

/// Mounts of its own, which others' coming and going does not change.
std::string keep_mounts_apart() {
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? std::string() : errno_text("no mount namespace of its own");
}

/// A machine without control groups has none mounted.
std::string hide_control_groups() {
  for (const auto& each : mounts())
    if (each.kind.starts_with("cgroup") && umount2(each.place.c_str(), MNT_DETACH) != 0) return errno_text("cannot unmount " + each.place);
  return {};
}

/// What systemd's Delegate=yes gives a user: groups of the user's own, which this process moves into.
struct Delegation {
  std::vector<std::string> folders;

  std::string make(const std::string& controller, pid_t pid) {
    std::string place;
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      const auto first = line.find(':'), second = line.find(':', first + 1);
      if (("," + line.substr(first + 1, second - first - 1) + ",").find("," + controller + ",") != std::string::npos) place = line.substr(second + 1);
    }
    for (const auto& each : mounts()) {
      if (each.kind != "cgroup" || ("," + each.options + ",").find("," + controller + ",") == std::string::npos || place.empty()) continue;
      if (each.root != "/" && place.starts_with(each.root)) place = place.substr(each.root.size());
      const std::string folder = each.place + (place == "/" ? "" : place) + "/tnode-hostile-" + std::to_string(pid);
      if (mkdir(folder.c_str(), 0755) != 0) return errno_text("cannot make " + folder);
      folders.push_back(folder);
      for (const char* file : {"", "/cgroup.procs", "/tasks"})
        if (chown((folder + file).c_str(), ordinary_user, ordinary_user) != 0) return errno_text("cannot give away " + folder + file);
      std::ofstream(folder + "/cgroup.procs") << pid << std::flush;
      return {};
    }
    return "no version 1 control groups with " + controller + " that could be given to a user";
  }
  ~Delegation() {
    for (const auto& folder : folders) rmdir(folder.c_str());
  }
};

/// Stdin and stderr become a terminal that controls this session, as it is for a farmer who was started by hand. Answers its leader.
int sit_at_terminal() {
  const int leader = posix_openpt(O_RDWR | O_NOCTTY);
  if (leader < 0 || grantpt(leader) != 0 || unlockpt(leader) != 0 || setsid() < 0) return -1;
  const int terminal = open(ptsname(leader), O_RDWR);
  if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0 || dup2(terminal, STDIN_FILENO) < 0 || dup2(terminal, STDERR_FILENO) < 0) return -1;
  if (fchown(terminal, geteuid(), static_cast<gid_t>(-1)) != 0) return -1;
  close(terminal);
  return leader;
}

/// Bytes that wait to be read by whoever sits at the terminal: typed by a hand, or by a task.
std::string typed_into_terminal() {
  int waiting = 0;
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  if (ioctl(STDIN_FILENO, FIONREAD, &waiting) != 0) return errno_text("the terminal is lost");
  return waiting > 0 ? std::to_string(waiting) + " bytes were typed into the terminal\n" : std::string();
}

/// A process that gave up root is closed to its own user's eyes; one that never was root is not.
bool become_ordinary() {
  return setgroups(0, nullptr) == 0 && setresgid(ordinary_user, ordinary_user, ordinary_user) == 0 && setresuid(ordinary_user, ordinary_user, ordinary_user) == 0 &&
         prctl(PR_SET_DUMPABLE, 1) == 0;
}

[[noreturn]] void be(const Machine& machine, const std::function<std::string()>& part, int go, int answer) {
  auto leave = [&](const std::string& words, int status) {
    _exit(write(answer, words.data(), words.size()) == static_cast<ssize_t>(words.size()) ? status : EXIT_FAILURE);
  };
  char word;
  if (read(go, &word, 1) != 1) _exit(EXIT_FAILURE);
  close(go);
  if (sit_at_terminal() < 0) leave(errno_text("no terminal"), cannot_be_had);
  if (geteuid() == 0)
    if (const std::string why = keep_mounts_apart(); !why.empty()) leave(why, cannot_be_had);
  if (geteuid() == 0 && !machine.control_groups)
    if (const std::string why = hide_control_groups(); !why.empty()) leave(why, cannot_be_had);
  if (geteuid() == 0 && !machine.root && !become_ordinary()) leave(errno_text("cannot become an ordinary user"), cannot_be_had);
  std::string complaint;
  try {
    complaint = part();
  } catch (const std::exception& error) {
    complaint = error.what();
  } catch (...) {
    complaint = "a requirement of the test itself failed; is there a sandbox at all?";
  }
  leave(complaint + typed_into_terminal(), EXIT_SUCCESS);
  _exit(EXIT_FAILURE);
}

}  // namespace

std::string Machine::name() const { return std::string(root ? "root" : "user") + (control_groups ? "+groups" : "+watchdog"); }

std::vector<Machine> machines() { return {{false, true}, {false, false}, {true, true}, {true, false}}; }

MachineRun run_on(const Machine& machine, const std::function<std::string()>& part) {
  MachineRun run;
  if (geteuid() != 0 && machine.root) return {"only root can be root", ""};
  if (geteuid() != 0 && !machine.control_groups) return {"a user cannot take control groups away; they are as they are", ""};
  int go[2], answer[2];
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0) return {"", errno_text("pipe")};
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    close(answer[0]);
    be(machine, part, go[0], answer[1]);
  }
  close(go[0]);
  close(answer[1]);
  {
    Delegation delegation;
    if (geteuid() == 0 && !machine.root && machine.control_groups)
      for (const char* controller : {"memory", "pids"})
        if (run.skipped.empty()) run.skipped = delegation.make(controller, child);
    if (run.skipped.empty() && write(go[1], "x", 1) != 1) run.complaint = errno_text("cannot start");
    close(go[1]);
    char buffer[4096];
    std::string words;
    for (ssize_t got; (got = read(answer[0], buffer, sizeof buffer)) > 0;) words.append(buffer, static_cast<std::size_t>(got));
    close(answer[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!run.skipped.empty()) return run;
    if (WIFEXITED(status) && WEXITSTATUS(status) == cannot_be_had) run.skipped = words;
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) run.complaint += "the child on this machine ended badly";
    else run.complaint += words;
  }
  return run;
}

}  // namespace tnode
