// `tnode seed`: offers a task, coordinates until it is over, saves the result.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/node.h"
#include "cli/offer_terms.h"
#include "cli/output.h"
#include "cli/pack.h"
#include "cli/requester_role.h"
#include "cli/runtime_store.h"
#include "cli/seed_report.h"
#include "cli/signals.h"
#include "cli/task_file.h"
#include "cli/trust_wait.h"
#include "core/amount.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

/// From a .torrent: its payload is in the home, beside the file, or it has to be fetched first.
Result<PackedTask> open_torrent(const Home& home, const std::string& path, const Terms& terms) {
  auto bytes = read_file(path);
  if (!bytes) return bytes.error().code == Code::not_found ? fail(Code::not_found, "there is no file " + path) : bytes.error();
  auto torrent = parse_canonical_torrent(*bytes);
  if (!torrent) return fail(Code::invalid, path + " is no task of tnode: " + torrent.error().message);
  const std::string parent = home.task_dir(rename_id<TaskId>(torrent->v2_hash));
  auto bundle = find_bundle(parent);
  const std::string beside = fs::absolute(path).parent_path().string();
  if (!bundle && check_bundle_on_disk(*torrent, beside + "/" + torrent->name)) {
    std::error_code ec;
    fs::create_directories(parent, ec);
    if (auto copied = copy_plain(beside + "/" + torrent->name, parent + "/" + torrent->name); !copied) return copied.error();
    auto again = hash_folder(parent + "/" + torrent->name, torrent->name);
    if (!again) return again.error();
    if (again->v2_hash != torrent->v2_hash) return fail(Code::invalid, beside + "/" + torrent->name + " is not what " + path + " describes");
    bundle = keep_bundle(*torrent, parent);
  }
  if (!bundle)
    return fail(Code::not_found, "the files of " + path + " are neither in this node's home nor beside it; download them first: tnode get " + path + " --out " + beside);
  auto spec = read_manifest(*bundle);
  if (!spec) return fail(spec.error().code, path + ": " + spec.error().message);
  return PackedTask{*bundle, *spec, terms};
}

constexpr TimeMs waiting_check_ms = 5'000;    // how long units may wait before a line says for what
constexpr TimeMs waiting_repeat_ms = 60'000;  // the same line again

ExitStatus status_of(Ending ending, const TaskRecord& record) {
  switch (ending) {
    case Ending::done: return record.out.empty() ? exit_error : exit_done;  // it stands, but is not where it was to go
    case Ending::failed: return exit_task_failed;
    case Ending::no_quorum: return exit_no_quorum;
    case Ending::timeout: return exit_timeout;
    case Ending::no_bids: return exit_no_bids;
    case Ending::no_credit: return exit_no_credit;
    case Ending::cancelled:
    case Ending::error: return exit_error;
  }
  return exit_error;
}

/// The state of one `seed`, and how it ended.
class SeedCommand {
 public:
  SeedCommand(const GlobalOptions& global, const SeedOptions& options) : global_(global), options_(options), output_(global) {}
  int run();

 private:
  std::optional<int> prepare();
  std::optional<int> choose_folder();
  std::optional<int> answer_at_once();
  int dry_run(const TaskFile& task);
  int coordinate();
  int detach();
  void announce(const TaskRecord& record);
  void go_to_background();
  void say_what_is_waited_for();
  Result<void> write_torrents() const;
  OutputFolder folder() const { return {options_.out, rename_id<TaskId>(task_.bundle.torrent.v2_hash), unit_count(task_.spec)}; }

  GlobalOptions global_;
  SeedOptions options_;
  Output output_;
  std::optional<Home> home_;
  PackedTask task_;
  std::string torrent_path_;
  std::optional<SeedReport> report_;
  std::unique_ptr<Node> node_;
  int log_ = -1, started_ = -1;  // of --detach: where it goes on to write, and whom it tells that it stands
  std::string waiting_said_;
  TimeMs waiting_said_ms_ = 0;
  int status_ = exit_error;
};

int SeedCommand::run() {
  auto home = Home::find(global_.home);
  if (!home) return fail_with(home.error());
  home_ = *home;
  if (auto over = prepare()) return *over;
  if (auto over = choose_folder()) return *over;
  if (auto over = answer_at_once()) return *over;
  return options_.detach ? detach() : coordinate();
}

std::optional<int> SeedCommand::prepare() {
  const bool is_torrent = options_.task.ends_with(".torrent");
  auto read = is_torrent ? read_terms(fs::path(options_.task).stem().string(), options_.settings) : read_task_file(options_.task, options_.settings);
  if (!read.task) {
    for (const auto& problem : read.problems) std::fprintf(stderr, "%s\n", problem.shown().c_str());
    return exit_usage;
  }
  for (const auto& warning : read.warnings) output_.line("note: " + warning.shown());
  if (options_.dry_run && !is_torrent) return dry_run(*read.task);
  if (auto made = home_->make(); !made) return fail_with(made.error());
  if (is_torrent) {
    auto task = open_torrent(*home_, options_.task, read.task->terms);
    if (!task) {
      (void)fail_with(task.error());
      return task.error().code == Code::invalid ? exit_usage : exit_error;
    }
    task_ = std::move(*task);
  } else {
    auto bundle = pack_task(*home_, *read.task);
    if (!bundle) {
      (void)fail_with(bundle.error());
      return bundle.error().code == Code::invalid ? exit_usage : exit_error;
    }
    task_ = {std::move(*bundle), read.task->spec, read.task->terms};
  }
  torrent_path_ = is_torrent ? options_.task : fs::absolute(file_name_of(task_.terms.name) + ".torrent").string();
  report_.emplace(output_, *home_, task_, options_.passing);
  if (options_.torrent_only) {
    if (auto written = write_torrents(); !written) return fail_with(written.error());
    const std::string id = to_hex(task_.bundle.torrent.v2_hash), magnet = report_->task_magnet();
    output_.answer(Json{{"task_id", id}, {"task_magnet", magnet}, {"torrent", torrent_path_}}, "task      " + id + "\nmagnet    " + magnet + "\ntorrent   " + torrent_path_ + "\n", id);
    return exit_done;
  }
  return std::nullopt;
}

/// Where the outputs are to go is looked at before anything is paid for.
std::optional<int> SeedCommand::choose_folder() {
  const bool named = !options_.out.empty();
  options_.out = folder_path(named ? options_.out : file_name_of(task_.terms.name) + "-result");
  auto good = check_writable(folder());
  if (good && named && !options_.overwrite) good = check_unmixed(folder());
  if (good && !named && !options_.overwrite) {
    auto free = free_folder(folder());
    if (!free) good = free.error();
    else options_.out = free->dir;
  }
  if (good) return std::nullopt;
  (void)fail_with(good.error());
  return good.error().code == Code::io ? exit_error : exit_usage;
}

int SeedCommand::dry_run(const TaskFile& task) {
  const auto units = unit_count(task.spec);
  const auto store = open_store_for_reading(*home_);
  const Cost cost = cost_of(offer_terms(task.spec, task.terms), store ? asks_seen(**store, wall_clock_ms()) : std::vector<AskSeen>{}, wall_clock_ms());
  auto credits = [](const std::optional<Micro>& amount) { return amount ? format_credits(*amount) : std::string("more than can be counted"); };
  std::string first_run;
  const auto runs = expand_unit(task.spec, 0);
  for (const auto& part : runs.front().argv) first_run += " " + part;
  std::string text = "task      " + task.terms.name + ": " + std::to_string(index_count(task.spec)) + " indices in " + std::to_string(units) + " units\n" +
                     "quorum    " + std::to_string(task.terms.agree) + " must agree, at most " + std::to_string(task.terms.max_replicas) + " try\n" +
                     "cost      " + credits(cost.low_micro) + " to " + credits(cost.high_micro) + " credits, likely " + credits(cost.likely_micro) +
                     (cost.asks > 0 ? ", by the last bids of " + counted(static_cast<std::int64_t>(cost.asks), "farmer") : ", if farmers ask as much as market.max_price: no bids are known here yet") + "\n" +
                     "first run" + first_run + "\n";
  Json json{{"name", task.terms.name}, {"indices", index_count(task.spec)}, {"units", units}, {"agree", task.terms.agree}, {"max", task.terms.max_replicas}};
  if (cost.low_micro) json["cost_low_micro"] = *cost.low_micro;
  if (cost.likely_micro) json["cost_likely_micro"] = *cost.likely_micro;
  if (cost.high_micro) json["cost_high_micro"] = *cost.high_micro;
  json["asks"] = cost.asks;
  output_.answer(json, text, task.terms.name);
  if (store) {
    const Balance balance = (*store)->balance();
    const Micro free = balance.balance_micro - balance.held_micro + balance.line_micro;
    if (!cost.likely_micro || *cost.likely_micro > free) output_.line("note: this node has " + format_credits(free) + " credits free; what farmers bid may be less than market.max_price");
  }
  return exit_done;
}

/// The task is done already: the answer is here.
std::optional<int> SeedCommand::answer_at_once() {
  std::error_code ec;
  if (options_.again || !fs::exists(home_->store_path(), ec)) return std::nullopt;
  auto store = open_store_for_reading(*home_);
  if (!store) return std::nullopt;  // the writer that opens it next says what is wrong
  auto record = find_task_record(**store, rename_id<TaskId>(task_.bundle.torrent.v2_hash));
  if (!record || record->state != "done") return std::nullopt;
  auto bundle = find_bundle(home_->result_dir(record->result));
  if (!bundle) return std::nullopt;
  if (auto saved = save_outputs(*bundle, folder()); !saved) return fail_with(saved.error());
  record->out = options_.out;
  record->reason.clear();
  std::map<NodeKey, Micro> paid;
  const OfferId offer = offer_id(encode(record->offer));
  (*store)->scan("paid", [&](std::string_view name, std::string_view value) {
    if (name.substr(0, 32) == offer.view() && value.size() > 32) paid[*NodeKey::from_bytes(value.substr(0, 32))] += std::atoll(std::string(value.substr(32)).c_str());
  });
  const std::string differing = differing_terms(*record, task_.terms);
  output_.line("this task was done before; its answer is here" + (differing.empty() ? "" : ", under the terms of then: " + differing) + " (--again computes it anew)");
  report_->answer(*record, paid);
  return exit_done;
}

int SeedCommand::coordinate() {
  Signals signals;
  auto swarm = swarm_options(global_);
  if (!swarm) return fail_with(swarm.error());
  auto node = Node::start({*home_, *swarm}, nullptr);
  if (!node) return fail_with(node.error());
  node_ = std::move(*node);
  node_->on_unreachable([this](const PeerUnreachable& event) { output_.problem(warning_of(event)); });
  node_->on_problem([this](const std::string& what) { if (output_.verbose()) output_.problem(what); });
  report_->listens(node_->swarm().listen_endpoint());
  if (auto trusted = wait_until_trusted(*node_, signals, output_); !trusted) return fail_with(trusted.error());

  auto made = record_for(*node_, task_, options_.out, !options_.again);
  if (!made) {
    (void)fail_with(made.error());
    return made.error().code == Code::invalid ? exit_usage : exit_error;
  }
  const TaskRecord record = made->record;
  node_->add(std::make_unique<RequesterRole>(*node_, std::move(made->record), task_.bundle,
                                             RequesterRole::Watcher{[this](const Note& note) { report_->show(note); },
                                                                    [this](const TaskRecord& ended, Ending ending, const Requester& requester) {
                                                                      report_->show_end(ended, ending, requester.paid_by_farmer());
                                                                      status_ = status_of(ending, ended);
                                                                      node_->leave();
                                                                    }}));
  // Once the offer is on record, other commands know of it.
  node_->after_commit([this, record, goes_on = made->goes_on] {
    if (options_.detach) go_to_background();
    if (goes_on) {
      const std::string differing = differing_terms(record, task_.terms);
      output_.line("going on with the offer of an earlier run" + (differing.empty() ? "" : " and its terms: " + differing + " (--again offers it anew)"));
    }
    announce(record);
    say_what_is_waited_for();
  });
  node_->work([this]() -> std::function<void()> {
    auto written = write_torrents();
    return [this, written] { if (!written) output_.problem(written.error().message); };
  });
  ControlActions asked;
  asked.cancel = [this](const TaskId& task) {
    for (const auto& requester : node_->requesters())
      if (requester->task() == task) requester->hear(CancelTask{});
  };
  std::optional<ControlFolder> control(std::in_place, *node_, std::move(asked));
  signals.on_signal([this](int) {
    node_->post([this] {
      const std::string give_up = home_->command("cancel " + to_hex(task_.bundle.torrent.v2_hash).substr(0, 12));
      if (!options_.passing) output_.line("interrupted; what is leased stays leased. The same command goes on, `" + give_up + "` gives it up");
      for (const auto& requester : node_->requesters()) requester->interrupt();
      status_ = exit_error;
      node_->leave();
    });
  });
  auto ran = node_->run();
  signals.stop();
  control.reset();
  if (!ran) return fail_with(ran.error());
  node_.reset();
  return status_;
}

void SeedCommand::announce(const TaskRecord& record) {
  const std::string id = to_hex(record.offer.task), magnet = report_->task_magnet();
  output_.line("task " + id + "  \"" + task_.terms.name + "\", " + counted(record.offer.units, "unit"));
  output_.line("     " + magnet);
  if (auto runtime = runtime_id(task_.spec.runtime); runtime && !find_runtime(*home_, *runtime))
    output_.line("the runtime " + short_hex(*runtime) + " is not in this home: farmers look for it in the swarm");
  output_.event("task", {{"task_id", id}, {"task_magnet", magnet}, {"name", task_.terms.name}, {"units", record.offer.units}, {"listen", node_->swarm().listen_endpoint()}});
}

/// While nobody works on what is left: a line that says why, when that changes and every now and then.
void SeedCommand::say_what_is_waited_for() {
  node_->later(waiting_check_ms, [this] {
    std::string waiting;
    for (const auto& requester : node_->requesters()) waiting = requester->requester().waiting_for();
    const bool again = waiting != waiting_said_ || node_->now() >= waiting_said_ms_ + waiting_repeat_ms;
    if (!waiting.empty() && again) {
      output_.line("waiting  " + waiting);
      output_.event("waiting", {{"for", waiting}});
      waiting_said_ms_ = node_->now();
    }
    waiting_said_ = waiting;
    say_what_is_waited_for();
  });
}

/// NAME.torrent beside the user, and its v1-only twin for clients that read no hybrids.
Result<void> SeedCommand::write_torrents() const { return write_torrent_and_twin(task_.bundle, torrent_path_.substr(0, torrent_path_.size() - std::string_view(".torrent").size())); }

/// Goes on in the background, with a log in the home. What keeps it from starting is said here, with its exit status.
int SeedCommand::detach() {
  const std::string id = to_hex(task_.bundle.torrent.v2_hash), log = home_->logs_dir() + "/" + id.substr(0, 16) + ".log";
  log_ = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_ < 0) return fail_with(fail(Code::io, "cannot write " + log + ": " + std::strerror(errno)));
  int started[2];
  if (pipe2(started, O_CLOEXEC) != 0) return fail_with(fail(Code::io, "cannot start a background process: " + std::string(std::strerror(errno))));
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return fail_with(fail(Code::io, "cannot start a background process: " + std::string(std::strerror(errno))));
  if (child == 0) {
    setsid();
    close(started[0]);
    started_ = started[1];
    return coordinate();
  }
  close(started[1]);
  std::string listens;
  char text[64];
  for (ssize_t got; (got = read(started[0], text, sizeof text)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) listens.append(text, static_cast<std::size_t>(got));
  }
  if (!listens.empty()) {
    report_->listens(listens);
    output_.answer(Json{{"task_id", id}, {"task_magnet", report_->task_magnet()}, {"log", log}}, "task      " + id + "\nlog       " + log + "\nwatch     " + home_->command("status " + id.substr(0, 12)) + "\n", id);
    return exit_done;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : exit_error;
}

/// The node listens and the offer is on record: from here on the log hears of it, and the command that was typed returns.
void SeedCommand::go_to_background() {
  std::fflush(nullptr);
  const int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nowhere, STDIN_FILENO);
  dup2(log_, STDOUT_FILENO);
  dup2(log_, STDERR_FILENO);
  close(nowhere);
  const std::string listens = node_->swarm().listen_endpoint();
  const bool told = write(started_, listens.data(), listens.size()) == static_cast<ssize_t>(listens.size());
  close(started_);
  if (!told) output_.problem("the command that started this was gone before it could be told");
}

}  // namespace

int run_seed(const GlobalOptions& global, const SeedOptions& options) { return SeedCommand(global, options).run(); }

}  // namespace tnode
