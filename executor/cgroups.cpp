#include "executor/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tnode {
namespace {

constexpr std::string_view group_prefix = "tnode-";
constexpr std::int64_t trial_memory_bytes = 64 << 20, trial_processes = 16;
constexpr int removal_tries = 200;
constexpr useconds_t removal_pause_us = 5'000;

bool write_text(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return good;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::int64_t number_in(const std::string& path) { return std::atoll(read_text(path).c_str()); }

/// The number behind a word in a file of "word number" lines.
std::int64_t field_of(const std::string& path, const std::string& word) {
  std::istringstream lines(read_text(path));
  std::string name;
  std::int64_t value;
  while (lines >> name >> value)
    if (name == word) return value;
  return 0;
}

/// Field 22 of /proc/PID/stat: with the id it names a process for good.
std::string start_time_of(const std::string& pid) {
  std::string text = read_text("/proc/" + pid + "/stat");
  auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 2));
  std::string field;
  for (int i = 3; i <= 22; ++i)
    if (!(fields >> field)) return {};
  return field;
}

/// Where a controller's hierarchy is mounted, and this process's place in it. `controller` empty: version 2.
std::string own_folder(const std::string& controller) {
  std::string mount, root, place;
  std::istringstream mounts(read_text("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line), right(line.substr(dash + 3));
    std::string skip, kind, source, options, mount_root, mount_point;
    left >> skip >> skip >> skip >> mount_root >> mount_point;
    right >> kind >> source >> options;
    bool fits = controller.empty() ? kind == "cgroup2" : kind == "cgroup" && ("," + options + ",").find("," + controller + ",") != std::string::npos;
    if (fits) mount = mount_point, root = mount_root;
  }
  std::istringstream groups(read_text("/proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    bool fits = controller.empty() ? names.empty() : ("," + names + ",").find("," + controller + ",") != std::string::npos;
    if (fits) place = line.substr(second + 1);
  }
  if (mount.empty() || place.empty()) return {};
  if (root != "/" && place.starts_with(root)) place = place.substr(root.size());
  return place == "/" ? mount : mount + place;
}

}  // namespace

// --- one group ---

Cgroup::~Cgroup() {
  // A group cannot be removed before its last process is gone, which a SIGKILL does not wait for.
  for (const std::string& folder : {folders_.memory, folders_.pids})
    for (int tries = 0; rmdir(folder.c_str()) != 0 && errno == EBUSY && tries < removal_tries; ++tries) usleep(removal_pause_us);
}

bool Cgroup::prepare(std::int64_t memory_bytes, std::int64_t processes) {
  const std::string memory = std::to_string(memory_bytes);
  bool good;
  if (version2_) {
    good = write_text(folders_.memory + "/memory.max", memory);
    write_text(folders_.memory + "/memory.swap.max", "0");  // not there without swap
    write_text(folders_.memory + "/memory.oom.group", "1");
    write_text(folders_.memory + "/memory.peak", "0");  // older kernels keep the peak of all tenants
  } else {
    // The pair must never cross: first up with the outer one, then down. The outer one is not there without swap accounting.
    write_text(folders_.memory + "/memory.memsw.limit_in_bytes", "-1");
    good = write_text(folders_.memory + "/memory.limit_in_bytes", memory);
    write_text(folders_.memory + "/memory.memsw.limit_in_bytes", memory);
    write_text(folders_.memory + "/memory.max_usage_in_bytes", "0");
  }
  good = write_text(folders_.pids + "/pids.max", std::to_string(processes)) && good;
  oom_before_ = oom_kills();
  refused_before_ = refused_forks();
  return good;
}

bool Cgroup::join() const {
  const std::string self = "0";  // stands for the writer
  bool good = write_text(folders_.memory + "/cgroup.procs", self);
  if (folders_.pids != folders_.memory) good = write_text(folders_.pids + "/cgroup.procs", self) && good;
  return good;
}

std::int64_t Cgroup::oom_kills() const { return field_of(folders_.memory + (version2_ ? "/memory.events" : "/memory.oom_control"), "oom_kill"); }
std::int64_t Cgroup::refused_forks() const { return field_of(folders_.pids + "/pids.events", "max"); }
bool Cgroup::empty() const { return read_text(folders_.memory + "/cgroup.procs").empty() && read_text(folders_.pids + "/cgroup.procs").empty(); }
bool Cgroup::out_of_memory() const { return oom_kills() > oom_before_; }
bool Cgroup::out_of_processes() const { return refused_forks() > refused_before_; }
std::int64_t Cgroup::peak_bytes() const { return number_in(folders_.memory + (version2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")); }

// --- the pool ---

CgroupPool::CgroupPool() {
  const std::string pid = std::to_string(getpid());
  name_ = std::string(group_prefix) + pid + "-" + start_time_of(pid);
  if (try_version2()) mode_ = "cgroup2";
  else if (try_version1()) mode_ = "cgroup1";
  else return;
  sweep(memory_parent_);
  if (pids_parent_ != memory_parent_) sweep(pids_parent_);
  // A trial: being allowed to make a group is not yet being allowed to use it.
  auto group = take(trial_memory_bytes, trial_processes);
  if (!group) {
    mode_ = watchdog_mode;
    if (problem_.empty()) problem_ = "control groups cannot be made below " + memory_parent_;
    return;
  }
  give_back(std::move(group));
}

bool CgroupPool::try_version2() {
  std::string own = own_folder("");
  if (own.empty()) return false;
  const std::string controllers = " " + read_text(own + "/cgroup.controllers") + " ";
  if (controllers.find("memory") == std::string::npos || controllers.find("pids") == std::string::npos) {
    problem_ = "the memory and pids controllers are not delegated to " + own;
    return false;
  }
  // Version 2 wants processes in leaves only: what is here moves aside into a group of its own, then controllers may be given on.
  const std::string leaf = own + "/" + name_ + "-runner";
  if (mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) {
    problem_ = "control group " + own + " is not writable (" + std::strerror(errno) + ")";
    return false;
  }
  const std::string daemon = std::to_string(getppid());
  write_text(leaf + "/cgroup.procs", "0");
  write_text(leaf + "/cgroup.procs", daemon);
  if (!write_text(own + "/cgroup.subtree_control", "+memory +pids")) {
    problem_ = "controllers cannot be delegated below " + own + " (other processes live there); start tnode in a scope of its own: systemd-run --user --scope -p Delegate=yes tnode farm";
    write_text(own + "/cgroup.procs", daemon);
    write_text(own + "/cgroup.procs", "0");
    rmdir(leaf.c_str());
    return false;
  }
  memory_parent_ = pids_parent_ = own;
  return true;
}

bool CgroupPool::try_version1() {
  memory_parent_ = own_folder("memory");
  pids_parent_ = own_folder("pids");
  if (memory_parent_.empty() || pids_parent_.empty()) {
    if (problem_.empty()) problem_ = "no control-group hierarchy with memory and pids is mounted";
    return false;
  }
  return true;
}

std::unique_ptr<Cgroup> CgroupPool::take(std::int64_t memory_bytes, std::int64_t processes) {
  if (mode_ == watchdog_mode) return nullptr;
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    // One whose last tenants are still dying would count their deeds against the next.
    if (!(*it)->empty() || !(*it)->prepare(memory_bytes, processes)) continue;
    auto group = std::move(*it);
    free_.erase(it);
    return group;
  }
  auto group = make();
  if (group && !group->prepare(memory_bytes, processes)) {
    problem_ = "the control group does not take its limits";
    return nullptr;
  }
  return group;
}

std::unique_ptr<Cgroup> CgroupPool::make() {
  const std::string name = "/" + name_ + "-" + std::to_string(made_++);
  Cgroup::Controllers folders{memory_parent_ + name, pids_parent_ + name};
  for (const std::string& folder : {folders.memory, folders.pids})
    if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      problem_ = "cannot make the control group " + folder + ": " + std::strerror(errno);
      rmdir(folders.memory.c_str());
      return nullptr;
    }
  return std::make_unique<Cgroup>(folders, mode_ == "cgroup2");
}

void CgroupPool::sweep(const std::string& parent) const {
  DIR* dir = opendir(parent.c_str());
  if (!dir) return;
  while (dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (!name.starts_with(group_prefix)) continue;
    auto dash = name.find('-', group_prefix.size());
    if (dash == std::string::npos) continue;
    const std::string pid = name.substr(group_prefix.size(), dash - group_prefix.size());
    const std::string started = name.substr(dash + 1, name.find('-', dash + 1) - dash - 1);
    if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos || started.empty()) continue;
    if (start_time_of(pid) == started) continue;  // its runner lives
    rmdir((parent + "/" + name).c_str());
  }
  closedir(dir);
}

}  // namespace tnode
