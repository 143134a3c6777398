#include "executor/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/bundle_paths.h"
#include "executor/init/protocol.h"

namespace tnode {
namespace {

constexpr TimeMs start_wait_ms = 15'000;   // a sandbox that does not stand by then is a problem of this machine
constexpr TimeMs overtime_ms = 5'000;      // init ends an index at its wall limit; one that does not is ended from outside
constexpr int niceness = 10;               // the machine's owner comes first
constexpr std::size_t max_error_text = 4096;

std::string mebibytes(std::int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

/// A descriptor of the same file with an offset of its own.
int reopened(int fd) { return open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY); }

}  // namespace

TimeMs monotonic_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

std::string SandboxHost::view(const std::string& path) const {
  if (home_view.empty() || !path.starts_with(home + "/")) return path;
  return home_view + path.substr(home.size());
}

Sandbox::Sandbox(SandboxHost& host, ExecutionRequest request)
    : host_(host), request_(std::move(request)), outputs_(request_.result_dir, request_.outputs, request_.limits) {
  report_.job = request_.job;
  if (auto good = start(); !good) problem(good.error().message);
}

Sandbox::~Sandbox() {
  stop();
  if (cgroup_) host_.cgroups.give_back(std::move(cgroup_));
}

Result<void> Sandbox::start() {
  int control[2], errors[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0) return fail(Code::io, std::string("socketpair: ") + std::strerror(errno));
  control_ = control[0];
  if (pipe2(errors, O_CLOEXEC) != 0) {
    close(control[1]);
    return fail(Code::io, std::string("pipe: ") + std::strerror(errno));
  }
  errors_ = errors[0];
  fcntl(errors_, F_SETFL, O_NONBLOCK);
  cgroup_ = host_.cgroups.take();
  // Files in /tmp and out/ live in memory and count there too.
  if (cgroup_) cgroup_->prepare(request_.limits.memory_bytes + request_.limits.disk_bytes, request_.limits.processes + 3);
  deadline_ = monotonic_ms() + start_wait_ms;
  pid_ = fork();
  if (pid_ == 0) become_bubblewrap(control[1], errors[1]);
  close(control[1]);
  close(errors[1]);
  if (pid_ < 0) return fail(Code::io, std::string("fork: ") + std::strerror(errno));
  return {};
}

void Sandbox::become_bubblewrap(int control, int errors) {
  SandboxPlan plan;
  plan.init_path = host_.init_path;
  plan.disk_bytes = request_.limits.disk_bytes;
  const std::string inputs = host_.view(request_.task_dir) + "/in";
  if (access(inputs.c_str(), F_OK) == 0) plan.inputs_dir = inputs;
  for (const auto& [name, path] : request_.foreign_inputs) plan.foreign_inputs.emplace_back(name, host_.view(path));
  auto arguments = sandbox_arguments(plan, host_.layout);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  auto give_up = [](const char* what) {
    dprintf(2, "%s: %s", what, std::strerror(errno));
    _exit(1);
  };
  // Everything moves out of the way first: the wanted numbers may be taken by one another.
  constexpr int out_of_the_way = 64;
  const int wanted[] = {fcntl(errors, F_DUPFD, out_of_the_way), fcntl(control, F_DUPFD, out_of_the_way), fcntl(reopened(host_.seccomp), F_DUPFD, out_of_the_way),
                        fcntl(reopened(host_.passwd), F_DUPFD, out_of_the_way), fcntl(reopened(host_.group), F_DUPFD, out_of_the_way)};
  const int null = open("/dev/null", O_RDWR);
  if (dup2(wanted[0], 2) < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) give_up("cannot arrange descriptors");
  for (int i = 1; i < 5; ++i)
    if (dup2(wanted[i], 2 + i) < 0) give_up("cannot arrange descriptors");
  // An inherited descriptor is a way out of any sandbox.
  if (syscall(SYS_close_range, 7U, ~0U, 0U) != 0) give_up("cannot close descriptors");
  if (cgroup_ && !cgroup_->join()) give_up("cannot enter the control group");
  setpriority(PRIO_PROCESS, 0, niceness);
  if (host_.drop_to) {
    auto [uid, gid] = *host_.drop_to;
    if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) give_up("cannot leave root");
  }
  if (geteuid() == 0) give_up("still root");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which forgets it
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(host_.bwrap.c_str(), argv.data());
  give_up("cannot start bubblewrap");
  _exit(1);
}

void Sandbox::stop() {
  if (control_ >= 0) close(control_);  // init sees it and ends, and its namespace with it
  if (errors_ >= 0) close(errors_);
  control_ = errors_ = -1;
  if (pid_ > 0) kill(pid_, SIGKILL);
}

// --- conversation with init ---

void Sandbox::send_next() {
  const Invocation& invocation = request_.invocations[next_];
  const RunLimits& limits = request_.limits;
  init_run run{};
  run.wall_ms = static_cast<std::uint64_t>(limits.wall_ms);
  run.cpu_s = static_cast<std::uint64_t>(std::max<std::int64_t>(1, (limits.wall_ms * limits.cpus + 999) / 1000));
  run.stdio_bytes = static_cast<std::uint64_t>(limits.stdio_bytes);
  run.open_files = static_cast<std::uint64_t>(limits.open_files);
  // With a control group that one counts, and says so; the resource limit stands behind it.
  run.processes = static_cast<std::uint64_t>(cgroup_ ? 2 * limits.processes : limits.processes);
  run.argc = static_cast<std::uint32_t>(invocation.argv.size());
  run.envc = static_cast<std::uint32_t>(invocation.env.size() + 1);
  Bytes strings;
  for (const auto& part : invocation.argv) strings.append(part).push_back('\0');
  for (const auto& [key, value] : invocation.env) strings.append(key + "=" + value).push_back('\0');
  strings.append("TNODE_TASK=" + request_.task_hex).push_back('\0');
  const init_header header{INIT_RUN, static_cast<std::uint32_t>(sizeof run + strings.size())};
  Bytes frame(reinterpret_cast<const char*>(&header), sizeof header);
  frame.append(reinterpret_cast<const char*>(&run), sizeof run);
  frame += strings;
  deadline_ = monotonic_ms() + limits.wall_ms + overtime_ms;
  for (std::string_view rest = frame; !rest.empty();) {
    ssize_t sent = send(control_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return;  // it ended: on_control() will say how
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Sandbox::on_control() {
  char buffer[256 << 10];
  ssize_t got = recv(control_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return on_closed();
  received_.append(buffer, static_cast<std::size_t>(got));
  take_frames();
}

void Sandbox::take_frames() {
  std::size_t at = 0;
  while (!done_) {
    std::string_view rest = std::string_view(received_).substr(at);
    if (data_left_ > 0) {
      if (rest.empty()) break;
      std::string_view part = rest.substr(0, data_left_);
      data_left_ -= static_cast<std::uint32_t>(part.size());
      at += part.size();
      if (auto good = outputs_.data(part); !good) {
        if (good.error().code == Code::io) problem(good.error().message);
        else end(OutcomeKind::bad_output, 0, good.error().message);
      }
      continue;
    }
    init_header header;
    if (rest.size() < sizeof header) break;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.type == INIT_DATA) {
      data_left_ = header.length;
      at += sizeof header;
      continue;
    }
    if (rest.size() < sizeof header + header.length) break;
    at += sizeof header + header.length;
    if (!take_frame(header.type, rest.substr(sizeof header, header.length))) problem("the sandbox's first process said something senseless");
  }
  received_.erase(0, at);
}

bool Sandbox::take_frame(std::uint32_t type, std::string_view payload) {
  switch (type) {
    case INIT_READY:
      ready_ = true;
      send_next();
      return true;
    case INIT_END:
      if (payload.size() < sizeof(init_end)) return false;
      on_end(payload);
      return true;
    case INIT_FILE: {
      init_file file;
      if (payload.size() <= sizeof file) return false;
      std::memcpy(&file, payload.data(), sizeof file);
      auto good = outputs_.begin(std::string(payload.substr(sizeof file)), static_cast<std::int64_t>(file.size), file.executable != 0);
      if (!good && good.error().code == Code::io) problem(good.error().message);
      else if (!good) end(OutcomeKind::bad_output, 0, good.error().message);
      return true;
    }
    case INIT_BAD: {
      auto nul = payload.find('\0');
      if (nul == std::string_view::npos) return false;
      end(OutcomeKind::bad_output, 0, "the output " + quoted_name(payload.substr(nul + 1)) + " " + std::string(payload.substr(0, nul)) + "; only files and folders may be left in out/");
      return true;
    }
    case INIT_COLLECTED:
      outputs_.end_index();
      if (++next_ < request_.invocations.size()) send_next();
      else finish();
      return true;
    default: return false;
  }
}

void Sandbox::on_end(std::string_view payload) {
  init_end ended;
  std::memcpy(&ended, payload.data(), sizeof ended);
  report_.usage.wall_ms += static_cast<std::int64_t>(ended.wall_ms);
  report_.usage.cpu_ms += static_cast<std::int64_t>(ended.cpu_ms);
  const std::int64_t peak = cgroup_ ? cgroup_->peak_bytes() : static_cast<std::int64_t>(ended.peak_kib) * 1024;
  report_.usage.peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, peak);
  payload.remove_prefix(sizeof ended);
  report_.stdout_tail = Bytes(payload.substr(0, ended.stdout_tail));
  report_.stderr_tail = Bytes(payload.substr(ended.stdout_tail, ended.stderr_tail));
  const RunLimits& limits = request_.limits;
  // A limit that was met explains the end better than the exit status that came of it.
  if (cgroup_ && cgroup_->out_of_memory())
    return end(OutcomeKind::out_of_memory, 0, memory_detail());
  const bool failed = ended.ending != INIT_EXITED || ended.exit_code != 0;
  if (ended.ending == INIT_OUTPUT)
    return end(OutcomeKind::output_limit, 0, "it wrote " + std::to_string(std::max(ended.stdout_bytes, ended.stderr_bytes)) + " bytes to " + (ended.stdout_bytes > ended.stderr_bytes ? "stdout" : "stderr") +
                                                 "; the limit is " + std::to_string(limits.stdio_bytes));
  if (failed && cgroup_ && cgroup_->out_of_processes()) return end(OutcomeKind::process_limit, 0, "it wanted more than " + std::to_string(limits.processes) + " processes");
  if (failed && ended.disk_full) return end(OutcomeKind::disk_limit, 0, "/tmp or out/ was full; each holds " + mebibytes(limits.disk_bytes));
  if (ended.ending == INIT_TIMEOUT) return end(OutcomeKind::timeout, 0, "it ran longer than " + std::to_string(limits.wall_ms) + " ms");
  if (ended.ending == INIT_CPU) return end(OutcomeKind::cpu_limit, 0, "it used more than " + std::to_string(limits.wall_ms * limits.cpus) + " ms of CPU time");
  if (failed) end(OutcomeKind::exited, static_cast<int>(ended.exit_code & 255), {});
}

std::string Sandbox::memory_detail() const {
  return "it needed more than " + mebibytes(request_.limits.memory_bytes) + " of memory (peak " + mebibytes(cgroup_->peak_bytes()) + ", files in /tmp and out/ counted)";
}

void Sandbox::on_closed() {
  if (done_) return;
  on_errors();
  if (cgroup_ && ready_ && cgroup_->out_of_memory()) return end(OutcomeKind::out_of_memory, 0, memory_detail());
  while (!error_text_.empty() && error_text_.back() == '\n') error_text_.pop_back();
  problem(ready_ ? "the sandbox ended before the unit did" : "the sandbox did not start: " + (error_text_.empty() ? "no reason was given" : error_text_));
}

void Sandbox::on_errors() {
  char buffer[1024];
  for (ssize_t got; errors_ >= 0 && (got = read(errors_, buffer, sizeof buffer)) != -1;) {
    if (got == 0) {
      close(errors_);
      errors_ = -1;
      break;
    }
    if (error_text_.size() < max_error_text) error_text_.append(buffer, static_cast<std::size_t>(got));
  }
}

// --- limits watched from outside ---

void Sandbox::tick(TimeMs now) {
  if (done_) return;
  if (now >= deadline_) {
    if (!ready_) return problem("the sandbox did not stand within " + std::to_string(start_wait_ms / 1000) + " s");
    return end(OutcomeKind::timeout, 0, "it could not be ended at its limit of " + std::to_string(request_.limits.wall_ms) + " ms");
  }
  if (!ready_) return;
  // A program that is refused a process and goes on trying would only burn its time.
  if (cgroup_ && cgroup_->out_of_processes()) return end(OutcomeKind::process_limit, 0, "it wanted more than " + std::to_string(request_.limits.processes) + " processes");
  // The kernel killed one process; the others would wait for it in vain.
  if (cgroup_ && cgroup_->out_of_memory()) return end(OutcomeKind::out_of_memory, 0, memory_detail());
  if (!cgroup_) watch_without_cgroup();
}

void Sandbox::watch_without_cgroup() {
  std::int64_t memory = 0, processes = 0;
  std::vector<std::string> pending{std::to_string(pid_)};
  while (!pending.empty()) {
    const std::string pid = pending.back();
    pending.pop_back();
    ++processes;
    std::ifstream statm("/proc/" + pid + "/statm");
    std::int64_t size = 0, resident = 0;
    if (statm >> size >> resident) memory += resident * sysconf(_SC_PAGESIZE);
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    for (std::string child; children >> child;) pending.push_back(child);
  }
  report_.usage.peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, memory);
  if (memory > request_.limits.memory_bytes)
    return end(OutcomeKind::out_of_memory, 0, "it used " + mebibytes(memory) + " of memory; the limit is " + mebibytes(request_.limits.memory_bytes));
  if (processes > request_.limits.processes + 2) end(OutcomeKind::process_limit, 0, "it wanted more than " + std::to_string(request_.limits.processes) + " processes");
}

// --- the end ---

void Sandbox::end(OutcomeKind kind, int exit_code, std::string detail) {
  if (done_) return;
  report_.ran = true;
  report_.outcome = {kind, exit_code};
  report_.failed_index = request_.invocations[std::min(next_, request_.invocations.size() - 1)].index;
  report_.failure_detail = std::move(detail);
  done_ = true;
  stop();
}

void Sandbox::problem(std::string what) {
  if (done_) return;
  report_.ran = false;
  report_.problem = std::move(what);
  done_ = true;
  stop();
}

void Sandbox::finish() {
  auto files = outputs_.finish();
  if (!files) return end(OutcomeKind::bad_output, 0, files.error().message);
  report_.ran = true;
  report_.files = std::move(*files);
  done_ = true;
  stop();
}

}  // namespace tnode
