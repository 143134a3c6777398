// `tnode seed`: offers a task, coordinates until it is over, saves the result.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/magnets.h"
#include "cli/node.h"
#include "cli/offer_terms.h"
#include "cli/output.h"
#include "cli/pack.h"
#include "cli/quantities.h"
#include "cli/requester_role.h"
#include "cli/runtime_store.h"
#include "cli/signals.h"
#include "cli/task_file.h"
#include "core/amount.h"

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

constexpr UnitNumber few_units = 64;  // with more of them only what is out of the ordinary gets a line each

/// The state of one `seed`: what is shown, and how it ended.
class SeedCommand {
 public:
  SeedCommand(const GlobalOptions& global, const SeedOptions& options) : global_(global), options_(options), output_(global) {}
  int run();

 private:
  std::optional<int> prepare();
  std::optional<int> answer_at_once();
  int dry_run(const TaskFile& task);
  int coordinate();
  int detach();
  Result<void> write_torrents() const;
  void show(const Note& note);
  void show_end(const TaskRecord& record, Ending ending, const Requester& requester);
  Json summary(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const;
  std::string files_text(const TaskRecord& record) const;
  std::string result_text(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const;
  std::string task_magnet() const { return magnet_of(task_.bundle.torrent.v2_hash, task_.bundle.torrent.v1_hash, task_.terms.name, endpoint_); }
  std::string result_magnet(const TaskRecord& record) const {
    return record.result.is_zero() ? "" : magnet_of(rename_id<Hash>(record.result), record.result_v1, record.result_name, endpoint_);
  }

  GlobalOptions global_;
  SeedOptions options_;
  Output output_;
  std::optional<Home> home_;
  PackedTask task_;
  std::string endpoint_, torrent_path_;
  std::unique_ptr<Node> node_;
  std::int64_t accepted_ = 0;
  int status_ = exit_error;
};

int SeedCommand::run() {
  auto home = Home::find(global_.home);
  if (!home) return fail_with(home.error());
  home_ = *home;
  if (auto over = prepare()) return *over;
  if (!options_.detach)
    if (auto over = answer_at_once()) return *over;
  if (options_.detach) return detach();
  return coordinate();
}

std::optional<int> SeedCommand::prepare() {
  const bool is_torrent = options_.task.ends_with(".torrent");
  auto read = is_torrent ? read_terms(fs::path(options_.task).stem().string(), options_.settings) : read_task_file(options_.task, options_.settings);
  if (!read.task) {
    for (const auto& problem : read.problems) std::fprintf(stderr, "%s\n", problem.shown().c_str());
    return exit_usage;
  }
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
  if (options_.out.empty()) options_.out = file_name_of(task_.terms.name) + "-result";
  options_.out = fs::absolute(options_.out).lexically_normal().string();
  if (options_.torrent_only) {
    if (auto written = write_torrents(); !written) return fail_with(written.error());
    output_.answer(Json{{"task_id", to_hex(task_.bundle.torrent.v2_hash)}, {"task_magnet", task_magnet()}, {"torrent", torrent_path_}},
                   "task      " + to_hex(task_.bundle.torrent.v2_hash) + "\nmagnet    " + task_magnet() + "\ntorrent   " + torrent_path_ + "\n", to_hex(task_.bundle.torrent.v2_hash));
    return exit_done;
  }
  return std::nullopt;
}

int SeedCommand::dry_run(const TaskFile& task) {
  const auto units = unit_count(task.spec);
  const auto low = checked_multiply(task.terms.max_price_micro, static_cast<Micro>(units) * task.terms.agree);
  const auto high = checked_multiply(task.terms.max_price_micro, static_cast<Micro>(units) * task.terms.max_replicas);
  auto credits = [](const std::optional<Micro>& amount) { return amount ? format_credits(*amount) : std::string("more than can be counted"); };
  std::string first_run;
  const auto runs = expand_unit(task.spec, 0);
  for (const auto& part : runs.front().argv) first_run += " " + part;
  std::string text = "task      " + task.terms.name + ": " + std::to_string(index_count(task.spec)) + " indices in " + std::to_string(units) + " units\n" +
                     "quorum    " + std::to_string(task.terms.agree) + " must agree, at most " + std::to_string(task.terms.max_replicas) + " try\n" +
                     "cost      at most " + credits(low) + " credits when all agree at once, " + credits(high) + " at worst\n" +
                     "first run" + first_run + "\n";
  Json json{{"name", task.terms.name}, {"indices", index_count(task.spec)}, {"units", units}, {"agree", task.terms.agree}, {"max", task.terms.max_replicas}};
  if (low) json["cost_likely_micro"] = *low;
  if (high) json["cost_high_micro"] = *high;
  output_.answer(json, text, task.terms.name);
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
  if (auto copied = export_outputs(bundle->torrent, bundle->dir(), options_.out); !copied) return fail_with(copied.error());
  if (auto written = write_torrent_and_twin(*bundle, options_.out); !written) return fail_with(written.error());
  record->out = options_.out;
  std::map<NodeKey, Micro> paid;
  const OfferId offer = offer_id(encode(record->offer));
  (*store)->scan("paid", [&](std::string_view name, std::string_view value) {
    if (name.substr(0, 32) == offer.view() && value.size() > 32) paid[*NodeKey::from_bytes(value.substr(0, 32))] += std::atoll(std::string(value.substr(32)).c_str());
  });
  output_.line("this task was done before; its answer is here (--again computes it anew)");
  output_.answer(summary(*record, paid), result_text(*record, paid), to_hex(record->result));
  return exit_done;
}

int SeedCommand::coordinate() {
  Signals signals;
  auto swarm = swarm_options(global_);
  if (!swarm) return fail_with(swarm.error());
  auto node = Node::start({*home_, *swarm}, nullptr);
  if (!node) return fail_with(node.error());
  node_ = std::move(*node);
  node_->on_problem([this](const std::string& what) { if (output_.verbose()) output_.problem(what); });
  endpoint_ = node_->swarm().listen_endpoint();

  auto made = record_for(*node_, task_, options_.out, !options_.again);
  if (!made) {
    (void)fail_with(made.error());
    return made.error().code == Code::invalid ? exit_usage : exit_error;
  }
  TaskRecord record = std::move(made->record);
  if (made->goes_on) output_.line("going on with the offer of an earlier run");
  output_.line("task " + to_hex(task_.bundle.torrent.v2_hash) + "  \"" + task_.terms.name + "\", " + std::to_string(record.offer.units) + (record.offer.units == 1 ? " unit" : " units"));
  output_.line("     " + task_magnet());
  if (auto runtime = runtime_id(task_.spec.runtime); runtime && !find_runtime(*home_, *runtime))
    output_.line("the runtime " + short_hex(*runtime) + " is not in this home: farmers look for it in the swarm");
  output_.event("task", {{"task_id", to_hex(record.offer.task)}, {"task_magnet", task_magnet()}, {"name", task_.terms.name}, {"units", record.offer.units}, {"listen", endpoint_}});
  node_->add(std::make_unique<RequesterRole>(*node_, std::move(record), task_.bundle,
                                             RequesterRole::Watcher{[this](const Note& note) { show(note); },
                                                                    [this](const TaskRecord& ended, Ending ending, const Requester& requester) { show_end(ended, ending, requester); }}));
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
      output_.line("interrupted; what is leased stays leased. The same command goes on, `tnode cancel " + to_hex(task_.bundle.torrent.v2_hash).substr(0, 12) + "` gives it up");
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

/// NAME.torrent beside the user, and its v1-only twin for clients that read no hybrids.
Result<void> SeedCommand::write_torrents() const { return write_torrent_and_twin(task_.bundle, torrent_path_.substr(0, torrent_path_.size() - std::string_view(".torrent").size())); }

void SeedCommand::show(const Note& note) {
  output_.event(note);
  const std::string who = field(note, "farmer").substr(0, 12);
  const auto units = task_.spec.array.batch > 0 ? unit_count(task_.spec) : 1;
  const bool few = units <= few_units || output_.verbose();
  if (note.what == "bid") output_.line("bid      " + who + "  " + format_credits(std::atoll(field(note, "price_micro").c_str())) + " credits a unit, " + field(note, "slots") + " slots, " + field(note, "platform"));
  else if (note.what == "refused" && field(note, "reason") == "preparing_runtime") output_.line("runtime  " + who + "  gets the task's runtime before it bids");
  else if (note.what == "refused") output_.line("refused  " + who + "  " + field(note, "reason") + " " + field(note, "detail"));
  else if (note.what == "lost") output_.line("lost     " + who + "  units " + field(note, "units") + ": " + field(note, "reason"));
  else if (note.what == "escalate") output_.line("differ   unit " + field(note, "unit") + ": the votes do not agree, asking farmer number " + field(note, "replicas"));
  else if (note.what == "disputed") output_.line("disputed unit " + field(note, "unit") + ": no agreement among " + field(note, "votes") + " votes");
  else if (note.what == "fetch_failed") output_.line("fetch    unit " + field(note, "unit") + ": " + field(note, "reason"));
  else if (note.what == "award" && few) output_.line("award    " + who + "  units " + field(note, "units"));
  else if (note.what == "paid" && few) output_.line("paid     " + who + "  " + format_credits(std::atoll(field(note, "amount_micro").c_str())) + " credits");
  else if (note.what == "accepted") {
    ++accepted_;
    if (few || field(note, "outcome") != "exited" || field(note, "exit_code") != "0") {
      std::string names;
      for (std::size_t at = 0; at < field(note, "farmers").size(); at += 65) names += (names.empty() ? "" : " + ") + field(note, "farmers").substr(at, 12);
      const bool good = field(note, "outcome") == "exited" && field(note, "exit_code") == "0";
      output_.line("agreed   unit " + field(note, "unit") + "  " + field(note, "result_id").substr(0, 12) + "  by " + names + (good ? "" : "  (" + field(note, "outcome") + ", exit " + field(note, "exit_code") + ")"));
    }
    output_.progress("units", accepted_, units, "");
  }
}

Json SeedCommand::summary(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const {
  Json farmers = Json::array();
  for (const auto& [key, amount] : paid) farmers.push_back({{"key", to_hex(key)}, {"paid_micro", amount}});
  Json json{{"task_id", to_hex(record.offer.task)}, {"task_magnet", task_magnet()}, {"name", record.offer.name}, {"state", record.state}};
  if (!record.reason.empty()) json["reason"] = record.reason;
  json["result_id"] = record.result.is_zero() ? Json() : Json(to_hex(record.result));
  json["result_magnet"] = record.result.is_zero() ? Json() : Json(result_magnet(record));
  json["result_bytes"] = record.result_bytes;
  json["units"] = record.offer.units;
  json["accepted"] = record.accepted + record.failed;
  json["failed"] = record.failed;
  json["disputed"] = record.disputed;
  json["replicas"] = record.replicas;
  json["paid"] = record.paid_micro;
  json["paid_micro"] = record.paid_micro;
  json["farmers"] = farmers;
  json["out"] = record.result.is_zero() ? Json() : Json(record.out);
  json["result_torrent"] = record.result.is_zero() ? Json() : Json(record.out + ".torrent");
  return json;
}

/// Where the outputs are; each of them by name when they are few.
std::string SeedCommand::files_text(const TaskRecord& record) const {
  constexpr std::size_t few_files = 24;
  std::string text = "files     " + record.out + "\n";
  auto bundle = find_bundle(home_->result_dir(record.result));
  if (!bundle || bundle->torrent.files.size() > few_files + 1) return text;
  for (const auto& file : bundle->torrent.files)
    if (file.path.starts_with("out/")) text += "          " + record.out + file.path.substr(3) + "  " + format_size(file.size) + "\n";
  return text;
}

std::string SeedCommand::result_text(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const {
  std::string text;
  if (!record.result.is_zero()) {
    text += "result    " + to_hex(record.result) + "  " + format_size(record.result_bytes) + "\nmagnet    " + result_magnet(record) + "\n" + files_text(record);
  }
  text += "units     " + std::to_string(record.accepted) + " of " + std::to_string(record.offer.units) + " good";
  if (record.failed > 0) text += ", " + std::to_string(record.failed) + " failed";
  if (record.disputed > 0) text += ", " + std::to_string(record.disputed) + " disputed";
  text += "\npaid      " + format_credits(record.paid_micro) + " credits";
  for (const auto& [key, amount] : paid) text += "\n          " + short_hex(key) + "  " + format_credits(amount);
  return text + "\n";
}

void SeedCommand::show_end(const TaskRecord& record, Ending ending, const Requester& requester) {
  const auto& paid = requester.paid_by_farmer();
  for (const auto& [unit, accepted] : requester.accepted()) {
    if (accepted.outcome.good()) continue;
    output_.problem("unit " + std::to_string(unit) + " failed: " + std::string(outcome_word(accepted.outcome.kind)) +
                    (accepted.outcome.kind == OutcomeKind::exited ? " with status " + std::to_string(accepted.outcome.exit_code) : "") + (accepted.detail.empty() ? "" : ": " + accepted.detail));
    if (!accepted.stderr_tail.empty()) output_.line(accepted.stderr_tail);
  }
  if (ending != Ending::done && !record.reason.empty()) output_.problem(record.reason);
  if (ending == Ending::no_bids || ending == Ending::no_quorum)
    for (const auto& line : record.explain) output_.line("  " + line);
  output_.answer(summary(record, paid), result_text(record, paid), record.result.is_zero() ? to_hex(record.offer.task) : to_hex(record.result));
  switch (ending) {
    case Ending::done: status_ = exit_done; break;
    case Ending::failed: status_ = exit_task_failed; break;
    case Ending::no_quorum: status_ = exit_no_quorum; break;
    case Ending::timeout: status_ = exit_timeout; break;
    case Ending::no_bids: status_ = exit_no_bids; break;
    case Ending::no_credit: status_ = exit_no_credit; break;
    case Ending::cancelled:
    case Ending::error: status_ = exit_error; break;
  }
  node_->leave();
}

/// Goes on in the background, with a log in the home.
int SeedCommand::detach() {
  const std::string id = to_hex(task_.bundle.torrent.v2_hash), log = home_->logs_dir() + "/" + id.substr(0, 16) + ".log";
  output_.answer(Json{{"task_id", id}, {"task_magnet", task_magnet()}, {"log", log}}, "task      " + id + "\nlog       " + log + "\nwatch     tnode status " + id.substr(0, 12) + "\n", id);
  pid_t child = fork();
  if (child < 0) return fail_with(fail(Code::io, "cannot start a background process"));
  if (child > 0) return exit_done;
  setsid();
  std::fflush(nullptr);
  if (!freopen(log.c_str(), "a", stdout) || !freopen(log.c_str(), "a", stderr) || !freopen("/dev/null", "r", stdin)) return exit_error;
  if (auto over = answer_at_once()) return *over;
  return coordinate();
}

}  // namespace

int run_seed(const GlobalOptions& global, const SeedOptions& options) { return SeedCommand(global, options).run(); }

}  // namespace tnode
