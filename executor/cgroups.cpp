#include "executor/cgroups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "executor/cgroup_place.h"
#include "executor/cgroup_sweep.h"
#include "executor/kernel_files.h"
#include "executor/systemd_scope.h"

namespace tnode {
namespace {

constexpr std::int64_t trial_memory_bytes = 64 << 20, trial_processes = 16;
constexpr std::int64_t cpu_period_us = 100'000;
constexpr std::int64_t full_within_bytes = 4 << 20;  // a charge that fails is of at most a few pages, or one huge page
constexpr std::int64_t least_quota_us = 1'000;  // the kernel's

}  // namespace

// --- one group ---

Cgroup::~Cgroup() {
  remove_group(folders_.memory);
  if (folders_.pids != folders_.memory) remove_group(folders_.pids);
  if (freezer_ != Freezer::none && folders_.freezer != folders_.memory) remove_group(folders_.freezer);
}

bool Cgroup::prepare(std::int64_t memory_bytes, std::int64_t processes) {
  const std::string memory = std::to_string(memory_bytes);
  bool good;
  if (version2_) {
    good = write_kernel_file(folders_.memory + "/memory.max", memory);
    write_kernel_file(folders_.memory + "/memory.swap.max", "0");  // not there without swap
    write_kernel_file(folders_.memory + "/memory.oom.group", "1");
    write_kernel_file(folders_.memory + "/memory.peak", "0");  // older kernels keep the peak of all tenants
  } else {
    // The pair must never cross: first up with the outer one, then down. The outer one is not there without swap accounting.
    write_kernel_file(folders_.memory + "/memory.memsw.limit_in_bytes", "-1");
    good = write_kernel_file(folders_.memory + "/memory.limit_in_bytes", memory);
    write_kernel_file(folders_.memory + "/memory.memsw.limit_in_bytes", memory);
    write_kernel_file(folders_.memory + "/memory.max_usage_in_bytes", "0");
  }
  good = write_kernel_file(folders_.pids + "/pids.max", std::to_string(processes)) && good;
  oom_before_ = oom_kills();
  limit_bytes_ = memory_bytes;
  if (version2_) limit_hits_before_ = field_in_file(folders_.memory + "/memory.events", "oom");
  refused_before_ = refused_forks();
  return good;
}

bool Cgroup::join() const {
  const std::string self = "0";  // stands for the writer
  bool good = write_kernel_file(folders_.memory + "/cgroup.procs", self);
  if (folders_.pids != folders_.memory) good = write_kernel_file(folders_.pids + "/cgroup.procs", self) && good;
  if (freezer_ != Freezer::none && folders_.freezer != folders_.memory) good = write_kernel_file(folders_.freezer + "/cgroup.procs", self) && good;
  return good;
}

void Cgroup::freeze(bool frozen) {
  if (freezer_ == Freezer::version2) write_kernel_file(folders_.freezer + "/cgroup.freeze", frozen ? "1" : "0");
  if (freezer_ == Freezer::version1) write_kernel_file(folders_.freezer + "/freezer.state", frozen ? "FROZEN" : "THAWED");
}

std::int64_t Cgroup::oom_kills() const { return field_in_file(folders_.memory + (version2_ ? "/memory.events" : "/memory.oom_control"), "oom_kill"); }
std::int64_t Cgroup::refused_forks() const { return field_in_file(folders_.pids + "/pids.events", "max"); }
bool Cgroup::empty() const { return read_kernel_file(folders_.memory + "/cgroup.procs").empty() && read_kernel_file(folders_.pids + "/cgroup.procs").empty(); }
bool Cgroup::out_of_memory() const {
  if (oom_kills() <= oom_before_) return false;
  // Version 2 counts on whose account it was; version 1 does not, but then its own account is full.
  return version2_ ? field_in_file(folders_.memory + "/memory.events", "oom") > limit_hits_before_ : peak_bytes() + full_within_bytes >= limit_bytes_;
}
bool Cgroup::out_of_processes() const { return refused_forks() > refused_before_; }
std::int64_t Cgroup::peak_bytes() const { return number_in_file(folders_.memory + (version2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")); }

// --- the pool ---

CgroupPool::CgroupPool(SharedLimits shared) : name_(group_name_of(getpid())) {
  // Of version 1 first: a kill reaches what is frozen there only when it is let go, and until then its other groups cannot be removed.
  sweep_groups(own_cgroup_folder("freezer"));
  if (try_version2()) mode_ = "cgroup2";
  else if (try_version1()) mode_ = "cgroup1";
  else if (try_scope()) mode_ = "cgroup2";
  if (mode_ != watchdog_mode) {
    find_freezer();
    bound_all(shared);
    // A trial: being allowed to make a group is not yet being allowed to use it.
    if (auto group = take(trial_memory_bytes, trial_processes)) give_back(std::move(group));
    else mode_ = watchdog_mode;
  }
  if (mode_ == watchdog_mode) leave();
}

CgroupPool::~CgroupPool() {
  free_.clear();
  leave();
}

/// Gives up what was claimed, and with it everything that only groups can do.
void CgroupPool::leave() {
  for (const auto& folder : moved_out_of_) write_kernel_file(folder + "/cgroup.procs", "0");
  for (const auto& folder : claimed_) remove_group(folder);
  for (int lock : locks_) close(lock);
  if (added_controllers_) {
    const std::string control = own_version2_ + "/cgroup.subtree_control";
    if (!write_kernel_file(control, "-cpu -memory -pids")) write_kernel_file(control, "-memory -pids");
  }
  move_back();
  claimed_.clear();
  locks_.clear();
  freezer_ = Cgroup::Freezer::none;
  bounds_cpu_ = bounds_memory_ = false;
  usage_path_.clear();
}

std::string CgroupPool::claim(const std::string& place) {
  if (place.empty()) return {};
  sweep_groups(place);
  const std::string folder = place + "/" + name_;
  if (std::find(claimed_.begin(), claimed_.end(), folder) != claimed_.end()) return folder;  // hierarchies of several controllers
  if (mkdir(folder.c_str(), 0755) != 0) {
    problem_ = "control group " + place + " is not writable (" + std::strerror(errno) + ")";
    return {};
  }
  claimed_.push_back(folder);
  locks_.push_back(lock_group(folder));
  return folder;
}

bool CgroupPool::try_version2() {
  const std::string own = own_version2_ = own_cgroup_folder("");
  if (own.empty()) return false;
  const std::string controllers = " " + read_kernel_file(own + "/cgroup.controllers") + " ";
  if (controllers.find("memory") == std::string::npos || controllers.find("pids") == std::string::npos) {
    problem_ = "the memory and pids controllers are not delegated to " + own;
    return false;
  }
  // Version 2 wants processes in leaves only: what is here moves aside into a group of its own, then controllers may be given on.
  const std::string all = claim(own), control = own + "/cgroup.subtree_control";
  if (all.empty()) return false;
  leaf_ = own + "/" + name_ + runner_suffix;
  mkdir(leaf_.c_str(), 0755);
  move_aside(leaf_);
  const bool given = read_kernel_file(control).find("memory") != std::string::npos;
  if (!write_kernel_file(control, "+memory +pids") || !write_kernel_file(all + "/cgroup.subtree_control", "+memory +pids")) {
    problem_ = "controllers cannot be delegated below " + own + ": other processes live there";
    move_back();
    return false;
  }
  added_controllers_ = !given;
  write_kernel_file(control, "+cpu");  // not everywhere; bound_all() sees
  memory_parent_ = pids_parent_ = all;
  return true;
}

void CgroupPool::move_back() {
  if (leaf_.empty()) return;
  move_aside(own_version2_);
  rmdir(leaf_.c_str());
  leaf_.clear();
}

/// Moves this process, and its daemon when that lives beside it.
void CgroupPool::move_aside(const std::string& folder) const {
  const std::string daemon = std::to_string(getppid());
  const bool together = read_kernel_file("/proc/self/cgroup") == read_kernel_file("/proc/" + daemon + "/cgroup");
  write_kernel_file(folder + "/cgroup.procs", "0");
  if (together) write_kernel_file(folder + "/cgroup.procs", daemon);
}

/// The group that we were started in is not ours to divide: a user's session, for one.
bool CgroupPool::try_scope() {
  leave();
  const std::string found = problem_, refused = enter_systemd_scope(name_);
  if (refused.empty() && try_version2()) return scoped_ = true;
  problem_ = found + "; " + (refused.empty() ? "not even in a scope of systemd's: " + problem_ : refused);
  return false;
}

bool CgroupPool::try_version1() {
  const std::string memory = own_cgroup_folder("memory"), pids = own_cgroup_folder("pids");
  if (memory.empty() || pids.empty()) {
    if (problem_.empty()) problem_ = "no control-group hierarchy with memory and pids is mounted";
    return false;
  }
  memory_parent_ = claim(memory);
  pids_parent_ = claim(pids);
  return !memory_parent_.empty() && !pids_parent_.empty();
}

/// What version 2 froze can still be killed, what version 1 froze cannot: the first wherever it is mounted, also beside version 1.
void CgroupPool::find_freezer() {
  const std::string problem = problem_;
  const std::string all = mode_ == "cgroup2" ? memory_parent_ : claim(own_cgroup_folder(""));
  if (!all.empty() && access((all + "/cgroup.freeze").c_str(), W_OK) == 0) {
    freezer_ = Cgroup::Freezer::version2;
    freezer_parent_ = all;
    usage_path_ = all + "/cpu.stat";
  } else if (freezer_parent_ = claim(own_cgroup_folder("freezer")); !freezer_parent_.empty()) {
    freezer_ = Cgroup::Freezer::version1;
  }
  problem_ = problem;  // one without a freezer is none of limits
}

void CgroupPool::bound_all(const SharedLimits& shared) {
  if (shared.memory_bytes > 0) bounds_memory_ = write_kernel_file(memory_parent_ + (mode_ == "cgroup2" ? "/memory.max" : "/memory.limit_in_bytes"), std::to_string(shared.memory_bytes));
  if (shared.cpu_milli <= 0) return;
  const std::string quota = std::to_string(std::max(least_quota_us, shared.cpu_milli * cpu_period_us / 1000)), period = std::to_string(cpu_period_us);
  if (mode_ == "cgroup2") {
    bounds_cpu_ = write_kernel_file(memory_parent_ + "/cpu.max", quota + " " + period);
    return;
  }
  // Version 1 has a hierarchy for it: the runner moves in, and its sandboxes are born there.
  const std::string problem = problem_, place = own_cgroup_folder("cpu"), all = claim(place);
  problem_ = problem;
  if (!all.empty()) moved_out_of_.push_back(place);
  bounds_cpu_ = !all.empty() && write_kernel_file(all + "/cpu.cfs_period_us", period) && write_kernel_file(all + "/cpu.cfs_quota_us", quota) && write_kernel_file(all + "/cgroup.procs", "0");
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
  const std::string name = "/" + std::to_string(made_++);
  Cgroup::Folders folders{memory_parent_ + name, pids_parent_ + name, freezer_parent_.empty() ? "" : freezer_parent_ + name};
  for (const std::string& folder : {folders.memory, folders.pids, folders.freezer})
    if (!folder.empty() && mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      problem_ = "cannot make the control group " + folder + ": " + std::strerror(errno);
      rmdir(folders.memory.c_str());
      rmdir(folders.pids.c_str());
      return nullptr;
    }
  return std::make_unique<Cgroup>(folders, mode_ == "cgroup2", freezer_);
}

}  // namespace tnode
