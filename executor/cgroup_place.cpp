#include "executor/cgroup_place.h"

#include <sstream>

#include "executor/kernel_files.h"

namespace tnode {
namespace {

/// "cpu,cpuacct" has "cpu".
bool lists(const std::string& words, std::string_view word) { return ("," + words + ",").find("," + std::string(word) + ",") != std::string::npos; }

}  // namespace

std::string cgroup_folder(std::string_view mountinfo, std::string_view cgroups, std::string_view controller) {
  std::string mount, root, place;
  std::istringstream mounts{std::string(mountinfo)};
  for (std::string line; std::getline(mounts, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line), right(line.substr(dash + 3));
    std::string skip, kind, source, options, mount_root, mount_point;
    left >> skip >> skip >> skip >> mount_root >> mount_point;
    right >> kind >> source >> options;
    if (controller.empty() ? kind == "cgroup2" : kind == "cgroup" && lists(options, controller)) mount = mount_point, root = mount_root;
  }
  std::istringstream groups{std::string(cgroups)};
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? names.empty() : lists(names, controller)) place = line.substr(second + 1);
  }
  if (mount.empty() || place.empty() || place.starts_with("/..")) return {};
  // A container may see only the part of the hierarchy below its own group.
  if (root != "/" && place.starts_with(root)) place = place.substr(root.size());
  return place == "/" || place.empty() ? mount : mount + place;
}

std::string own_cgroup_folder(std::string_view controller) {
  return cgroup_folder(read_kernel_file("/proc/self/mountinfo"), read_kernel_file("/proc/self/cgroup"), controller);
}

}  // namespace tnode
