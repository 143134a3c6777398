#include "executor/systemd_scope.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "executor/cgroup_place.h"
#include "executor/machine_checks.h"

namespace tnode {
namespace {

constexpr int wait_tries = 300;  // of 10 ms: for the answer, and for being moved
constexpr useconds_t wait_pause_us = 10'000;

bool manager_there(bool user) {
  if (!user) return access("/run/systemd/system", F_OK) == 0;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return std::getenv("DBUS_SESSION_BUS_ADDRESS") || (runtime && access((std::string(runtime) + "/bus").c_str(), F_OK) == 0);
}

/// Exit status 0 within the time; killed otherwise.
bool succeeds(std::vector<std::string> arguments) {
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_RDWR);
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  for (int tries = 0; child > 0 && tries < wait_tries; ++tries, usleep(wait_pause_us))
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (child > 0 && kill(child, SIGKILL) == 0) waitpid(child, &status, 0);
  return false;
}

}  // namespace

std::vector<std::string> scope_request(const std::string& busctl, bool user, const std::string& name, int pid) {
  return {busctl, user ? "--user" : "--system", "--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit",
          "ssa(sv)a(sa(sv))", name + ".scope", "fail", "4", "PIDs", "au", "1", std::to_string(pid), "Delegate", "b", "true", "Description", "s", "tnode sandboxes",
          "CollectMode", "s", "inactive-or-failed", "0"};
}

std::string enter_systemd_scope(const std::string& name) {
  const bool user = geteuid() != 0;
  const std::string busctl = find_program("busctl");
  if (busctl.empty() || !manager_there(user)) return "no systemd manager to ask for one";
  if (!succeeds(scope_request(busctl, user, name, getpid()))) return "systemd did not make a scope";
  for (int tries = 0; tries < wait_tries; ++tries, usleep(wait_pause_us))
    if (own_cgroup_folder("").ends_with("/" + name + ".scope")) return {};
  return "systemd made a scope and did not move us there";
}

}  // namespace tnode
