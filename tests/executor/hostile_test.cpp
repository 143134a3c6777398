// Programs written to get out or to use more than they were given (tests/hostile), each with the end it must come to, in every limit mode of
// this machine: started by root with control groups, and by an ordinary user without.
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstdio>

#include "tests/executor/sandbox_fixture.h"

using namespace tnode;

namespace {

constexpr uid_t ordinary_user = 65534;
constexpr int held = 0;
constexpr const char* expected_oom = "oom";

struct Probe {
  const char* script;
  const char* name;
  std::string expected;          ///< "exited 0", "oom", …
  std::string watched = expected;  ///< where no control group limits memory and processes: refused earlier, or seen later
};

const std::vector<Probe> probes{
    {"escapes", "new_namespaces", "exited 0"},
    {"escapes", "clone_into_namespaces", "exited 0"},
    {"escapes", "clone3_hides_flags", "exited 0"},
    {"escapes", "enters_namespaces", "exited 0"},
    {"escapes", "mounts", "exited 0"},
    {"escapes", "traces", "exited 0"},
    {"escapes", "reads_the_first_process", "exited 0"},
    {"escapes", "hurts_the_first_process", "exited 0"},
    {"escapes", "young_kernel_interfaces", "exited 0"},
    {"escapes", "keyrings", "exited 0"},
    {"escapes", "modules_and_reboot", "exited 0"},
    {"escapes", "handles", "exited 0"},
    {"escapes", "other_personality", "exited 0"},
    {"escapes", "becomes_root", "exited 0"},
    {"escapes", "writes_outside", "exited 0"},
    {"escapes", "sees_the_host", "exited 0"},
    {"escapes", "kernel_switches", "exited 0"},
    {"escapes", "set_user_id", "exited 0"},
    {"escapes", "device_nodes", "exited 0"},
    {"escapes", "socket_families", "exited 0"},
    {"escapes", "abstract_socket_of_the_host", "exited 0"},
    {"escapes", "types_into_a_terminal", "exited 0"},
    {"escapes", "inherited_descriptors", "exited 0"},
    {"escapes", "foreign_system_calls", "exited 159"},  // SIGSYS
    {"escapes", "message_queues", "exited 0"},
    {"exhaustions", "forks", "process_limit"},
    {"exhaustions", "threads", "process_limit"},
    {"exhaustions", "memory", expected_oom},
    {"exhaustions", "memory_in_children", expected_oom},
    {"exhaustions", "memory_shared", expected_oom},
    {"exhaustions", "memory_nobody_maps", expected_oom, "exited 1"},
    {"exhaustions", "memory_system_v", expected_oom, "exited 1"},
    {"exhaustions", "memory_of_a_child_that_nobody_misses", expected_oom},
    {"exhaustions", "disk", "disk_limit"},
    {"exhaustions", "disk_in_two_places", "disk_limit"},
    {"exhaustions", "disk_by_empty_files", "disk_limit"},
    {"exhaustions", "processor", "cpu_limit"},
    {"exhaustions", "processor_by_short_lives", "cpu_limit"},
    {"exhaustions", "floods_stdout", "output_limit"},
    {"exhaustions", "floods_stderr", "output_limit"},
    {"exhaustions", "sleeps_deaf", "timeout"},
    {"exhaustions", "stops_everything", "timeout"},
    {"exhaustions", "closes_everything_and_sleeps", "timeout"},
    {"exhaustions", "deep_folders", "exited 0"},
    {"exhaustions", "output_deep", "bad_output"},
    {"exhaustions", "output_link", "bad_output"},
    {"exhaustions", "output_replaced_by_link", "bad_output"},
    {"exhaustions", "output_pipe", "bad_output"},
    {"exhaustions", "output_socket", "bad_output"},
    {"exhaustions", "output_giant_with_holes", "bad_output"},
    {"exhaustions", "output_many", "bad_output"},
    {"exhaustions", "output_hidden_folder", "exited 0"},
};

std::string words_of(const ExecutionReport& report) {
  if (!report.ran) return "problem: " + report.problem;
  std::string words(outcome_word(report.outcome.kind));
  return report.outcome.kind == OutcomeKind::exited ? words + " " + std::to_string(report.outcome.exit_code) : words;
}

/// A socket outside that a task could reach if it shared the host's network namespace.
struct Listener {
  Listener() : name("tnode-hostile-" + std::to_string(getpid())), fd(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, name.size());
    REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
    REQUIRE(listen(fd, 1) == 0);
  }
  ~Listener() { close(fd); }
  std::string name;
  int fd;
};

ExecutionRequest probe_request(SandboxFixture& f, const Probe& probe, const std::string& listener) {
  const std::string script = std::string("in/") + probe.script + ".py";
  auto r = f.request({"python3", script, probe.name});
  r.invocations[0].env["LISTENER"] = listener;
  r.limits.output_files = 200;
  const std::string name = probe.name, expected = probe.expected;
  if (expected == "timeout") r.limits.wall_ms = 1000;
  if (name.starts_with("memory")) r.limits.disk_bytes = 16 << 20;
  if (name == "disk_by_empty_files") r.limits.memory_bytes = 2LL << 30, r.limits.wall_ms = 60'000;
  if (expected == "cpu_limit") r.limits.wall_ms = 3000;
  return r;
}

/// What must be seen. CPU time runs out before the clock only where several processors are free: what was used says which it had to be,
/// but for what is used between two looks at it.
std::string expected_of(const Probe& probe, const ExecutionReport& report, const RunLimits& limits, bool watched) {
  constexpr std::int64_t between_looks_ms = 300;
  if (probe.expected != "cpu_limit") return watched ? probe.watched : probe.expected;
  const std::int64_t over_ms = report.usage.cpu_ms - limits.wall_ms * limits.cpus;
  if (over_ms >= 0 && over_ms < between_looks_ms && report.outcome.kind == OutcomeKind::timeout) return "timeout";
  return over_ms < 0 ? "timeout" : "cpu_limit";
}

/// The programs by name, read while we still may: an ordinary user need not see the source folder.
const std::map<std::string, std::string>& programs() {
  static const auto found = [] {
    std::map<std::string, std::string> read;
    for (const char* script : {"escapes", "exhaustions", "poison"}) {
      read[script] = content_of(std::string(TNODE_SOURCE_DIR) + "/tests/hostile/" + script + ".py");
      REQUIRE(!read[script].empty());
    }
    return read;
  }();
  return found;
}

/// Runs all probes; one line each that was not as expected.
std::string run_probes() {
  Listener listener;
  SandboxFixture f;
  for (const auto& [name, text] : programs()) write_file(f.task_dir() + "/in/" + name + ".py", text);
  const std::string mode = f.executor->state().limit_mode + (geteuid() == 0 ? " (root)" : " (user)");
  const bool watched = f.executor->state().limit_mode == "watchdog";
  std::string wrong;
  auto row = [&](const char* name, const std::string& expected, const std::string& seen, const ExecutionReport& report) {
    std::printf("%-40s %-16s %-14s %s\n", name, mode.c_str(), expected.c_str(), seen.c_str());
    if (seen != expected) wrong += mode + " " + name + ": expected " + expected + ", seen " + seen + "; " + report.failure_detail + report.stdout_tail + report.stderr_tail + "\n";
  };
  for (const auto& probe : probes) {
    const auto request = probe_request(f, probe, listener.name);
    const auto report = f.run(request);
    row(probe.name, expected_of(probe, report, request.limits, watched), words_of(report), report);
  }
  auto poison = f.request({"python3", "in/poison.py", "leave"});
  poison.invocations.push_back({1, {"python3", "in/poison.py", "look"}, SandboxFixture::environment(1)});
  poison.outputs = {"out/kept/**"};
  const auto report = f.run(poison);
  row("one_index_poisons_the_next", "exited 0", words_of(report), report);
  const auto after = f.shell("true");
  row("healthy_afterwards", "exited 0", words_of(after), after);
  std::fflush(stdout);
  return wrong;
}

}  // namespace

TEST_CASE("hostile_programs_come_to_the_end_they_must_under_control_groups_or_as_we_are") {
  const std::string wrong = run_probes();
  INFO(wrong);
  REQUIRE(wrong.empty());
}

TEST_CASE("hostile_programs_come_to_the_end_they_must_for_an_ordinary_user") {
  if (geteuid() != 0) return;  // the test above did that
  (void)programs();
  int out[2];
  REQUIRE(pipe(out) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(out[0]);
    if (setgroups(0, nullptr) != 0 || setresgid(ordinary_user, ordinary_user, ordinary_user) != 0 || setresuid(ordinary_user, ordinary_user, ordinary_user) != 0) _exit(1);
    std::string wrong;
    try {
      wrong = run_probes();
    } catch (...) {
      wrong = "no sandbox for an ordinary user";
    }
    _exit(write(out[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size()) ? held : 1);
  }
  close(out[1]);
  std::string wrong;
  char buffer[4096];
  for (ssize_t got; (got = read(out[0], buffer, sizeof buffer)) > 0;) wrong.append(buffer, static_cast<std::size_t>(got));
  close(out[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO(wrong);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == held);
  REQUIRE(wrong.empty());
}
