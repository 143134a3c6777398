// The processes of an executor, as /proc shows them: who lives, whose children they are, which control groups are theirs.
#pragma once
#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "tests/temp_dir.h"

namespace tnode {

template <class Condition>
bool eventually(Condition condition) {
  constexpr auto patience = std::chrono::seconds(20);
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// A file of /proc, whose process may end while it is read: then the library throws, and there is no text.
inline std::string proc_text(pid_t pid, const std::string& file) {
  try {
    return content_of("/proc/" + std::to_string(pid) + "/" + file);
  } catch (const std::exception&) {
    return {};
  }
}

inline bool lives(pid_t pid) {
  const std::string stat = proc_text(pid, "stat");
  const auto name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

/// But for the runner's doormen, who stay as long as it does.
inline std::vector<pid_t> children(pid_t pid) {
  std::istringstream text(proc_text(pid, "task/" + std::to_string(pid) + "/children"));
  std::vector<pid_t> found;
  for (pid_t child; text >> child;)
    if (proc_text(child, "comm") != "tnode-doorman\n") found.push_back(child);
  return found;
}

inline std::vector<pid_t> doormen(pid_t runner) {
  std::istringstream text(proc_text(runner, "task/" + std::to_string(runner) + "/children"));
  std::vector<pid_t> found;
  for (pid_t child; text >> child;)
    if (proc_text(child, "comm") == "tnode-doorman\n") found.push_back(child);
  return found;
}

inline std::vector<pid_t> descendants(pid_t pid) {
  auto found = children(pid);
  for (std::size_t i = 0; i < found.size(); ++i)
    for (pid_t each : children(found[i])) found.push_back(each);
  return found;
}

inline pid_t runner_of(pid_t daemon) {
  for (pid_t child : children(daemon))
    if (proc_text(child, "comm") == "tnode-runner\n") return child;
  return -1;
}

inline std::vector<std::string> control_groups(pid_t runner) {
  namespace fs = std::filesystem;
  const std::string name = "tnode-" + std::to_string(runner) + "-";
  std::vector<std::string> found;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, ec); it != fs::recursive_directory_iterator(); it.increment(ec)) {
    if (ec) break;
    if (it->path().filename().string().starts_with(name)) found.push_back(it->path().string());
  }
  return found;
}

}  // namespace tnode
