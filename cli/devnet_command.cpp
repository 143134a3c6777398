// `tnode devnet`: a whole net on this machine. Real processes of this very program on loopback: farmers, the first of them the DHT's
// bootstrap, and a requester that finds them through it.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/eventfd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/runtime_store.h"
#include "cli/signals.h"
#include "cli/task_file.h"
#include "cli/task_record.h"
#include "core/amount.h"
#include "core/requester.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr int start_wait_ms = 20'000;

/// A child of ours; its stdout comes back through a pipe.
struct Child {
  pid_t pid = -1;
  int out = -1;
  std::string home, buffered;
};

Result<Child> start(const std::vector<std::string>& arguments, const std::string& home, const std::string& log) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return fail(Code::io, std::string("pipe: ") + std::strerror(errno));
  std::vector<std::string> all{"tnode", "--home", home};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail(Code::io, std::string("fork: ") + std::strerror(errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    setpgid(0, 0);  // Ctrl-C is for devnet, which then ends its children in order
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    dup2(out[1], STDOUT_FILENO);
    if (!log.empty() && !freopen(log.c_str(), "w", stderr)) _exit(1);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  close(out[1]);
  return Child{pid, out[0], home, {}};
}

/// A user's wish to end it all, as a descriptor that becomes readable and stays so.
class Interruption {
 public:
  Interruption() : fd_(eventfd(0, EFD_CLOEXEC)) {
    signals_.on_signal([this](int) {
      const std::uint64_t once = 1;
      (void)!write(fd_, &once, sizeof once);
    });
  }
  int fd() const { return fd_; }
  bool came() const {
    pollfd watched{fd_, POLLIN, 0};
    return poll(&watched, 1, 0) > 0;
  }

 private:
  int fd_;
  Signals signals_;  // last: its thread writes to the descriptor
};

/// The next line of a child's stdout; nothing at its end, when it takes too long, or when the user interrupts.
std::optional<std::string> next_line(Child& child, int wait_ms, const Interruption& interruption) {
  for (;;) {
    if (auto end = child.buffered.find('\n'); end != std::string::npos) {
      std::string line = child.buffered.substr(0, end);
      child.buffered.erase(0, end + 1);
      return line;
    }
    pollfd watched[] = {{child.out, POLLIN, 0}, {interruption.fd(), POLLIN, 0}};
    int ready = poll(watched, 2, wait_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 || watched[1].revents != 0) return std::nullopt;
    char buffer[4096];
    ssize_t got = read(child.out, buffer, sizeof buffer);
    if (got <= 0) return std::nullopt;
    child.buffered.append(buffer, static_cast<std::size_t>(got));
  }
}

/// All of the net's processes and folders; gone when it is.
class Devnet {
 public:
  Devnet(bool keep, const Interruption& interruption) : keep_(keep), interruption_(interruption) {}
  ~Devnet() {
    stop();
    if (!keep_ && !dir_.empty()) {
      std::error_code ec;
      fs::remove_all(dir_, ec);
    }
  }

  Result<void> make_folder() {
    std::string pattern = (fs::temp_directory_path() / "tnode-devnet-XXXXXX").string();
    if (!mkdtemp(pattern.data())) return fail(Code::io, "cannot make a folder in " + fs::temp_directory_path().string() + ": " + std::strerror(errno));
    dir_ = pattern;
    return {};
  }

  /// Starts a farmer and waits until it listens; gives its address.
  Result<std::string> add_farmer(const std::vector<std::string>& global) {
    const std::string name = "farmer-" + std::to_string(farmers_.size() + 1);
    std::vector<std::string> arguments{"--listen", "127.0.0.1:0", "-o", "jsonl"};
    arguments.insert(arguments.end(), global.begin(), global.end());
    arguments.insert(arguments.end(), {"farm", "--accept", "anyone", "--slots", "1"});
    auto child = start(arguments, dir_ + "/" + name, dir_ + "/" + name + ".log");
    if (!child) return child.error();
    farmers_.push_back(std::move(*child));
    while (auto line = next_line(farmers_.back(), start_wait_ms, interruption_)) {
      auto json = Json::parse(*line, nullptr, false);
      if (json.is_object() && json.value("event", "") == "farming") return json.value("listen", "");
    }
    if (interruption_.came()) return fail(Code::refused, "interrupted");
    std::string why;
    if (FILE* log = std::fopen((dir_ + "/" + name + ".log").c_str(), "r")) {
      char text[1024];
      why.assign(text, std::fread(text, 1, sizeof text, log));
      std::fclose(log);
    }
    int status = 0;
    waitpid(farmers_.back().pid, &status, WNOHANG);
    const bool no_sandbox = WIFEXITED(status) && WEXITSTATUS(status) == exit_no_sandbox;
    return fail(no_sandbox ? Code::unavailable : Code::io, name + " does not start: " + why);
  }

  /// Runtimes that were packed in the user's home can be had from the requester.
  void lend_runtimes(const Home& home) {
    const std::string runtimes = dir_ + "/requester/runtimes";
    std::error_code ec;
    fs::create_directories(runtimes, ec);
    for (const auto& runtime : stored_runtimes(home))
      if (runtime.packed_here) fs::create_directory_symlink(home.runtime_dir(runtime.id), runtimes + "/" + to_hex(runtime.id), ec);
  }

  Result<Child*> start_requester(const std::vector<std::string>& arguments) {
    auto child = start(arguments, dir_ + "/requester", "");
    if (!child) return child.error();
    requester_ = std::move(*child);
    return &requester_;
  }
  int wait_for_requester() {
    int status = 0;
    while (waitpid(requester_.pid, &status, 0) < 0 && errno == EINTR) {}
    requester_.pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : exit_error;
  }

  void stop() {
    for (Child* child : everyone()) {
      if (child->pid > 0) kill(child->pid, SIGTERM);
    }
    for (Child* child : everyone()) {
      if (child->pid > 0) waitpid(child->pid, nullptr, 0);
      if (child->out >= 0) close(child->out);
      child->pid = child->out = -1;
    }
  }
  std::vector<std::pair<std::string, std::string>> homes() const {
    std::vector<std::pair<std::string, std::string>> list{{"requester", requester_.home}};
    for (std::size_t i = 0; i < farmers_.size(); ++i) list.emplace_back("farmer " + std::to_string(i + 1), farmers_[i].home);
    return list;
  }
  const std::string& dir() const { return dir_; }

 private:
  std::vector<Child*> everyone() {
    std::vector<Child*> all{&requester_};
    for (auto& farmer : farmers_) all.push_back(&farmer);
    return all;
  }
  bool keep_;
  const Interruption& interruption_;
  std::string dir_;
  std::vector<Child> farmers_;
  Child requester_;
};

struct BalanceLine { std::string who, key; Balance balance; };

std::vector<BalanceLine> balances(const Devnet& net) {
  std::vector<BalanceLine> lines;
  for (const auto& [who, dir] : net.homes()) {
    auto home = Home::find(dir);
    auto key = home ? home->existing_key() : Result<KeyPair>(home.error());
    if (!key) continue;
    if (auto store = open_store_for_reading(*home)) lines.push_back({who, to_hex(key->key()), (*store)->balance()});
  }
  return lines;
}

/// What can be known before anything is started: a broken task, or more votes asked for than there will be farmers.
std::optional<int> refuse_before_start(const DevnetOptions& options) {
  const bool is_torrent = options.task.ends_with(".torrent");
  auto read = is_torrent ? read_terms(fs::path(options.task).stem().string(), options.settings) : read_task_file(options.task, options.settings);
  for (const auto& problem : read.problems) std::fprintf(stderr, "%s\n", problem.shown().c_str());
  if (!read.task) return exit_usage;
  const auto agree = read.task->terms.agree;
  if (agree <= options.farmers) return std::nullopt;
  std::fprintf(stderr, "tnode: %s cannot agree %lld times: start at least %lld, or give --set quorum.agree=%d\n", counted(options.farmers, "farmer").c_str(), static_cast<long long>(agree),
               static_cast<long long>(agree), options.farmers);
  return exit_usage;
}

}  // namespace

int run_devnet(const GlobalOptions& global, const DevnetOptions& options) {
  Output output(global);
  if (auto refused = refuse_before_start(options)) return *refused;
  Interruption interruption;
  Devnet net(options.keep, interruption);
  if (auto made = net.make_folder(); !made) return fail_with(made.error());
  if (options.keep) output.line("homes    " + net.dir());
  std::string bootstrap;
  for (int i = 0; i < options.farmers; ++i) {
    auto endpoint = net.add_farmer(bootstrap.empty() ? std::vector<std::string>{} : std::vector<std::string>{"--bootstrap", bootstrap});
    if (!endpoint) {
      (void)fail_with(endpoint.error());
      return endpoint.error().code == Code::unavailable ? exit_no_sandbox : exit_error;
    }
    output.line("farmer " + std::to_string(i + 1) + " listens on " + *endpoint + (bootstrap.empty() ? ", the DHT's first node" : ""));
    if (bootstrap.empty()) bootstrap = *endpoint;
  }
  const char* const formats[] = {"table", "json", "jsonl", "id"};
  std::vector<std::string> arguments{"--listen", "127.0.0.1:0", "--bootstrap", bootstrap, "-o", formats[static_cast<int>(global.output)], "seed", options.task, "--passing"};
  if (global.verbose) arguments.push_back("-v");
  if (!options.out.empty()) arguments.insert(arguments.end(), {"--out", options.out});
  if (options.overwrite) arguments.push_back("--overwrite");
  for (const auto& setting : options.settings) arguments.insert(arguments.end(), {"--set", setting});
  if (auto home = Home::find(global.home)) net.lend_runtimes(*home);
  auto requester = net.start_requester(arguments);
  if (!requester) return fail_with(requester.error());
  // Events pass through as they come; the answer is held back until the balances can be added to it.
  std::string answer;
  while (auto line = next_line(**requester, -1, interruption)) {
    const bool event = global.output == OutputFormat::jsonl && line->find("\"event\":\"answer\"") == std::string::npos;
    if (event) std::printf("%s\n", line->c_str()), std::fflush(stdout);
    else answer += *line + "\n";
  }
  if (interruption.came()) {
    net.stop();
    output.problem("interrupted");
    return exit_error;
  }
  const int status = net.wait_for_requester();
  net.stop();
  const auto lines = balances(net);
  Micro sum = 0;
  Json list = Json::array();
  std::string text = "balances\n";
  for (const auto& line : lines) {
    sum += line.balance.balance_micro + line.balance.unclaimed_out_micro;
    list.push_back({{"who", line.who}, {"key", line.key}, {"balance_micro", line.balance.balance_micro}, {"held_micro", line.balance.held_micro}, {"unclaimed_out_micro", line.balance.unclaimed_out_micro}});
    char row[128];
    std::snprintf(row, sizeof row, "          %-10s %s  %12s\n", line.who.c_str(), line.key.substr(0, 12).c_str(), format_credits(line.balance.balance_micro).c_str());
    text += row;
  }
  text += "          sum of all, with payments on their way: " + format_credits(sum) + "\n";
  if (options.keep) text += "homes     " + net.dir() + "\n";
  if (answer.find("\nmagnet    ") != std::string::npos) text += "The net is gone: the links lead nowhere until a node of yours offers the task, too.\n";
  if (global.output == OutputFormat::json || global.output == OutputFormat::jsonl) {
    auto json = Json::parse(answer, nullptr, false);
    if (json.is_object()) {
      json["balances"] = list;
      json["balance_sum_micro"] = sum;
      if (options.keep) json["homes"] = net.dir();
      std::printf("%s\n", json.dump(global.output == OutputFormat::json ? 2 : -1).c_str());
    }
  } else {
    std::printf("%s", answer.c_str());
    if (global.output == OutputFormat::table && !answer.empty()) std::printf("%s", text.c_str());
  }
  return status;
}

}  // namespace tnode
