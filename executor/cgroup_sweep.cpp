#include "executor/cgroup_sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <utility>
#include <vector>

#include "executor/kernel_files.h"

namespace tnode {
namespace {

// A group cannot be removed before its last process is gone, which a SIGKILL does not wait for. So much is waited for all groups together:
// what does not end, or only when another hierarchy lets it go on, must not keep a node from starting or leaving.
constexpr int removal_tries = 200;
constexpr useconds_t removal_pause_us = 5'000;

std::vector<std::string> groups_in(const std::string& folder) {
  std::vector<std::string> found;
  DIR* dir = opendir(folder.c_str());
  if (!dir) return found;
  while (dirent* entry = readdir(dir))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') found.emplace_back(entry->d_name);
  closedir(dir);
  return found;
}

void remove_emptied(const std::string& folder, int& tries) {
  for (; rmdir(folder.c_str()) != 0 && errno == EBUSY && tries > 0; --tries) usleep(removal_pause_us);
}

void thaw(const std::string& folder) {
  write_kernel_file(folder + "/cgroup.freeze", "0");
  write_kernel_file(folder + "/freezer.state", "THAWED");
}

/// Whatever still lives in the groups of a runner that is gone: what was frozen, or had not yet asked to die with it.
void kill_members(const std::string& folder) {
  std::istringstream members(read_kernel_file(folder + "/cgroup.procs"));
  for (pid_t pid = 0; members >> pid;)
    if (pid > 0) kill(pid, SIGKILL);
}

/// The runner that such a group's name tells of lives.
bool runner_lives(const std::string& name) {
  const std::string rest = name.substr(std::string(group_prefix).size());
  const auto dash = rest.find('-');
  if (dash == std::string::npos || dash == 0 || rest.find_first_not_of("0123456789") != dash) return true;  // not a name of ours
  const std::string started = rest.substr(dash + 1, rest.find('-', dash + 1) - dash - 1);
  const ProcessStat process = process_stat(std::atoi(rest.c_str()));
  return started.empty() || (process.start_time == started && process.state != 'Z' && process.state != 'X');
}

void let_go(const std::string& folder) {
  thaw(folder);
  for (const auto& name : groups_in(folder)) thaw(folder + "/" + name);
}

void remove(const std::string& folder, int& tries) {
  for (const auto& name : groups_in(folder)) remove_emptied(folder + "/" + name, tries);
  remove_emptied(folder, tries);
}

}  // namespace

std::string group_name_of(int pid) { return group_prefix + std::to_string(pid) + "-" + process_stat(pid).start_time; }

int lock_group(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  return -1;
}

void remove_group(const std::string& folder) {
  int tries = removal_tries;
  let_go(folder);
  remove(folder, tries);
}

void sweep_groups(const std::string& parent) {
  std::vector<std::pair<std::string, int>> ending;
  for (const auto& name : groups_in(parent)) {
    if (!name.starts_with(group_prefix) || runner_lives(name)) continue;
    const std::string folder = parent + "/" + name;
    const int lock = lock_group(folder);
    if (lock < 0) continue;
    // A daemon outlives its runner in there: only tried, never waited for.
    if (name.ends_with(runner_suffix)) {
      rmdir(folder.c_str());
      close(lock);
      continue;
    }
    kill_members(folder);
    for (const auto& below : groups_in(folder)) kill_members(folder + "/" + below);
    let_go(folder);
    ending.emplace_back(folder, lock);
  }
  // All of them are ending by now.
  int tries = removal_tries;
  for (const auto& [folder, lock] : ending) {
    remove(folder, tries);
    close(lock);
  }
}

}  // namespace tnode
