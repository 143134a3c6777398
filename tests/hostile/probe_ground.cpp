#include "tests/hostile/probe_ground.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstddef>

#include "tests/executor/refused_calls.h"

namespace tnode {
namespace {

constexpr int index_before = 0, probe_index = 1, index_after = 2;
constexpr int high_descriptor = 500;

int listen_at(const sockaddr_un& address, std::size_t length) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) == 0);
  REQUIRE(listen(fd, 8) == 0);
  return fd;
}

/// For a probe that makes them all: number, six arguments, the error that must come, name.
std::string list_of_refused_calls(bool watched) {
  std::string text;
  for (const auto& each : refused_calls({.watched_memory = watched})) {
    text += std::to_string(each.number);
    for (std::uint64_t argument : each.arguments) text += " " + std::to_string(argument);
    text += " " + std::to_string(each.error) + " " + each.name + "\n";
  }
  return text;
}

}  // namespace

Bait::Bait(const std::string& folder) : listener_name("tnode-hostile-" + std::to_string(getpid())), listener_path(folder + "/listener"), file(folder + "/secret") {
  sockaddr_un abstract{}, named{};
  abstract.sun_family = named.sun_family = AF_UNIX;
  listener_name.copy(abstract.sun_path + 1, listener_name.size());
  listener_path.copy(named.sun_path, sizeof named.sun_path - 1);
  listeners_ = {listen_at(abstract, offsetof(sockaddr_un, sun_path) + 1 + listener_name.size()), listen_at(named, sizeof named)};
  chmod(listener_path.c_str(), 0777);
  write_file(file, "secret");
  // A key in a keyring of its own, of the user that sandboxes run as when root started nothing.
  constexpr long join_new = 1, own_session = -3;
  syscall(SYS_keyctl, join_new, nullptr);
  syscall(SYS_add_key, "user", listener_name.c_str(), "secret", 6UL, own_session);
  held_ = listeners_;
  for (int fd : {socket(AF_INET, SOCK_DGRAM, 0), open("/etc", O_RDONLY | O_DIRECTORY), open(file.c_str(), O_RDWR)}) {
    REQUIRE(fd >= 0);
    held_.push_back(fd);
    held_.push_back(fcntl(fd, F_DUPFD, high_descriptor));
  }
}

Bait::~Bait() {
  for (int fd : held_) close(fd);
}

std::string Bait::complaint() const {
  for (int listener : listeners_)
    if (accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) >= 0) return "somebody called a listener outside\n";
  return content_of(file) == "secret" ? "" : "a file outside was changed\n";
}

ProbeGround::ProbeGround(const Probes& probes) : bait_(folder_.path) {
  for (const auto& [name, content] : probes.files) write_file(fixture_.task_dir() + "/in/" + name, content);
  write_file(fixture_.task_dir() + "/in/refused_calls", list_of_refused_calls(watched()));
}

std::map<std::string, std::string> ProbeGround::environment(int index, Place place) const {
  auto environment = SandboxFixture::environment(index);
  environment["PLACE"] = name_of(place);
  environment["LISTENER"] = bait_.listener_name;
  environment["SOCKET"] = bait_.listener_path;
  environment["HOST_HOME"] = fixture_.dir.path + "/home";
  environment["HOST_FILE"] = bait_.file;
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  environment["CORE_LIMIT"] = std::to_string(core.rlim_max);
  return environment;
}

Invocation ProbeGround::invocation(int index, const std::string& program, Place place) const {
  switch (place) {
    case Place::cold:
    case Place::warm: return {index, {"python3", "-S", "in/run.py", program}, environment(index, place)};
    case Place::forked: return {index, {"python3", "in/run.py", program}, environment(index, place)};  // with an option it would be a fresh interpreter
    case Place::served: return {index, {program}, environment(index, place)};
  }
  return {};
}

ExecutionRequest ProbeGround::request(const Probe& probe, Place place) {
  auto r = fixture_.request({});
  r.task_hex = std::to_string(r.job);  // a task of its own: no other probe's sandbox fits
  const bool itself = place != Place::served;
  r.invocations = {invocation(probe_index, itself ? probe.name : "leftovers.harmless", place)};
  if (place == Place::warm || place == Place::forked) r.invocations.push_back(invocation(index_after, "leftovers.look", place));
  if (place == Place::forked) r.warm = {"python3", warm_python_path};
  if (place == Place::served) r.warm = {"python3", "-S", "in/run.py", "--serve", probe.name};
  if (!r.warm.empty()) r.warm_env = environment(index_before, place);
  probe.set_terms(r.limits);
  return r;
}

ExecutionRequest ProbeGround::of_the_task(const ExecutionRequest& other, Invocation only) {
  auto r = fixture_.request({});
  r.task_hex = other.task_hex;
  r.limits = other.limits;
  r.warm = other.warm;
  r.warm_env = other.warm_env;
  r.invocations = {std::move(only)};
  r.invocations[0].env = other.invocations[0].env;
  return r;
}

ExecutionRequest ProbeGround::unit_before(const ExecutionRequest& after) {
  auto harmless = invocation(index_before, "leftovers.harmless", after.warm.empty() ? Place::warm : Place::forked);
  return of_the_task(after, std::move(harmless));
}

void ProbeGround::same_sandbox(const ExecutionReport& before, ExecutionRequest& after) const {
  const std::string sandbox = before.outcome.good() && before.ran ? fixture_.result(before, "out/sandbox") : "none: the unit before ended as " + words_of(before);
  for (auto& each : after.invocations) each.env["SANDBOX"] = sandbox;
}

ExecutionRequest ProbeGround::look_after(const ExecutionRequest& before) {
  auto look = before.invocations.back();
  look.argv.back() = "leftovers.look";
  return of_the_task(before, std::move(look));
}

std::string words_of(const ExecutionReport& report) {
  if (!report.ran) return "problem: " + report.problem;
  std::string words(outcome_word(report.outcome.kind));
  if (report.outcome.kind == OutcomeKind::exited) words += " " + std::to_string(report.outcome.exit_code);
  if (!report.outcome.good() && report.failed_index > probe_index) words += " after it";
  return words;
}

std::string story_of(const ExecutionReport& report) { return report.failure_detail + report.stdout_tail + report.stderr_tail; }

}  // namespace tnode
