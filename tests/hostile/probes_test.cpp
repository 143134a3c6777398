// Programs written to get out or to use more than they were given, each on every kind of machine, as a unit of its own (cold) and as the middle index of
// one, with another after it that must find nothing (warm). Prints a table: probe, mode, expected, seen.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdio>
#include <deque>

#include "tests/executor/refused_calls.h"
#include "tests/executor/sandbox_fixture.h"
#include "tests/hostile/machine.h"
#include "tests/hostile/probe_list.h"

using namespace tnode;

namespace {

constexpr std::size_t fewest_probes = 70;
constexpr std::size_t side_by_side = 2;
constexpr int probe_index = 1;

/// What lies outside for a probe to reach: listeners that wait for a caller, a file, and descriptors that nobody closes on exec, as libtorrent's are not.
class Bait {
 public:
  explicit Bait(const std::string& folder) : name("tnode-hostile-" + std::to_string(getpid())), path(folder + "/listener"), file(folder + "/secret") {
    sockaddr_un abstract{}, named{};
    abstract.sun_family = named.sun_family = AF_UNIX;
    name.copy(abstract.sun_path + 1, name.size());
    path.copy(named.sun_path, sizeof named.sun_path - 1);
    listen_at(abstract, offsetof(sockaddr_un, sun_path) + 1 + name.size());
    listen_at(named, sizeof named);
    write_file(file, "secret");
    chmod(path.c_str(), 0777);
    const int network = socket(AF_INET, SOCK_DGRAM, 0), folder_of_secrets = open("/etc", O_RDONLY | O_DIRECTORY), secret = open(file.c_str(), O_RDWR);
    for (int fd : {network, folder_of_secrets, secret}) {
      REQUIRE(fd >= 0);
      held_.push_back(fd);
      held_.push_back(fcntl(fd, F_DUPFD, 500));
    }
  }
  ~Bait() {
    for (int fd : held_) close(fd);
  }
  Bait(const Bait&) = delete;
  Bait& operator=(const Bait&) = delete;

  std::string complaint() const {
    for (int listener : listeners_)
      if (accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) >= 0) return "somebody called a listener outside\n";
    return content_of(file) == "secret" ? "" : "a file outside was changed\n";
  }
  const std::string name, path, file;

 private:
  void listen_at(const sockaddr_un& address, std::size_t length) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) == 0);
    REQUIRE(listen(fd, 8) == 0);
    listeners_.push_back(fd);
    held_.push_back(fd);
  }
  std::vector<int> listeners_, held_;
};

/// "exited 0", "oom", …; where it was another index than the probe's own that failed, that too.
std::string words_of(const ExecutionReport& report, bool warm) {
  if (!report.ran) return "problem: " + report.problem;
  std::string words(outcome_word(report.outcome.kind));
  if (report.outcome.kind == OutcomeKind::exited) words += " " + std::to_string(report.outcome.exit_code);
  if (warm && !report.outcome.good() && report.failed_index != probe_index) words += report.failed_index < probe_index ? " before it" : " after it";
  return words;
}

/// CPU time runs out before the clock only where several processors are free: what was used says which it had to be, but for what is used
/// between two looks at it.
std::string expected_of(const Probe& probe, const ExecutionReport& report, const RunLimits& limits, bool watched) {
  constexpr std::int64_t between_looks_ms = 300;
  if (probe.expected != "cpu_limit") return watched ? probe.watched : probe.expected;
  const std::int64_t over_ms = report.usage.cpu_ms - limits.wall_ms * limits.cpus;
  if (over_ms >= 0 && over_ms < between_looks_ms && report.outcome.kind == OutcomeKind::timeout) return "timeout";
  return over_ms < 0 ? "timeout" : "cpu_limit";
}

class Matrix {
 public:
  Matrix(const Machine& machine, const Probes& probes) : machine_(machine), probes_(probes.list), bait_(baits_.path) {
    for (const auto& [name, content] : probes.files) write_file(f_.task_dir() + "/in/" + name, content);
    std::string calls;
    for (const auto& each : refused_calls(f_.executor->state().limit_mode == "watchdog")) {
      calls += std::to_string(each.number);
      for (std::uint64_t argument : each.arguments) calls += " " + std::to_string(argument);
      calls += " " + std::to_string(each.error) + " " + each.name + "\n";
    }
    write_file(f_.task_dir() + "/in/refused_calls", calls);
  }

  /// One line of complaint for each probe that came to another end.
  std::string run() {
    if ((f_.executor->state().limit_mode == "watchdog") == machine_.control_groups && geteuid() == 0) return "limits are by " + f_.executor->state().limit_mode + "\n";
    for (bool warm : {false, true}) {
      for (const auto& probe : probes_) {
        if (waiting_.size() == side_by_side) take_one();
        waiting_.push_back({&probe, warm, request(probe, warm)});
        f_.executor->run(waiting_.back().request);
      }
    }
    while (!waiting_.empty()) take_one();
    const auto after = f_.shell("true");
    row("healthy_afterwards", false, "exited 0", words_of(after, false), after);
    return complaints_ + bait_.complaint();
  }

 private:
  struct Waiting { const Probe* probe; bool warm; ExecutionRequest request; };

  Invocation invocation(int index, const std::string& name) const {
    auto environment = SandboxFixture::environment(index);
    environment["LISTENER"] = bait_.name;
    environment["SOCKET"] = bait_.path;
    environment["HOST_HOME"] = f_.dir.path + "/home";
    environment["HOST_FILE"] = bait_.file;
    rlimit core{};
    getrlimit(RLIMIT_CORE, &core);
    environment["CORE_LIMIT"] = std::to_string(core.rlim_max);
    return {index, {"python3", "-S", "in/run.py", name}, environment};
  }
  ExecutionRequest request(const Probe& probe, bool warm) {
    auto r = f_.request({});
    r.invocations.clear();
    if (warm) r.invocations.push_back(invocation(0, "leftovers.harmless"));
    r.invocations.push_back(invocation(probe_index, probe.name));
    if (warm) r.invocations.push_back(invocation(2, "leftovers.look"));
    probe.set_terms(r.limits);
    return r;
  }
  void take_one() {
    const Waiting one = std::move(waiting_.front());
    waiting_.pop_front();
    const auto report = f_.wait(one.request.job);
    const bool watched = f_.executor->state().limit_mode == "watchdog";
    row(one.probe->name, one.warm, expected_of(*one.probe, report, one.request.limits, watched), words_of(report, one.warm), report);
    if (!report.outcome.good() && std::filesystem::exists(one.request.result_dir)) complaints_ += one.probe->name + " left results of a failure\n";
  }
  void row(const std::string& name, bool warm, const std::string& expected, const std::string& seen, const ExecutionReport& report) {
    const std::string mode = machine_.name() + " " + f_.executor->state().limit_mode + (warm ? " warm" : " cold");
    std::printf("%-64s %-30s %-14s %s%s (%ld ms, cpu %ld)\n", name.c_str(), mode.c_str(), expected.c_str(), seen.c_str(), seen == expected ? "" : "   <-- WRONG", (long)report.usage.wall_ms, (long)report.usage.cpu_ms);
    if (seen != expected) complaints_ += mode + " " + name + ": expected " + expected + ", seen " + seen + "; " + report.failure_detail + report.stdout_tail + report.stderr_tail + "\n";
  }

  const Machine machine_;
  const std::vector<Probe>& probes_;
  TempDir baits_;
  Bait bait_;  // before the executor: what it inherits must not reach a task
  SandboxFixture f_;
  std::deque<Waiting> waiting_;
  std::string complaints_;
};

}  // namespace

TEST_CASE("hostile_programs_come_to_the_end_they_must_on_every_kind_of_machine") {
  const Probes probes;
  REQUIRE(probes.list.size() >= fewest_probes);
  std::printf("%-64s %-30s %-14s %s\n", "probe", "mode", "expected", "seen");
  std::string complaints;
  for (const auto& machine : machines()) {
    const auto run = run_on(machine, [&] {
      const auto complaint = Matrix(machine, probes).run();
      std::fflush(stdout);
      return complaint;
    });
    if (!run.skipped.empty()) std::printf("%-64s %-30s skipped: %s\n", "all probes", machine.name().c_str(), run.skipped.c_str());
    complaints += run.complaint;
  }
  INFO(complaints);
  REQUIRE(complaints.empty());
}
