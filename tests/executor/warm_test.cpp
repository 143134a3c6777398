// Units of one task follow each other in one sandbox and notice nothing of it; units of two tasks never meet.
#include <algorithm>

#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

/// Tells one sandbox from another.
const std::vector<std::string> which_sandbox{"sh", "-c", "readlink /proc/self/ns/pid > out/ns"};

std::string sandbox_of(SandboxFixture& f, ExecutionRequest r) {
  const auto report = f.run(r);
  INFO(report.problem << report.failure_detail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  return f.result(report, "out/ns");
}

}  // namespace

TEST_CASE_METHOD(SandboxFixture, "units_of_one_task_share_a_sandbox_that_is_as_new_for_each") {
  const auto first = sandbox_of(*this, request(which_sandbox));
  // Whatever can be left: processes, files, modes, System V memory, queues and semaphores.
  auto dirty = request({"python3", "-c", R"(
import os, ctypes, subprocess
libc = ctypes.CDLL(None)
os.symlink(os.readlink('/proc/self/ns/pid'), '/tmp/which')
for folder in ('/tmp', '/dev/shm'):
  open(folder + '/left', 'w').write('x')
  os.makedirs(folder + '/deep/er')
  os.chmod(folder + '/deep', 0)
open('/work/out/ns', 'w').write(os.readlink('/tmp/which') + '\n')
os.environ['LEFT'] = '1'
libc.shmget(77, 4096, 0o1666); libc.semget(77, 1, 0o1666); libc.msgget(77, 0o1666)
subprocess.Popen(['sleep', '600'], start_new_session=True)
os.chmod('/tmp', 0o700); os.chmod('/scratch', 0o777); os.chmod('/dev/shm', 0)
)"});
  REQUIRE(sandbox_of(*this, dirty) == first);
  const auto clean = run(request({"sh", "-c",
                                  "readlink /proc/self/ns/pid > out/ns; ls -A /tmp /dev/shm out > out/files; stat -Lc %a /tmp /scratch /dev/shm /scratch/out > out/modes; "
                                  "tail -qn +2 /proc/sysvipc/* > out/ipc; ls -d /proc/[0-9]* | wc -l > out/processes; env | grep -c LEFT > out/env; true"}));
  INFO(clean.problem << clean.failure_detail << clean.stderr_tail);
  REQUIRE(clean.outcome.good());
  REQUIRE(result(clean, "out/ns") == first);
  REQUIRE(result(clean, "out/files") == "/dev/shm:\n\n/tmp:\n\nout:\nfiles\nns\n");
  REQUIRE(result(clean, "out/modes") == "1777\n755\n1777\n755\n");
  REQUIRE(result(clean, "out/ipc").empty());
  REQUIRE(std::stoi(result(clean, "out/processes")) <= 4);  // init, the shell, ls, wc
  REQUIRE(result(clean, "out/env") == "0\n");
}

TEST_CASE_METHOD(SandboxFixture, "a_sandbox_is_never_shared_by_two_tasks_limits_or_layouts") {
  const auto first = sandbox_of(*this, request(which_sandbox));
  auto task = request(which_sandbox);
  task.task_hex = "ef01";
  REQUIRE(sandbox_of(*this, task) != first);
  const auto again = sandbox_of(*this, request(which_sandbox));
  auto limits = request(which_sandbox);
  limits.limits.memory_bytes *= 2;
  REQUIRE(sandbox_of(*this, limits) != again);
  const auto before = sandbox_of(*this, request(which_sandbox));
  write_file(task_dir() + "/in/word", "one");
  REQUIRE(sandbox_of(*this, request(which_sandbox)) != before);
  const auto old_folder = sandbox_of(*this, request(which_sandbox));
  REQUIRE(sandbox_of(*this, request(which_sandbox)) == old_folder);
  // A folder that was deleted and made again is another one, whatever its name.
  std::filesystem::rename(task_dir() + "/in", task_dir() + "/gone");
  write_file(task_dir() + "/in/word", "two");
  auto remade = request({"sh", "-c", "cp in/word out/word; readlink /proc/self/ns/pid > out/ns"});
  const auto report = run(remade);
  REQUIRE(result(report, "out/word") == "two");
  REQUIRE(result(report, "out/ns") != old_folder);
}

TEST_CASE_METHOD(SandboxFixture, "a_unit_that_failed_or_was_cancelled_leaves_its_sandbox_to_nobody") {
  const auto first = sandbox_of(*this, request(which_sandbox));
  REQUIRE(shell("exit 3").outcome.exit_code == 3);
  const auto second = sandbox_of(*this, request(which_sandbox));
  REQUIRE(second != first);
  auto sleeper = request({"sleep", "600"});
  sleeper.limits.wall_ms = request({"true"}).limits.wall_ms;
  executor->run(sleeper);
  executor->cancel(sleeper.job);
  REQUIRE_FALSE(wait(sleeper.job).ran);
  REQUIRE(sandbox_of(*this, request(which_sandbox)) != second);
}

TEST_CASE_METHOD(SandboxFixture, "units_in_one_sandbox_are_counted_each_for_itself") {
  const std::string hungry = "import os\nos.symlink(os.readlink('/proc/self/ns/pid'), '/tmp/ns'); open('out/ns', 'w').write(os.readlink('/tmp/ns') + '\\n'); x = bytearray(60 << 20)";
  auto large = run(request({"python3", "-c", hungry}));
  auto small = run(request(which_sandbox));
  REQUIRE(result(large, "out/ns") == result(small, "out/ns"));
  REQUIRE(large.usage.peak_memory_bytes > 60 << 20);
  REQUIRE(small.usage.peak_memory_bytes < 40 << 20);
  // A refused fork that a unit got over is not held against the next one.
  const auto refused = run(request({"python3", "-c", R"(
import os
open('out/ns', 'w').write(os.readlink('/proc/self/ns/pid') + '\n')
try:
  for _ in range(3): os.fork() or os._exit(0)
except OSError: pass
)"}));
  REQUIRE(refused.outcome.good());
  const auto failed = run(request({"sh", "-c", "exit 5"}));
  REQUIRE(failed.outcome == Outcome{OutcomeKind::exited, 5});
}

TEST_CASE_METHOD(SandboxFixture, "forks_that_are_refused_count_for_their_own_index_alone") {
  if (executor->state().limit_mode == "watchdog") {
    WARN("skipped: without control groups nobody counts them");
    return;
  }
  // It is refused one, and gets over it; unless it is caught at it, which a slow machine has time for.
  const std::string gets_over_it = "for (1..9) { $p = fork; if (!defined $p) { kill 9, @all; exit 0 } if (!$p) { sleep 60; exit } push @all, $p } exit 3";
  REQUIRE(eventually([&] {
    auto unit = request({"perl", "-e", gets_over_it});
    unit.limits.processes = 4;
    unit.invocations.push_back({1, {"sh", "-c", "exit 5"}, environment(1)});
    const auto report = run(unit);
    INFO(report.problem << report.failure_detail << report.stderr_tail);
    if (report.failed_index == 0 && report.outcome.kind == OutcomeKind::process_limit) return false;
    REQUIRE(report.failed_index == 1);
    REQUIRE(report.outcome == Outcome{OutcomeKind::exited, 5});
    return true;
  }));
}

TEST_CASE_METHOD(SandboxFixture, "a_sandbox_that_idles_ends_with_a_pause") {
  const pid_t runner = runner_of(getpid());
  const auto first = sandbox_of(*this, request(which_sandbox));
  executor->pause();
  REQUIRE(eventually([&] { return descendants(runner).empty(); }));
  executor->resume();
  REQUIRE(sandbox_of(*this, request(which_sandbox)) != first);
}

TEST_CASE_METHOD(SandboxFixture, "a_sandbox_that_idles_ends_with_its_task") {
  const pid_t runner = runner_of(getpid());
  auto of_other = [&](const std::vector<std::string>& argv) {
    auto r = request(argv);
    r.task_hex = "ef01";
    r.task_dir = dir.path + "/home/tasks/other";
    return r;
  };
  // Side by side, for a sandbox that starts ends one that idles.
  auto both_idle = [&] {
    write_file(task_dir() + "/in/word", "one");
    auto slow = of_other({"sleep", "0.2"});
    executor->run(slow);
    sandbox_of(*this, request(which_sandbox));
    REQUIRE(wait(slow.job).outcome.good());
    REQUIRE(children(runner).size() == 2);
  };
  both_idle();
  const auto mine = sandbox_of(*this, request(which_sandbox));
  // No more units of a task are in sight; those of another may be.
  executor->end_idle("0123");
  executor->end_idle("ef01");
  REQUIRE(eventually([&] { return children(runner).size() == 1; }));
  REQUIRE(sandbox_of(*this, request(which_sandbox)) == mine);
  executor->end_idle("abcd");
  REQUIRE(eventually([&] { return children(runner).empty(); }));
  // A task's folder is gone: its sandbox ends before one that idles for longer.
  both_idle();
  const auto stays = sandbox_of(*this, of_other(which_sandbox));
  sandbox_of(*this, request(which_sandbox));
  std::filesystem::remove_all(task_dir());
  REQUIRE(eventually([&] { return children(runner).size() == 1; }));
  REQUIRE(sandbox_of(*this, of_other(which_sandbox)) == stays);
}

TEST_CASE_METHOD(SandboxFixture, "a_pause_counts_for_no_index_of_a_unit") {
  const pid_t runner = runner_of(getpid());
  constexpr auto longer_than_the_limit = std::chrono::milliseconds(2500);
  for (const std::vector<std::string>& warm : {std::vector<std::string>{}, std::vector<std::string>{"python3", warm_python_path}}) {
    auto r = request({});
    r.warm = warm;
    r.limits.wall_ms = 2000;
    r.invocations.clear();
    write_file(task_dir() + "/in/half.py", "import os, time\nindex = int(os.environ['TNODE_INDEX'])\nif index: time.sleep(1)\nopen(f'out/{index}', 'w').close()\n");
    for (int index : {0, 1, 2}) r.invocations.push_back({index, {"python3", "in/half.py"}, environment(index)});
    executor->run(r);
    // In the middle of the second index, or thereabouts: its request was sent ahead of its turn.
    const std::string second = r.result_dir + "/out/0";
    REQUIRE(eventually([&] { return std::filesystem::exists(second); }));
    executor->pause();
    const auto until = std::chrono::steady_clock::now() + longer_than_the_limit;
    REQUIRE(eventually([&] { return std::chrono::steady_clock::now() > until; }));
    REQUIRE_FALSE(descendants(runner).empty());
    executor->resume();
    const auto report = wait(r.job);
    INFO(report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.outcome.good());
  }
}
