// A warm command of the task's own: it is the task's, so whatever it does, an index ends clearly, and the next one is served.
#include <algorithm>
#include <sstream>
#include <thread>

#include "tests/executor/processes.h"
#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

// A server that can be told to misbehave: by the word after it, from its second index on where that is about serving.
constexpr const char* server = R"(
import os, sys, time
how = sys.argv[1]
def work():
  while True: pass
def wake_itself():
  import ctypes, signal
  signal.signal(signal.SIGCONT, lambda *_: os.fork() or work())
  libc, timer = ctypes.CDLL(None), ctypes.c_int(0)
  for ms in range(100, 1000, 100):
    libc.syscall(222, 1, ctypes.byref((ctypes.c_uint32 * 16)(0, 0, 18, 0)), ctypes.byref(timer))  # timer_create: SIGCONT …
    libc.syscall(223, timer, 0, (ctypes.c_long * 4)(0, 0, 0, ms * 1000000), None)                  # … then
if how == 'exits': os.write(2, b'no table\n'); sys.exit(3)
if how == 'exits well': sys.exit(0)
if how == 'sleeps': time.sleep(600)
if how == 'babbles': os.write(3, b'hello\n'); time.sleep(600)
if how == 'babbles without end': os.write(3, b'x' * 100000); time.sleep(600)
if how == 'writes': [open(f, 'w').write('x') for f in ('/tmp/x', '/work/out/x', '/dev/shm/x')]
if how == 'forks': os.fork() or time.sleep(600)
served = 0
os.write(3, b'ready\n')
while True:
  if how == 'dies idle' and served: sys.exit(1)
  if how == 'hangs' and served: time.sleep(600)
  request = os.read(3, 1 << 16)
  if not request: sys.exit(0)
  while b'\n' not in request or len(request) < request.index(b'\n') + 1 + int(request.split()[3]): request += os.read(3, 1 << 16)
  line, strings = request.split(b'\n', 1)
  argc = int(line.split()[1])
  argv = strings.split(b'\0')[:argc]
  served += 1
  if how == 'dies asked' and served == 2: sys.exit(1)
  if how == 'is ready again': os.write(3, b'ready\n')
  if how == 'says nonsense': os.write(3, b'exited well\n')
  if how == 'says too much': os.write(3, b'exited 256\n')
  index = os.fork()
  if index:
    if how == 'does not wait': os.write(3, b'exited 0\n'); continue
    status = os.waitpid(index, 0)[1]
    if how == 'lives deep': os.chdir('/tmp'); [(os.mkdir('d'), os.chdir('d')) for _ in range(20000)]
    if how == 'changes results' and served == 1:
      names = ['out/many-%d' % n for n in range(100)]
      [open(name, 'wb').write(bytes(100000)) for name in names]
      def change():
        while True:
          for name in names:
            try:
              os.truncate(name, 10)
              os.truncate(name, 100000)
              os.remove(name)
              os.mkfifo(name)
              os.remove(name)
              open(name, 'wb').write(bytes(5000))
            except OSError: pass
      import threading; threading.Thread(target=change, daemon=True).start()
    if how == 'wakes itself': wake_itself()
    os.write(3, b'killed %d\n' % (status & 127) if status & 127 else b'exited %d\n' % (status >> 8))
    continue
  os.close(3)
  os.setsid()
  if how == 'is killed': os.kill(os.getppid(), 9); time.sleep(600)
  if how == 'index dies': os.kill(os.getpid(), 11)
  if how == 'index fails': os._exit(9)
  open('out/' + argv[1].decode(), 'w').write('%s %s' % (os.listdir('/tmp') + os.listdir('/dev/shm'), len(os.listdir('out'))))
  os._exit(0)
)";

class Servers : public SandboxFixture {
 public:
  Servers() { write_file(task_dir() + "/in/server.py", server); }
  ExecutionRequest with(const std::string& how, int indices = 1) {
    auto r = request({"work", "0"});
    r.warm = {"python3", "in/server.py", how};
    r.warm_env = environment(0);
    for (int i = 1; i < indices; ++i) r.invocations.push_back({i, {"work", std::to_string(i)}, environment(i)});
    return r;
  }
};

pid_t runner_of_this() {
  const std::string id = std::to_string(getpid());
  std::istringstream text(content_of("/proc/" + id + "/task/" + id + "/children"));
  for (pid_t child; text >> child;)
    if (content_of("/proc/" + std::to_string(child) + "/comm") == "tnode-runner\n") return child;
  return -1;
}

/// The states of all processes of that name below one.
std::string states_below(pid_t pid, const std::string& name) {
  const std::string id = std::to_string(pid);
  std::istringstream text(content_of("/proc/" + id + "/task/" + id + "/children"));
  std::string states;
  for (pid_t child; text >> child;) {
    const std::string stat = content_of("/proc/" + std::to_string(child) + "/stat");
    if (stat.find("(" + name + ")") != std::string::npos) states += stat[stat.rfind(')') + 2];
    states += states_below(child, name);
  }
  return states;
}

}  // namespace

TEST_CASE_METHOD(Servers, "indices_are_forked_from_a_server_that_starts_once") {
  for (int unit = 0; unit < 3; ++unit) {
    const auto report = run(with("well", 5));
    INFO(report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.outcome.good());
    for (int i = 0; i < 5; ++i) REQUIRE(result(report, "out/" + std::to_string(i)) == "[] 1");
  }
}

TEST_CASE_METHOD(Servers, "a_server_that_stops_serving_is_replaced_and_no_index_notices") {
  for (const char* how : {"dies idle", "dies asked", "hangs", "forks", "writes"}) {
    const auto report = run(with(how, 4));
    INFO(how << ": " << report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.outcome.good());
    for (int i = 0; i < 4; ++i) REQUIRE(result(report, "out/" + std::to_string(i)) == "[] 1");
  }
}

TEST_CASE_METHOD(Servers, "a_server_that_makes_cleaning_up_slow_is_replaced") {
  auto r = with("lives deep", 2);
  r.limits.wall_ms = 60'000;
  const auto report = run(r);
  INFO(report.problem << report.failure_detail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  for (int i = 0; i < 2; ++i) REQUIRE(result(report, "out/" + std::to_string(i)) == "[] 1");
}

TEST_CASE_METHOD(Servers, "a_server_that_changes_results_while_they_are_read_harms_only_them") {
  for (int unit = 0; unit < 10; ++unit) {
    auto r = with("changes results", 3);
    r.task_hex = std::to_string(r.job);  // it begins anew
    const auto report = run(r);
    INFO(report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.ran);
    const auto kind = report.outcome.kind;
    REQUIRE((report.outcome.good() || kind == OutcomeKind::bad_output || kind == OutcomeKind::result_limit));
  }
}

TEST_CASE_METHOD(Servers, "a_server_that_never_serves_fails_the_index_and_says_so") {
  auto ending = [&](const std::string& how) {
    auto r = with(how);
    if (how == "sleeps") r.limits.wall_ms = 700;
    const auto report = run(r);
    INFO(how << ": " << report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.ran);
    return report;
  };
  const auto exits = ending("exits");
  REQUIRE(exits.outcome == Outcome{OutcomeKind::exited, 3});
  REQUIRE(exits.stderr_tail == "no table\n");
  for (const char* how : {"exits well", "babbles", "babbles without end", "is ready again", "says nonsense", "says too much", "is killed"}) {
    INFO(how);
    const auto report = ending(how);
    REQUIRE(report.outcome == Outcome{OutcomeKind::exited, 126});
    REQUIRE_THAT(report.stderr_tail, has_text("warm command"));
  }
  REQUIRE(ending("index dies").outcome == Outcome{OutcomeKind::exited, 139});
  REQUIRE(ending("index fails").outcome == Outcome{OutcomeKind::exited, 9});
  REQUIRE(ending("does not wait").outcome.good());  // its word is the task's word, and nothing lives on
  REQUIRE(ending("sleeps").outcome.kind == OutcomeKind::timeout);
  auto absent = with("");
  absent.warm = {"no-such-server"};
  const auto report = run(absent);
  REQUIRE(report.outcome.exit_code == 127);
  REQUIRE_THAT(report.stderr_tail, has_text("no-such-server"));
}

TEST_CASE_METHOD(Servers, "a_server_rests_while_there_is_nothing_to_do") {
  REQUIRE(run(with("well")).outcome.good());
  const pid_t runner = runner_of_this();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  std::string states;
  while ((states = states_below(runner, "python3")) != "T" && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  REQUIRE(states == "T");
  REQUIRE(run(with("well")).outcome.good());
}

TEST_CASE_METHOD(Servers, "a_server_that_wakes_itself_while_it_rests_is_ended_with_what_it_starts") {
  const pid_t runner = runner_of_this();
  auto nobody_works = [&] {
    const auto all = descendants(runner);
    return std::none_of(all.begin(), all.end(), [](pid_t each) { return proc_text(each, "comm") == "python3\n"; });
  };
  // While the sandbox goes on idling; on a machine with more to do it may idle to its end before the server has worked at all.
  constexpr int most_rounds = 8;
  bool ended = false;
  for (int round = 0; round < most_rounds && !ended; ++round) {
    REQUIRE(run(with("wakes itself")).outcome.good());
    REQUIRE(eventually(nobody_works));
    ended = !children(runner).empty();
  }
  REQUIRE(ended);
  REQUIRE(run(with("wakes itself")).outcome.good());
}

TEST_CASE_METHOD(SandboxFixture, "the_warm_server_of_the_examples_serves") {
  write_file(task_dir() + "/in/server.pl", content_of(std::string(TNODE_SOURCE_DIR) + "/examples/goldbach/server.pl"));
  auto r = request({"goldbach", "1000", "out/1000"});
  r.invocations.push_back({1, {"goldbach", "100000", "out/100000"}, environment(1)});
  r.warm = {"perl", "in/server.pl"};
  r.warm_env = environment(0);
  const auto report = run(r);
  INFO(report.problem << report.failure_detail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  REQUIRE(result(report, "out/1000") == "1000 28\n");
  REQUIRE(result(report, "out/100000") == "100000 810\n");
}
