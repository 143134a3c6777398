#include "executor/process_tree.h"

#include <signal.h>
#include <unistd.h>

#include "executor/kernel_files.h"

namespace tnode {
namespace {

// Each pass stops what the one before overlooked because it was just being forked. A bomb of forks is over after a few: what is stopped forks no more.
constexpr int most_passes = 100;
constexpr std::size_t most_processes = 100'000;

std::vector<pid_t> below(pid_t root) {
  std::vector<pid_t> found = children_of(root);
  for (std::size_t i = 0; i < found.size() && found.size() < most_processes; ++i)
    for (pid_t child : children_of(found[i])) found.push_back(child);
  return found;
}

bool at_rest(char state) { return state == 0 || state == 'T' || state == 't' || state == 'Z' || state == 'X'; }

}  // namespace

std::vector<pid_t> stop_below(pid_t root) {
  std::vector<pid_t> stopped;
  for (int pass = 0; pass < most_passes; ++pass) {
    const std::size_t before = stopped.size();
    for (pid_t pid : below(root))
      if (!at_rest(process_stat(pid).state) && kill(pid, SIGSTOP) == 0) stopped.push_back(pid);
    if (stopped.size() == before) break;
  }
  return stopped;
}

void continue_processes(const std::vector<pid_t>& stopped) {
  for (auto it = stopped.rbegin(); it != stopped.rend(); ++it) kill(*it, SIGCONT);
}

std::int64_t cpu_ms_of_tree(pid_t root) {
  std::int64_t ticks = process_stat(root).cpu_ticks;
  for (pid_t pid : below(root)) ticks += process_stat(pid).cpu_ticks;
  return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

}  // namespace tnode
