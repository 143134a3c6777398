// `warm: python3`: a script forked from an interpreter that started once does what it does in a fresh one, and indices stay apart.
#include <algorithm>

#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

class Pythons : public SandboxFixture {
 public:
  ExecutionRequest warm(std::vector<std::string> argv, std::vector<std::string> modules = {}) {
    auto r = request(std::move(argv));
    r.warm = {"python3", warm_python_path};
    r.warm.insert(r.warm.end(), modules.begin(), modules.end());
    r.warm_env = environment(0);
    r.warm_env.erase("TNODE_INDEX");
    return r;
  }
  ExecutionRequest times(ExecutionRequest r, int indices) {
    for (int i = 1; i < indices; ++i) {
      auto next = r.invocations[0];
      next.index = i;
      next.env["TNODE_INDEX"] = std::to_string(i);
      r.invocations.push_back(next);
    }
    return r;
  }
  /// The same command in a fresh interpreter and in a warm one: outcome, both streams and outputs are alike. Gives the warm report.
  ExecutionReport same(const std::vector<std::string>& argv, const std::string& script = "") {
    if (!script.empty()) write_file(task_dir() + "/in/script.py", script);
    const auto cold = run(request(argv)), hot = run(warm(argv));
    INFO(script << "\n" << argv.back());
    INFO("cold: " << cold.problem << cold.failure_detail << cold.stdout_tail << cold.stderr_tail);
    INFO("warm: " << hot.problem << hot.failure_detail << hot.stdout_tail << hot.stderr_tail);
    REQUIRE(cold.ran);
    REQUIRE(hot.ran);
    REQUIRE(hot.outcome == cold.outcome);
    REQUIRE(hot.stdout_tail == cold.stdout_tail);
    REQUIRE(hot.stderr_tail == cold.stderr_tail);
    REQUIRE(hot.files.size() == cold.files.size());
    for (const auto& file : cold.files) REQUIRE(result(hot, file.path) == result(cold, file.path));
    return hot;
  }
};

}  // namespace

TEST_CASE_METHOD(Pythons, "a_warm_script_sees_what_a_fresh_one_sees") {
  // All but its parent, and how many processes there may be: without control groups that counts the warm interpreter too.
  const std::string look = R"(
import os, resource, signal, sys
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.executable, sys.stdin.fileno(), sys.stdin.read())
print(__name__, sorted(globals()), type(__loader__), getattr(__loader__, "path", None), __spec__, sorted(sys.modules), sorted(sys.path_importer_cache))
print(dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), os.umask(0), sorted(os.listdir('/proc/self/fd')))
print([(n, resource.getrlimit(getattr(resource, n))) for n in dir(resource) if n.startswith('RLIMIT') and n != 'RLIMIT_NPROC'])
print([(s, signal.getsignal(s)) for s in signal.valid_signals()], signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getuid(), os.getpriority(0, 0))
print(sys.modules['__main__'].__dict__ is globals(), sys.getrecursionlimit(), sys.gettrace())
print(open('/proc/self/status').read().split('Seccomp')[1].split()[1], os.path.exists('/tmp/x'), os.listdir('/tmp'), os.listdir('out'))
)";
  same({"python3", "in/script.py", "a", "", "b c"}, "__doc__ = 'x'" + look + "print(__file__, __cached__)");
  same({"python3", "./in/script.py"});
  same({"python3", "/work/in/script.py"});
  same({"python3", "-c", look, "more", "-x"});
  write_file(task_dir() + "/in/package/__init__.py", "");
  write_file(task_dir() + "/in/package/part.py", look + "print(__file__, __package__)");
  same({"python3", "-m", "in.package.part", "word"});
  same({"python3", "-m", "no_such_module"});
  same({"python3", "in/script.py"}, "import helper; print(helper.value)");
  write_file(task_dir() + "/in/helper.py", "value = 7");
  same({"python3", "in/script.py"}, "import helper; print(helper.value, helper.__file__)");
}

TEST_CASE_METHOD(Pythons, "a_warm_script_ends_as_a_fresh_one_ends") {
  const std::vector<std::string> script{"python3", "in/script.py"};
  same(script, "print('x')");
  for (const char* code : {"", "None", "0", "3", "256", "-1", "'words'", "True", "1.5", "(1, 2)"}) same(script, std::string("import sys; print('before'); sys.exit(") + code + ")");
  same(script, "def f(): g()\ndef g(): raise ValueError('deep')\nf()");
  same(script, "try:\n  1/0\nexcept ZeroDivisionError as e:\n  raise KeyError('x') from e");
  same(script, "def broken(:\n  pass");
  same(script, "raise KeyboardInterrupt");
  same(script, "import os; os.kill(os.getpid(), 15)");
  same(script, "import os; print('lost', end=''); os._exit(4)");
  same(script, "import atexit; atexit.register(print, 'bye'); print('hello')");
  same(script, "import threading, time\ndef late(): time.sleep(.1); print('late')\nthreading.Thread(target=late).start(); print('main')");
  same(script, "f = open('out/f', 'w'); f.write('never closed'); d = {'f': open('out/g', 'w')}; d['d'] = d; d['f'].write('in a cycle')\ndef uses(): return f");
  same(script, "class A:\n  def __del__(self): print('gone', name)\nname = 'a'; keep = A(); keep.me = keep");
  same(script, "import sys; sys.excepthook = lambda *a: print('hook', a[0]); 1/0");
  same(script, "import sys; sys.stdout.write('no newline'); sys.stderr.write('nor here')");
  same(script, "import sys; sys.stdout.close()");
  same(script, "import os; os.close(1); print('x')");
  same(script, "import multiprocessing as m\ndef f(x): return x * x\nif __name__ == '__main__':\n  p = m.get_context('fork').Pool(2); print(p.map(f, [1, 2, 3])); p.close(); p.join()");
  same(script, "import subprocess; print(subprocess.run(['sh', '-c', 'echo $PPID >&2; exit 5'], stderr=subprocess.DEVNULL).returncode)");
  same(script, "#!/bin/sh\n# -*- coding: latin-1 -*-\nprint('\xe9')");
  same({"python3", "in/absent.py"});
  same({"python3", "-c", "print(1"});
  same({"python3", "-c", "raise SystemExit(9)"});
  same({"python3", "-O", "-c", "print(__debug__)"});
  same({"python3", "in"});
  same({"python3"});
  same({"sh", "-c", "echo $0"});
  same({"no-such-program"});
}

TEST_CASE_METHOD(Pythons, "variables_that_count_when_an_interpreter_starts_count_for_a_warm_one_too") {
  for (const auto& [key, value] : std::map<std::string, std::string>{{"PYTHONPATH", "/work/in"}, {"PYTHONHASHSEED", "7"}, {"TZ", "Asia/Tokyo"}, {"LC_ALL", "C"}, {"PYTHONDONTWRITEBYTECODE", "1"}, {"OWN", "x"}}) {
    const std::string look = "import os, sys, time; print(hash('word') if 'PYTHONHASHSEED' in os.environ else 0, sys.path, time.strftime('%Z', time.localtime(0)), sys.stdout.encoding, sys.flags.dont_write_bytecode, os.environ)";
    auto cold = request({"python3", "-c", look}), late = warm({"python3", "-c", look}), early = late;
    cold.invocations[0].env[key] = value;
    late.invocations[0].env[key] = value;
    early.job += 1'000;
    early.result_dir += "-early";
    early.invocations[0].env[key] = value;
    early.warm_env[key] = value;
    const std::string expected = run(cold).stdout_tail;
    INFO(key);
    REQUIRE(run(late).stdout_tail == expected);
    REQUIRE(run(early).stdout_tail == expected);
  }
}

TEST_CASE_METHOD(Pythons, "warm_indices_share_an_interpreter_and_nothing_else") {
  // Each index leaves what it can; each looks for what the others left.
  const std::string poison = R"(
import builtins, fcntl, json, os, random, sys, time
left = [n for n in ('poison',) if hasattr(builtins, n) or hasattr(sys, n) or hasattr(json, n)]
left += os.listdir('/tmp') + os.listdir('out') + os.listdir('/dev/shm')
left += [fcntl.fcntl(n, fcntl.F_GETFL) & os.O_NONBLOCK for n in range(3) if fcntl.fcntl(n, fcntl.F_GETFL) & os.O_NONBLOCK]
left += [fcntl.fcntl(n, 1032) for n in (1, 2) if fcntl.fcntl(n, 1032) != 65536]
left += ['env'] * ('POISON' in os.environ) + ['cwd'] * (os.getcwd() != '/work') + ['umask'] * (os.umask(0o22) != 0o22)
left += ['processes'] * (sum(n.isdigit() for n in os.listdir('/proc')) > 3)
try:
  open('/proc/%d/mem' % os.getppid(), 'r+b')
  left.append('memory')
except OSError: pass
builtins.poison = sys.poison = json.poison = 1
os.environ['POISON'] = '1'; os.chdir('/'); os.umask(0)
for n in range(3): fcntl.fcntl(n, fcntl.F_SETFL, os.O_NONBLOCK)
for n in (1, 2): fcntl.fcntl(n, 1031, 4096)
for folder in ('/tmp/x', '/dev/shm/x'): open(folder, 'w').write('x')
if os.environ['TNODE_INDEX'] == '3':
  os.fork() or time.sleep(600)
open('/work/out/' + os.environ['TNODE_INDEX'], 'w').write(repr(left))
open('/work/out/random-' + os.environ['TNODE_INDEX'], 'w').write(str(random.random()))
)";
  const auto report = run(times(warm({"python3", "-c", poison}, {"json", "random"}), 10));
  INFO(report.problem << report.failure_detail << report.stdout_tail << report.stderr_tail);
  REQUIRE(report.outcome.good());
  std::vector<std::string> randoms;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(result(report, "out/" + std::to_string(i)) == "[]");
    randoms.push_back(result(report, "out/random-" + std::to_string(i)));
  }
  std::sort(randoms.begin(), randoms.end());
  REQUIRE(std::adjacent_find(randoms.begin(), randoms.end()) == randoms.end());
}

TEST_CASE_METHOD(Pythons, "an_interpreter_starts_once_for_the_units_of_a_task") {
  // Its address space is laid out anew with each start, and not with a fork.
  const std::string where = "open('out/where', 'w').write(str(id(None)))";
  std::vector<std::string> seen;
  for (int i = 0; i < 4; ++i) seen.push_back(result(run(times(warm({"python3", "-c", where}), 5)), "out/where"));
  REQUIRE(std::count(seen.begin(), seen.end(), seen[0]) == 4);
  REQUIRE_FALSE(seen[0].empty());
}

TEST_CASE_METHOD(Pythons, "limits_end_warm_scripts_as_they_end_fresh_ones") {
  auto outcome = [&](const std::string& script, auto change) {
    auto r = warm({"python3", "-c", script});
    change(r.limits);
    const auto report = run(r);
    INFO(script << ": " << report.problem << report.failure_detail << report.stderr_tail);
    REQUIRE(report.ran);
    return report.outcome;
  };
  auto nothing = [](RunLimits&) {};
  REQUIRE(outcome("import time; time.sleep(60)", [](RunLimits& l) { l.wall_ms = 500; }).kind == OutcomeKind::timeout);
  REQUIRE(outcome("x = bytearray(1 << 30)", nothing).kind == OutcomeKind::out_of_memory);
  REQUIRE(outcome("while True: print('x' * 1000)", nothing).kind == OutcomeKind::output_limit);
  REQUIRE(outcome("import os, time\nwhile True:\n  try: os.fork() or time.sleep(100)\n  except OSError: pass", nothing).kind == OutcomeKind::process_limit);
  REQUIRE(outcome("open('/tmp/x', 'wb').write(bytes(64 << 20))", [](RunLimits& l) { l.memory_bytes = 512 << 20; }).kind == OutcomeKind::disk_limit);
  REQUIRE(outcome("import os; os.symlink('/etc', 'out/x')", nothing).kind == OutcomeKind::bad_output);
  REQUIRE(outcome("raise SystemExit(7)", nothing) == Outcome{OutcomeKind::exited, 7});
  REQUIRE(outcome("print(1)", nothing).good());
}
