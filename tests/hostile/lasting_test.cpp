// What a farmer's machine is like after a thousand strangers' units, and beside one that takes all it can.
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <deque>

#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"
#include "tests/hostile/machine.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

constexpr int units = 1000;
constexpr std::size_t side_by_side = 2;
// In three hierarchies at most a group of the runner's, and below it those that are pooled: in use, idle, and their last tenants still dying.
constexpr std::ptrdiff_t most_control_groups = 3 * (1 + 3 * side_by_side);

std::ptrdiff_t entries(const std::string& folder) { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); }
/// Root's children have a mount namespace of their own; others share theirs with whoever else works here, but cannot mount in it either.
std::ptrdiff_t mounts(pid_t pid, bool own_namespace) {
  const std::string text = own_namespace ? proc_text(pid, "mountinfo") : std::string();
  return std::count(text.begin(), text.end(), '\n');
}

std::ptrdiff_t groups_with_their_own(pid_t runner) {
  std::ptrdiff_t found = 0;
  for (const auto& folder : control_groups(runner))
    found += 1 + std::count_if(fs::recursive_directory_iterator(folder), fs::recursive_directory_iterator(), [](const auto& entry) { return entry.is_directory(); });
  return found;
}

const bool started_by_root = geteuid() == 0;  // asked before a child of the test becomes somebody else

/// Everything of this machine that a unit could leave behind.
struct Count {
  std::ptrdiff_t processes, mounts, runner_mounts, control_groups, folders, descriptors, runner_descriptors;
  /// A group in the pool has its doorman, whom the runner holds on to, and files that it keeps open.
  bool same_but_for_pools(Count other) const {
    constexpr std::ptrdiff_t hierarchies = 3, descriptors_each = 8;
    const auto more = (other.control_groups - control_groups) / hierarchies;
    if (other.processes - processes != more || other.runner_descriptors - runner_descriptors > more * descriptors_each) return false;
    other.processes = processes;
    other.control_groups = control_groups;
    other.runner_descriptors = runner_descriptors;
    return other == *this;
  }
  bool operator==(const Count&) const = default;
  std::string words() const {
    return std::to_string(processes) + " processes, " + std::to_string(mounts) + " and " + std::to_string(runner_mounts) + " mounts, " + std::to_string(control_groups) + " control groups, " +
           std::to_string(folders) + " files and folders, " + std::to_string(descriptors) + " and " + std::to_string(runner_descriptors) + " descriptors";
  }
};

Count count(const SandboxFixture& f, pid_t runner) {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {}
  const std::string of_runner = "/proc/" + std::to_string(runner);
  return {std::ssize(descendants(getpid())) + std::ssize(doormen(runner)),
          mounts(getpid(), started_by_root),
          mounts(runner, started_by_root),
          groups_with_their_own(runner),
          std::distance(fs::recursive_directory_iterator(f.dir.path), fs::recursive_directory_iterator()),
          entries("/proc/self/fd"),
          entries(of_runner + "/fd")};
}

/// Ends of all kinds, each quick: good, failed, refused, killed, with something left alive, with several indices.
const std::vector<std::string> scripts{
    "echo x > out/x",
    "exit 3",
    "ln -s /etc out/link",
    "(trap '' TERM; while :; do :; done) & echo y > out/y",
    "mkdir -p /tmp/a/b/c /dev/shm/d; kill -9 $$",
    "head -c 2000000 /dev/zero",
    "head -c 30000000 /dev/zero > /tmp/full",
    "setsid sleep 600 & exec sleep 0",
};
/// The same of forks of a warm interpreter, which starts anew after those that fail; one of them kills it.
const std::vector<std::string> python_scripts{
    "open('out/x', 'w').write('x')",
    "import os; os.makedirs('/tmp/a/b/c'); os.mkdir('/dev/shm/d')",
    "open('out/x', 'w').write('x'); open('/tmp/x', 'w').write('x')",
    "raise SystemExit(3)",
    "print('x')",
    "import os; os.symlink('/etc', 'out/link')",
    "import os, signal; open('out/y', 'w').write('y'); os.fork() or (signal.signal(15, signal.SIG_IGN), signal.pause())",
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
    "import os; os.kill(os.getpid(), 9)",
    "open('/tmp/x', 'wb').write(bytes(1000000))",
    "import os; os.kill(os.getppid(), 9)",
};

ExecutionRequest unit_of(SandboxFixture& f, int number, bool warm) {
  const auto& chosen = warm ? python_scripts : scripts;
  const std::string& script = chosen[static_cast<std::size_t>(number) % chosen.size()];
  auto r = f.request(warm ? std::vector<std::string>{"python3", "-c", script} : std::vector<std::string>{"sh", "-c", script});
  if (number % 5 == 0) r.invocations.push_back({1, r.invocations[0].argv, SandboxFixture::environment(1)});
  if (warm) r.warm = {"python3", warm_python_path}, r.warm_env = SandboxFixture::environment(0);
  return r;
}

/// What follows one another in a row.
struct Row {
  const char* name;
  ExecutionRequest (*unit)(SandboxFixture&, int);
};
const std::vector<Row> rows{
    {"of one task", [](SandboxFixture& f, int number) { return unit_of(f, number, false); }},
    {"of one task that is warm: python3", [](SandboxFixture& f, int number) { return unit_of(f, number, true); }},
    // A sandbox that idles has to make room for another task's nearly every time.
    {"of tasks that take turns", [](SandboxFixture& f, int number) {
       auto r = unit_of(f, number / 2, number % 4 == 0);
       r.task_hex = std::to_string(number % 7);
       return r;
     }},
};

/// Runs a row's units; what was wrong with them.
std::string run_row(SandboxFixture& f, const Row& row, int count) {
  std::deque<ExecutionRequest> waiting;
  std::string complaints;
  auto take_one = [&] {
    const auto report = f.wait(waiting.front().job);
    if (!report.ran) complaints += "a unit did not run: " + report.problem + "\n";
    if (fs::exists(waiting.front().result_dir) && !report.outcome.good()) complaints += "a failed unit left a result\n";
    fs::remove_all(waiting.front().result_dir);
    waiting.pop_front();
  };
  for (int number = 0; number < count; ++number) {
    if (waiting.size() == side_by_side) take_one();
    waiting.push_back(row.unit(f, number));
    f.executor->run(waiting.back());
  }
  while (!waiting.empty()) take_one();
  return complaints;
}

std::string run_thousands() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // an orphan would come to us and be counted
  SandboxFixture f;
  const pid_t runner = runner_of(getpid());
  auto settle = [&] {  // a pause ends what idles
    f.executor->pause();
    const bool settled = eventually([&] { return descendants(runner).empty(); });
    f.executor->resume();
    return settled;
  };
  std::string complaints = run_row(f, rows.back(), static_cast<int>(scripts.size() * 2));  // pools fill
  if (!settle()) return complaints + "processes are left after a few units\n";
  const Count before = count(f, runner);
  std::printf("before:      %s\n", before.words().c_str());
  for (const auto& row : rows) {
    complaints += run_row(f, row, units);
    if (!settle()) return complaints + "processes are left\n";
    const Count after = count(f, runner);
    std::printf("after %d: %s, %s\n", units, after.words().c_str(), row.name);
    std::fflush(stdout);
    if (!before.same_but_for_pools(after) || after.control_groups > most_control_groups) complaints += std::string("after units ") + row.name + ": " + after.words() + "; before: " + before.words() + "\n";
  }
  f.executor.reset();
  if (!control_groups(runner).empty()) complaints += "control groups are left\n";
  return complaints;
}

bool catches(pid_t pid, int signal_number) {
  std::istringstream lines(proc_text(pid, "status"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (signal_number - 1) & 1) != 0;
  return false;
}

constexpr const char* keeps_its_memory = R"(import signal
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
block = bytearray(b'mine' * (50 << 20))
while not told:
    assert block[::4096] == b'm' * (len(block) // 4096)
open('out/kept', 'w').write(str(block.count(b'mine')))
)";
constexpr const char* takes_too_much = "block = bytearray(b'more' * (384 << 20))";

std::string run_neighbours() {
  SandboxFixture f;
  const pid_t runner = runner_of(getpid());
  auto neighbour = f.request({"python3", "-c", keeps_its_memory}), greedy = f.request({"python3", "-c", takes_too_much});
  neighbour.limits.memory_bytes = greedy.limits.memory_bytes = 512 << 20;
  neighbour.limits.wall_ms = greedy.limits.wall_ms = 50'000;
  f.executor->run(neighbour);
  pid_t at_work = -1;
  if (!eventually([&] {
        for (pid_t each : descendants(runner))
          if (catches(each, SIGUSR1)) at_work = each;
        return at_work > 0;
      }))
    return "the neighbour did not start\n";
  const auto took = f.run(greedy);
  if (!took.ran || took.outcome.kind != OutcomeKind::out_of_memory) return "1.5 GiB under 512 MiB: " + took.problem + std::string(outcome_word(took.outcome.kind)) + took.failure_detail + took.stderr_tail + "\n";
  if (!lives(at_work) || kill(at_work, SIGUSR1) != 0) return "the neighbour was disturbed\n";
  const auto kept = f.wait(neighbour.job);
  if (!kept.outcome.good() || !kept.ran || f.result(kept, "out/kept") != std::to_string(50 << 20)) return "the neighbour failed: " + kept.problem + kept.failure_detail + kept.stderr_tail + "\n";
  std::printf("1.5 GiB under 512 MiB, by %s: %s after %lld ms; the neighbour went on\n", f.executor->state().limit_mode.c_str(), took.failure_detail.c_str(), static_cast<long long>(took.usage.wall_ms));
  std::fflush(stdout);
  return {};
}

std::string on_each(const std::vector<Machine>& kinds, const std::function<std::string()>& part) {
  std::string complaints;
  for (const auto& machine : kinds) {
    const auto run = run_on(machine, part);
    if (!run.skipped.empty()) std::printf("skipped on %s: %s\n", machine.name().c_str(), run.skipped.c_str());
    if (!run.complaint.empty()) complaints += machine.name() + ": " + run.complaint;
  }
  return complaints;
}

}  // namespace

TEST_CASE("a_thousand_units_leave_no_process_mount_group_folder_or_descriptor") {
  const auto complaints = on_each({{true, true}, {false, !started_by_root}}, run_thousands);
  INFO(complaints);
  REQUIRE(complaints.empty());
}

TEST_CASE("a_unit_that_takes_too_much_memory_ends_alone") {
  const auto complaints = on_each(machines(), run_neighbours);
  INFO(complaints);
  REQUIRE(complaints.empty());
}
