// `tnode farm`: takes part in the swarm, executes what others offer, earns.
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/farm_pausing.h"
#include "cli/farmer_role.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/requester_role.h"
#include "cli/signals.h"
#include "cli/trust_wait.h"
#include "cli/watched_tasks.h"
#include "core/amount.h"

namespace tnode {
namespace {

constexpr TimeMs idle_line_every_ms = 15'000;  // why nothing happens, said when it changes
constexpr TimeMs once_check_ms = 500;
constexpr TimeMs once_quiet_ms = 1'500;        // --once: nothing to do for so long

/// What `runtime: host` means here: distribution, version and machine.
std::string platform_of_host() {
  std::string id = "linux", version;
  std::ifstream release("/etc/os-release");
  for (std::string line; std::getline(release, line);) {
    auto value = [&](std::string_view key) -> std::optional<std::string> {
      if (!line.starts_with(key)) return std::nullopt;
      std::string text = line.substr(key.size());
      std::erase(text, '"');
      return text;
    };
    if (auto text = value("ID=")) id = *text;
    if (auto text = value("VERSION_ID=")) version = *text;
  }
  utsname machine{};
  uname(&machine);
  return (id + (version.empty() ? "" : "-" + version) + "/" + machine.machine).substr(0, 64);
}

std::int64_t cpus_of_machine() { return static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency())); }

/// What --cpus and --memory leave to all sandboxes together.
Result<SharedLimits> shared_limits(const FarmOptions& options) {
  SharedLimits shared;
  if (!options.cpus.empty()) {
    auto milli = parse_cpu_share(options.cpus, cpus_of_machine());
    if (!milli) return fail(Code::invalid, "--cpus: " + milli.error().message);
    shared.cpu_milli = *milli;
  }
  if (!options.memory.empty()) {
    auto bytes = parse_size(options.memory);
    if (!bytes || *bytes <= 0) return fail(Code::invalid, "--memory: " + (bytes ? "'" + options.memory + "' is nothing; --slots 0 runs nothing" : bytes.error().message));
    shared.memory_bytes = *bytes;
  }
  return shared;
}

/// How the owner's wishes hold on this machine, said at the start; empty when there are none.
std::string share_line(const FarmOptions& options, const SharedLimits& shared, const SandboxState& sandbox) {
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (shared.cpu_milli > 0) {
    const std::string whole = std::to_string(std::max<std::int64_t>(1, shared.cpu_milli / 1000)) + " of " + std::to_string(cpus_of_machine()) + " CPUs";
    if (sandbox.cpu_mode == "quota") add("CPU time up to " + options.cpus + ", by a quota of the kernel");
    else if (sandbox.cpu_mode == "affinity") add("CPU time: no quota can be had here, so everything runs on " + whole);
    else add("CPU time: neither a quota nor fewer CPUs can be had here, --cpus does not hold");
  }
  if (shared.memory_bytes > 0) add("memory " + format_size(shared.memory_bytes) + " together" + (sandbox.bounds_memory ? ", held by a control group" : ", by taking no more units than fit"));
  if (options.when == "idle") add("works while nobody else does, pauses by " + sandbox.pause_mode);
  return text;
}

/// A folder that is made up would be one that nobody writes to.
Result<void> check_watch_folder(const std::string& dir) {
  std::error_code ec;
  if (dir.empty() || std::filesystem::is_directory(dir, ec)) return {};
  if (std::filesystem::exists(dir, ec)) return fail(Code::invalid, "--watch wants a folder, and " + dir + " is a file");
  return fail(Code::not_found, "--watch: there is no folder " + dir + (ec ? " (" + ec.message() + ")" : "") + "; make it first, or correct its name");
}

Result<std::int64_t> runtime_cache(const FarmOptions& options) {
  if (options.runtime_cache == "0") return std::int64_t{0};
  auto bytes = parse_size(options.runtime_cache);
  if (!bytes) return fail(Code::invalid, "--runtime-cache wants " + std::string(size_form) + ", or 0 for none, not '" + options.runtime_cache + "'");
  return bytes;
}

Result<FarmerOptions> farmer_options(const FarmOptions& options, const SharedLimits& shared, const SandboxState* sandbox, const Home& home, std::int64_t runtime_cache_bytes) {
  FarmerOptions farmer;
  // A CPU is shared by two slots only when the user says so.
  const std::int64_t cpus = shared.cpu_milli > 0 ? (shared.cpu_milli + 999) / 1000 : cpus_of_machine();
  farmer.slots = options.slots >= 0 ? options.slots : shared.cpu_milli > 0 ? std::max<std::int64_t>(1, shared.cpu_milli / 1000) : cpus;
  auto price = parse_credits(options.min_price);
  if (!price || *price < 0) return fail(Code::invalid, "--min-price wants credits a unit, like 0.5, not '" + options.min_price + "'");
  farmer.price.least_micro = *price;
  auto cpu_price = parse_credits(options.cpu_price);
  if (!cpu_price || *cpu_price < 0 || *cpu_price > max_unit_price_micro) return fail(Code::invalid, "--cpu-price wants credits a CPU-second, like 0.001, not '" + options.cpu_price + "'");
  farmer.price.cpu_second_micro = *cpu_price;
  auto credit = parse_credit_terms(options.credit);
  if (!credit) return credit.error();
  farmer.credit = CreditPolicy(std::move(*credit));
  auto audit_above = parse_audit_above(options.credit);
  if (!audit_above) return audit_above.error();
  farmer.audit_above_micro = *audit_above;
  struct sysinfo memory {};
  sysinfo(&memory);
  farmer.cpus = cpus;
  farmer.memory_bytes = shared.memory_bytes > 0 ? shared.memory_bytes : static_cast<std::int64_t>(memory.totalram) * memory.mem_unit;
  auto free = home.free_bytes();
  if (!free) return free.error();
  farmer.disk_bytes = *free;
  farmer.limit_mode = sandbox ? sandbox->limit_mode : "none";
  farmer.platform = platform_of_host();
  farmer.runtimes = runtime_cache_bytes > 0;
  std::string accept = options.accept;
  // Strangers' code only where every layer of the sandbox holds; a user may decide otherwise.
  if (accept.empty()) accept = sandbox && sandbox->whole ? "anyone" : "watched";
  if (accept == "anyone") farmer.accept = FarmerOptions::AcceptFrom::anyone;
  else if (accept == "watched") farmer.accept = FarmerOptions::AcceptFrom::watched;
  else {
    farmer.accept = FarmerOptions::AcceptFrom::listed;
    std::stringstream keys(accept);
    for (std::string text; std::getline(keys, text, ',');) {
      auto bytes = from_hex(text);
      auto key = bytes ? NodeKey::from_bytes(*bytes) : Result<NodeKey>(fail(Code::invalid, ""));
      if (!key) return fail(Code::invalid, "--accept wants anyone, watched, or node keys of 64 hex digits with commas between, not '" + text + "'");
      farmer.listed.insert(*key);
    }
  }
  return farmer;
}

class FarmCommand {
 public:
  FarmCommand(const GlobalOptions& global, const FarmOptions& options) : options_(options), global_(global), output_(global) {}
  int run();

 private:
  void show(const Note& note);
  void idle_line();
  void leave_when_done();

  FarmOptions options_;
  GlobalOptions global_;
  Output output_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<WatchedTasks> watched_;
  std::string last_idle_;
  TimeMs idle_since_ms_ = 0;
};

int FarmCommand::run() {
  auto home = Home::find(global_.home);
  if (!home) return fail_with(home.error());
  auto swarm = swarm_options(global_);
  if (!swarm) {
    (void)fail_with(swarm.error());
    return exit_usage;
  }
  swarm->bulk = true;
  if (auto good = check_watch_folder(options_.watch); !good) {
    (void)fail_with(good.error());
    return exit_usage;
  }
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto shared = shared_limits(options_);
  if (!shared) {
    (void)fail_with(shared.error());
    return exit_usage;
  }
  // First of all: the runner must not inherit sockets, stores or threads.
  std::unique_ptr<Executor> executor;
  if (options_.slots != 0) {
    auto started = Executor::start(home->dir(), *shared);
    if (!started) {
      (void)fail_with(started.error());
      return started.error().code == Code::unavailable ? exit_no_sandbox : exit_error;
    }
    executor = std::move(*started);
    for (const auto& each : executor->state().checks)
      if (each.level == SandboxState::Check::weaker) output_.line("sandbox  " + each.what + " weaker: " + each.detail);
    if (const std::string line = share_line(options_, *shared, executor->state()); !line.empty()) output_.line("share    " + line);
  }
  const SandboxState sandbox = executor ? executor->state() : SandboxState{};
  auto cache = runtime_cache(options_);
  auto farmer = cache ? farmer_options(options_, *shared, executor ? &executor->state() : nullptr, *home, *cache) : Result<FarmerOptions>(cache.error());
  if (!farmer) {
    (void)fail_with(farmer.error());
    return exit_usage;
  }
  Signals signals;
  auto node = Node::start({*home, *swarm}, std::move(executor));
  if (!node) return fail_with(node.error());
  node_ = std::move(*node);
  node_->on_unreachable([this](const PeerUnreachable& event) { output_.problem(warning_of(event)); });
  node_->on_problem([this](const std::string& what) { if (output_.verbose()) output_.problem(what); });
  if (auto trusted = wait_until_trusted(*node_, signals, output_); !trusted) return fail_with(trusted.error());
  FarmerRoleOptions role;
  role.farmer = *farmer;
  role.runtime_cache_bytes = *cache;
  role.tamper = options_.tamper;
  node_->add(std::make_unique<FarmerRole>(*node_, role, [this](const Note& note) { show(note); }));
  output_.line("node     " + to_hex(node_->key().key()));
  const AskTerms& price = farmer->price;
  const std::string asks = format_credits(price.least_micro) + " credits a unit" + (price.cpu_second_micro > 0 ? " at least, " + format_credits(price.cpu_second_micro) + " a CPU-second" : "");
  output_.line("listen   " + node_->swarm().listen_endpoint() + (swarm->listens_everywhere() ? " and every other address of this machine" : "") + (options_.slots == 0 ? "  (no slots: swarm only)" : "  slots " + std::to_string(farmer->slots) + ", asks " + asks));
  output_.event("farming", {{"key", to_hex(node_->key().key())}, {"listen", node_->swarm().listen_endpoint()}, {"slots", farmer->slots}, {"min_price_micro", price.least_micro}, {"cpu_price_micro", price.cpu_second_micro}, {"limits", farmer->limit_mode},
                            {"cpu_milli", shared->cpu_milli}, {"cpu_mode", sandbox.cpu_mode}, {"memory", farmer->memory_bytes}, {"when", options_.when}, {"pause_mode", sandbox.pause_mode}});
  if (!options_.watch.empty()) {
    auto watched = WatchedTasks::start(*node_, options_.watch, output_);
    if (!watched) return fail_with(watched.error());
    watched_ = std::move(*watched);
  }
  FarmPausing pausing(*node_, options_.when == "idle");
  ControlActions asked;
  asked.cancel = [this](const TaskId& task) {
    for (const auto& requester : node_->requesters())
      if (requester->task() == task) requester->hear(CancelTask{});
  };
  asked.pause = [&pausing](bool paused) { pausing.by_user(paused); };
  std::optional<ControlFolder> control(std::in_place, *node_, std::move(asked));
  signals.on_signal([this](int) {
    node_->post([this] {
      output_.line("leaving; what was accepted and not finished goes on at the next start");
      for (const auto& requester : node_->requesters()) requester->interrupt();
      node_->leave();
    });
  });
  idle_line();
  if (options_.once) leave_when_done();
  auto ran = node_->run();
  signals.stop();
  control.reset();
  watched_.reset();
  if (!ran) return fail_with(ran.error());
  const auto balance = node_->store().balance();
  output_.event("left", {{"balance_micro", balance.balance_micro}});
  return exit_done;  // the node itself outlives `signals`: who is impatient may press Ctrl-C again while it leaves
}

void FarmCommand::idle_line() {
  const std::string why = node_->farmer()->farmer().why_idle();
  if (why != last_idle_ && why != "working" && !node_->farmer()->farmer().paused()) output_.line("idle     " + why);
  last_idle_ = why;
  node_->later(idle_line_every_ms, [this] { idle_line(); });
}

/// --once: leaves when offers were there and none is left, or nothing came at all.
void FarmCommand::leave_when_done() {
  const bool busy = !node_->farmer()->at_rest() || node_->farmer()->farmer().open_offers() > 0 || (watched_ && watched_->busy()) || !node_->requesters().empty();
  const bool met = node_->farmer()->farmer().offers_known() > 0 || watched_;
  if (busy || !met) idle_since_ms_ = 0;
  else if (idle_since_ms_ == 0) idle_since_ms_ = node_->now();
  if (idle_since_ms_ != 0 && node_->now() >= idle_since_ms_ + once_quiet_ms) {
    output_.line("nothing is left to do");
    return node_->leave();
  }
  node_->later(once_check_ms, [this] { leave_when_done(); });
}

void FarmCommand::show(const Note& note) {
  output_.event(note);
  const std::string task = field(note, "task").substr(0, 12);
  const std::string runtime = field(note, "runtime").substr(0, 12);
  auto credits = [&](const char* name) { return format_credits(std::atoll(field(note, name).c_str())); };
  if (note.what == "offer") output_.line("offer    " + task + "  \"" + field(note, "name") + "\", " + field(note, "units") + " units, up to " + credits("max_price_micro") + " credits each");
  else if (note.what == "declined") output_.line("declined " + task + "  " + field(note, "reason"));
  else if (note.what == "bid") output_.line("bid      " + task + "  " + credits("price_micro") + " credits a unit");
  else if (note.what == "ran" && (output_.verbose() || field(note, "outcome") != "exited" || field(note, "exit_code") != "0"))
    output_.line("ran      " + task + "  unit " + field(note, "unit") + ": " + outcome_text(note) + ", " + field(note, "wall_ms") + " ms" + (field(note, "detail").empty() ? "" : ": " + field(note, "detail")));
  else if (note.what == "paused") output_.line("paused   " + field(note, "reason") + "; units that stand still: " + field(note, "running"));
  else if (note.what == "continued") output_.line("continued after " + format_duration(std::atoll(field(note, "paused_ms").c_str())) + "; units that go on: " + field(note, "running"));
  else if (note.what == "earned") output_.line("earned   " + credits("amount_micro") + " credits from " + field(note, "from").substr(0, 12) + ", balance " + credits("balance_micro"));
  else if (note.what == "underpaid") output_.line("underpaid " + task + " by " + field(note, "requester").substr(0, 12));
  else if (note.what == "lease_dropped") output_.line("dropped  " + task + "  " + field(note, "reason"));
  else if (note.what == "sandbox_failed") output_.line("sandbox  unit " + field(note, "unit") + ": " + field(note, "problem"));
  else if (note.what == "runtime") output_.progress_bytes("runtime  " + runtime + "  " + field(note, "doing"), std::atoll(field(note, "done_bytes").c_str()), std::atoll(field(note, "total_bytes").c_str()));
  else if (note.what == "runtime_ready") output_.line("runtime  " + runtime + "  is ready");
  else if (note.what == "runtime_lost") output_.line("runtime  " + runtime + "  " + field(note, "reason"));
  else if (note.what == "runtime_removed") output_.line("runtime  " + runtime + "  makes room for another");
  else if (note.what == "audited") output_.line("audited  " + field(note, "requester").substr(0, 12) + "  " + field(note, "blocks") + " blocks of its chain hold, " + credits("unproved_micro") + " credits of them unproved");
  else if (note.what == "not_audited") output_.line("audit    " + field(note, "requester").substr(0, 12) + "  " + field(note, "reason"));
  else if (note.what == "credit_refused") output_.line("refused  a payment: " + field(note, "reason"));
}

}  // namespace

int run_farm(const GlobalOptions& global, const FarmOptions& options) { return FarmCommand(global, options).run(); }

}  // namespace tnode
