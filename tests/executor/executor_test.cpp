#include <fcntl.h>
#include <signal.h>

#include <algorithm>

#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

TEST_CASE_METHOD(SandboxFixture, "a_unit_reads_its_inputs_and_leaves_outputs") {
  write_file(task_dir() + "/in/word.txt", "hello");
  auto report = shell("cat in/word.txt > out/copy; mkdir -p out/deep/er; echo $TNODE_INDEX $TNODE_TASK $TZ > out/deep/er/env; chmod +x out/copy; echo said; echo warned >&2");
  INFO(report.problem << report.failure_detail << report.stderr_tail);
  REQUIRE(report.ran);
  REQUIRE(report.outcome.good());
  REQUIRE(report.files.size() == 2);
  REQUIRE(report.files[0].path == "out/copy");
  REQUIRE(report.files[0].executable);
  REQUIRE(result(report, "out/copy") == "hello");
  REQUIRE(result(report, "out/deep/er/env") == "0 abcd UTC\n");
  REQUIRE(report.stdout_tail == "said\n");
  REQUIRE(report.stderr_tail == "warned\n");
}

TEST_CASE_METHOD(SandboxFixture, "exit_statuses_and_signals_are_told_apart_from_limits") {
  auto failed = shell("echo why >&2; exit 3");
  REQUIRE(failed.ran);
  REQUIRE(failed.outcome == Outcome{OutcomeKind::exited, 3});
  REQUIRE(failed.stderr_tail == "why\n");
  REQUIRE(failed.failed_index == 0);
  REQUIRE(shell("kill -SEGV $$").outcome == Outcome{OutcomeKind::exited, 139});
  auto absent = run(request({"no-such-program"}));
  REQUIRE(absent.outcome.exit_code == 127);
  REQUIRE_THAT(absent.stderr_tail, has_text("no-such-program"));
}

TEST_CASE_METHOD(SandboxFixture, "a_program_with_an_endless_name_is_not_there_like_any_other") {
  const auto report = run(request({std::string(200'000, 'x')}));
  INFO(report.problem << report.failure_detail);
  REQUIRE(report.ran);
  REQUIRE(report.outcome.kind == OutcomeKind::exited);
  REQUIRE(report.outcome.exit_code == 126);
  REQUIRE(report.stderr_tail.find("cannot start 'xxx") != std::string::npos);
}

TEST_CASE_METHOD(SandboxFixture, "indices_of_a_unit_share_a_sandbox_and_nothing_else") {
  auto r = request({"sh", "-c", "test -z \"$(ls out; ls /tmp)\" && echo x > /tmp/left && echo $TNODE_INDEX > out/file-$TNODE_INDEX && (sleep 100 &) && test $(ls -d /proc/[0-9]* | wc -l) -lt 12"});
  for (int i = 1; i < 20; ++i) {
    auto next = r.invocations[0];
    next.index = i;
    next.env = environment(i);
    r.invocations.push_back(next);
  }
  auto report = run(r);
  INFO(report.failed_index << " " << report.failure_detail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  REQUIRE(report.files.size() == 20);
  REQUIRE(result(report, "out/file-7") == "7\n");
}

TEST_CASE_METHOD(SandboxFixture, "two_indices_may_write_one_path_only_with_the_same_bytes") {
  auto r = request({"sh", "-c", "echo same > out/same"});
  r.invocations.push_back({1, {"sh", "-c", "echo same > out/same"}, environment(1)});
  REQUIRE(run(r).outcome.good());
  auto other = request({"sh", "-c", "echo $TNODE_INDEX > out/same"});
  other.invocations.push_back({1, {"sh", "-c", "echo $TNODE_INDEX > out/same"}, environment(1)});
  auto report = run(other);
  REQUIRE(report.outcome.kind == OutcomeKind::bad_output);
  REQUIRE_THAT(report.failure_detail, has_text("{index}"));
}

TEST_CASE_METHOD(SandboxFixture, "only_what_the_patterns_name_is_taken") {
  auto r = request({"sh", "-c", "echo a > out/a.png; echo b > out/b.txt; mkdir out/sub; echo c > out/sub/c.png"});
  r.outputs = {"out/*.png"};
  auto report = run(r);
  REQUIRE(report.files.size() == 1);
  REQUIRE(report.files[0].path == "out/a.png");
}

TEST_CASE_METHOD(SandboxFixture, "each_limit_has_an_outcome_of_its_own") {
  auto limited = [&](const std::string& script, auto change) {
    auto r = request({"sh", "-c", script});
    change(r.limits);
    auto report = run(r);
    INFO(script << ": " << report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.ran);
    REQUIRE(report.files.empty());
    return report.outcome.kind;
  };
  auto nothing = [](RunLimits&) {};
  auto short_time = [](RunLimits& l) { l.wall_ms = 300; };
  REQUIRE(limited("sleep 60", short_time) == OutcomeKind::timeout);
  REQUIRE(limited("trap '' TERM INT; while :; do sleep 1; done", short_time) == OutcomeKind::timeout);
  REQUIRE(limited("yes", nothing) == OutcomeKind::output_limit);
  REQUIRE(limited("yes >&2", nothing) == OutcomeKind::output_limit);
  REQUIRE(limited("cat /dev/zero > /tmp/big", nothing) == OutcomeKind::disk_limit);
  REQUIRE(limited("cat /dev/zero > out/big", nothing) == OutcomeKind::disk_limit);
  REQUIRE(limited("exec python3 -c 'x = bytearray(1 << 30); print(len(x))'", nothing) == OutcomeKind::out_of_memory);
  REQUIRE(limited("for i in 1 2 3 4 5 6 7 8; do python3 -c 'import time; x = bytearray(60 << 20); time.sleep(20)' & done; wait", nothing) == OutcomeKind::out_of_memory);
  // Where no control group counts refusals, a shell that fails of one before anybody looked has just failed.
  const auto bombed = limited("bomb() { bomb | bomb & bomb; }; bomb", nothing);
  REQUIRE((bombed == OutcomeKind::process_limit || (executor->state().limit_mode == "watchdog" && bombed == OutcomeKind::exited)));
  REQUIRE(limited("exec python3 -c 'import os, time\nwhile True:\n  try: os.fork() or time.sleep(100)\n  except OSError: pass'", nothing) == OutcomeKind::process_limit);
  REQUIRE(limited("ln -s /etc/passwd out/link", nothing) == OutcomeKind::bad_output);
  REQUIRE(limited("mkfifo out/pipe", nothing) == OutcomeKind::bad_output);
  REQUIRE(limited("for i in $(seq 20); do : > out/$i; done", [](RunLimits& l) { l.output_files = 10; }) == OutcomeKind::result_limit);
  REQUIRE(limited("echo > 'out/a\nb'", nothing) == OutcomeKind::bad_output);
  REQUIRE(limited("echo > out/A; echo > out/a", nothing) == OutcomeKind::bad_output);
  // And the farmer is healthy afterwards.
  REQUIRE(shell("true").outcome.good());
}

TEST_CASE_METHOD(SandboxFixture, "every_limit_has_an_outcome_of_its_own_and_says_how_far_it_came") {
  struct { const char* script; OutcomeKind kind; const char* said; void (*change)(RunLimits&); } const cases[] = {
      {"sleep 60", OutcomeKind::timeout, " s; the limit is 0.3 s", [](RunLimits& l) { l.wall_ms = 300; }},
      {"while :; do :; done", OutcomeKind::cpu_limit, " s of CPU time; the limit is 0 s", [](RunLimits& l) { l.cpus = 0; }},  // none at all: no other load of this machine matters
      {"exec python3 -c 'x = bytearray(1 << 30)'", OutcomeKind::out_of_memory, "(peak ", [](RunLimits&) {}},
      {"exec python3 -c 'import os, time\nwhile True:\n  try: os.fork() or time.sleep(100)\n  except OSError: pass'", OutcomeKind::process_limit, "(peak 6", [](RunLimits&) {}},
      {"cat /dev/zero > /tmp/big", OutcomeKind::disk_limit, "(peak 16 MiB)", [](RunLimits&) {}},
      {"exec python3 -c 'for i in range(300000): open(\"/tmp/%d\" % i, \"w\").close()'", OutcomeKind::inode_limit, " files in /tmp, out/ and /dev/shm; the limit is 200000",
       [](RunLimits& l) { l.memory_bytes = 2LL << 30, l.wall_ms = 60'000; }},
      {"yes", OutcomeKind::output_limit, " bytes to stdout; the limit is 1048576", [](RunLimits&) {}},
      {"yes >&2", OutcomeKind::output_limit, " bytes to stderr; the limit is 1048576", [](RunLimits&) {}},
      {"for i in $(seq 20); do : > out/$i; done", OutcomeKind::result_limit, "there are 11 output files", [](RunLimits& l) { l.output_files = 10; }},
      {"truncate -s 1T out/giant", OutcomeKind::result_limit, "1099511627776 more; the limit is 16777216", [](RunLimits&) {}},
  };
  for (const auto& each : cases) {
    auto r = request({"sh", "-c", each.script});
    each.change(r.limits);
    const auto report = run(r);
    INFO(each.script << ": " << outcome_word(report.outcome.kind) << ", " << report.failure_detail << report.problem);
    REQUIRE(report.ran);
    REQUIRE(report.outcome.kind == each.kind);
    REQUIRE(report.failure_detail.find(each.said) != std::string::npos);
  }
}

TEST_CASE_METHOD(SandboxFixture, "there_is_no_way_out_for_a_task") {
  auto refused = [&](const std::string& python) {
    auto report = run(request({"python3", "-c", python}));
    INFO(python << ": " << report.stdout_tail << report.stderr_tail);
    REQUIRE(report.ran);
    REQUIRE(report.outcome.kind == OutcomeKind::exited);
    REQUIRE(report.outcome.exit_code != 0);
  };
  refused("import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)");
  refused("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)");
  refused("open('/usr/bin/x', 'w')");
  refused("open('/x', 'w')");
  refused("open('/work/x', 'w')");
  refused("open('/work/in/x', 'w')");
  refused("open('/proc/sys/kernel/core_pattern', 'w')");
  refused("open('/dev/x', 'w')");
  refused("open('/root/.profile')");
  refused("open('/etc/shadow')");
  refused("open('/proc/1/mem', 'rb').read(1)");
  refused("import os; os.listdir('/proc/1/fd')");
  refused("import os; os.listdir('/sys')");
  refused("import os; os.unshare(os.CLONE_NEWUSER) if hasattr(os, 'unshare') else os.mknod('/tmp/d', 0o020666, 0x103)");
  refused("import os; os.setuid(0)");
  refused("import os; open('/tmp/s', 'w'); os.chmod('/tmp/s', 0o4755)");
  refused("import ctypes, sys; sys.exit(1 if ctypes.CDLL(None).unshare(0x10000000) != 0 else 0)");
  refused("import ctypes, sys; sys.exit(1 if ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0 else 0)");
  refused("import os, signal; os.kill(1, signal.SIGKILL); os.kill(os.getppid(), signal.SIGTERM); raise SystemExit(9)");
  auto report = shell("id -u; cat /proc/self/status | grep CapEff; ls /proc/self/fd | wc -l; hostname 2>/dev/null || cat /proc/sys/kernel/hostname");
  REQUIRE_THAT(report.stdout_tail, has_text("1000\n"));
  REQUIRE_THAT(report.stdout_tail, has_text("0000000000000000"));
}

TEST_CASE("descriptors_of_the_daemon_do_not_reach_a_task") {
  // Opened before the runner is forked, and inheritable, as libtorrent's sockets are.
  int leaked = open("/etc", O_RDONLY | O_DIRECTORY);
  REQUIRE(leaked >= 0);
  {
    SandboxFixture f;
    auto report = f.run(f.request({"python3", "-c", "import os\nfor n in os.listdir('/proc/self/fd'):\n  try: print(n, os.readlink('/proc/self/fd/' + n))\n  except OSError: pass"}));
    INFO(report.stdout_tail);
    REQUIRE(report.outcome.good());
    REQUIRE(report.stdout_tail.find("/etc") == std::string::npos);
    REQUIRE(report.stdout_tail.find("socket") == std::string::npos);
  }
  close(leaked);
}

TEST_CASE_METHOD(SandboxFixture, "a_cancelled_unit_ends_at_once_and_says_so") {
  auto r = request({"sleep", "600"});
  r.limits.wall_ms = 600'000;
  executor->run(r);
  REQUIRE(shell("true").outcome.good());
  executor->cancel(r.job);
  auto report = wait(r.job);
  REQUIRE_FALSE(report.ran);
  REQUIRE(report.problem == "cancelled");
}

TEST_CASE_METHOD(SandboxFixture, "many_units_side_by_side_keep_apart") {
  std::vector<ExecutionRequest> requests;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(request({"sh", "-c", "echo " + std::to_string(i) + " > out/n"}));
    executor->run(requests.back());
  }
  for (int i = 0; i < 12; ++i) {
    auto report = wait(requests[static_cast<std::size_t>(i)].job);
    REQUIRE(report.outcome.good());
    REQUIRE(result(report, "out/n") == std::to_string(i) + "\n");
  }
}

TEST_CASE_METHOD(SandboxFixture, "usage_of_many_short_indices_adds_up") {
  auto r = request({"true"});
  for (int i = 1; i < 50; ++i) r.invocations.push_back({i, {"true"}, environment(i)});
  const auto report = run(r);
  REQUIRE(report.outcome.good());
  REQUIRE(report.usage.wall_ms > 0);
  REQUIRE(report.usage.cpu_ms > 0);
  REQUIRE(report.usage.peak_memory_bytes > 0);
}

TEST_CASE_METHOD(SandboxFixture, "inputs_of_other_torrents_lie_beside_the_tasks_own") {
  write_file(task_dir() + "/in/own.txt", "own");
  write_file(dir.path + "/home/inputs/data/part", "foreign");
  auto r = request({"sh", "-c", "cat in/own.txt in/data/part > out/both; ! touch in/data/x in/x 2>/dev/null"});
  r.foreign_inputs = {{"data", dir.path + "/home/inputs/data"}};
  const auto report = run(r);
  INFO(report.problem << report.failure_detail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  REQUIRE(result(report, "out/both") == "ownforeign");
  // Two of one name, and a link that would show something else of this machine.
  auto twice = request({"true"});
  twice.foreign_inputs = {{"own.txt", dir.path + "/home/inputs/data"}};
  REQUIRE_THAT(run(twice).problem, has_text("two inputs are named"));
  std::filesystem::create_directory_symlink("/etc", dir.path + "/home/inputs/link");
  auto link = request({"true"});
  link.foreign_inputs = {{"etc", dir.path + "/home/inputs/link"}};
  REQUIRE_THAT(run(link).problem, has_text("neither a folder nor a file"));
  std::filesystem::create_directory(dir.path + "/home/tasks/linked");
  std::filesystem::create_directory_symlink("/etc", dir.path + "/home/tasks/linked/in");
  auto linked = request({"true"});
  linked.task_dir = dir.path + "/home/tasks/linked";
  REQUIRE_FALSE(run(linked).ran);
}

TEST_CASE("an_examined_machine_says_what_holds_line_by_line") {
  TempDir dir;
  const auto state = examine_sandbox(dir.path + "/home");
  REQUIRE(state.usable());
  for (const char* what : {"bubblewrap", "namespaces", "seccomp", "user", "memory", "processes"}) {
    INFO(what);
    REQUIRE(std::any_of(state.checks.begin(), state.checks.end(), [&](const auto& check) { return check.what == what && !check.detail.empty(); }));
  }
  for (const auto& check : state.checks) REQUIRE(check.remedy.empty() == (check.level == SandboxState::Check::good));
}
