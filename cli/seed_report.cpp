#include "cli/seed_report.h"

#include <cstdlib>

#include "cli/magnets.h"
#include "cli/quantities.h"
#include "core/amount.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace {

constexpr UnitNumber few_units = 64;  // with more of them only what is out of the ordinary gets a line each

}  // namespace

std::string SeedReport::magnet(const Hash& v2_hash, const std::array<std::uint8_t, 20>& v1_hash, const std::string& name, const std::string& endpoint) {
  return magnet_of(v2_hash, v1_hash, name, endpoint);
}

std::string SeedReport::result_magnet(const TaskRecord& record) const {
  return magnet(rename_id<Hash>(record.result), record.result_v1, record.result_name, lasting_endpoint());
}

void SeedReport::show(const Note& note) {
  output_.event(note);
  const std::string who = field(note, "farmer").substr(0, 12);
  const auto units = task_.spec.array.batch > 0 ? unit_count(task_.spec) : 1;
  const bool few = units <= few_units || output_.verbose();
  const std::string many = field(note, "units").find_first_not_of("0123456789") == std::string::npos ? "  unit " : "  units ";
  if (note.what == "bid") output_.line("bid      " + who + "  " + format_credits(std::atoll(field(note, "price_micro").c_str())) + " credits a unit, " + counted(std::atoll(field(note, "slots").c_str()), "slot") + ", " + field(note, "platform"));
  else if (note.what == "refused" && field(note, "reason") == "preparing_runtime") output_.line("runtime  " + who + "  gets the task's runtime before it bids");
  else if (note.what == "refused" && field(note, "reason") == "no_slots" && !output_.verbose()) return;  // it never takes work: a meeting point
  else if (note.what == "refused") output_.line("refused  " + who + "  " + field(note, "reason") + (field(note, "detail").empty() ? "" : " " + field(note, "detail")));
  else if (note.what == "lost") output_.line("lost     " + who + many + field(note, "units") + ": " + field(note, "reason"));
  else if (note.what == "escalate") output_.line("differ   unit " + field(note, "unit") + ": the votes do not agree, asking farmer number " + field(note, "replicas"));
  else if (note.what == "doubted") {
    --accepted_;
    output_.line("doubted  unit " + field(note, "unit") + ": " + who + " decided it alone and does not hand it over, asking another");
  }
  else if (note.what == "disputed") output_.line("disputed unit " + field(note, "unit") + ": no agreement among " + field(note, "votes") + " votes");
  else if (note.what == "fetch_failed") output_.line("fetch    unit " + field(note, "unit") + ": " + field(note, "reason"));
  else if (note.what == "award" && few) output_.line("award    " + who + many + field(note, "units"));
  else if (note.what == "paid" && few) output_.line("paid     " + who + "  " + format_credits(std::atoll(field(note, "amount_micro").c_str())) + " credits");
  else if (note.what == "accepted") {
    ++accepted_;
    if (few || field(note, "outcome") != "exited" || field(note, "exit_code") != "0") {
      std::string names;
      for (std::size_t at = 0; at < field(note, "farmers").size(); at += 65) names += (names.empty() ? "" : " + ") + field(note, "farmers").substr(at, 12);
      const bool good = field(note, "outcome") == "exited" && field(note, "exit_code") == "0";
      output_.line("agreed   unit " + field(note, "unit") + "  " + field(note, "result_id").substr(0, 12) + "  by " + names + (good ? "" : "  (" + outcome_text(note) + ")"));
    }
    output_.progress("units", accepted_, units, "");
  }
}

Json SeedReport::summary(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const {
  Json farmers = Json::array();
  for (const auto& [key, amount] : paid) farmers.push_back({{"key", to_hex(key)}, {"paid_micro", amount}});
  Json json{{"task_id", to_hex(record.offer.task)}, {"task_magnet", magnet(rename_id<Hash>(record.offer.task), record.offer.v1_hash, record.offer.name, lasting_endpoint())}, {"name", record.offer.name}, {"state", record.state}};
  if (!record.reason.empty()) json["reason"] = record.reason;
  json["result_id"] = record.result.is_zero() ? Json() : Json(to_hex(record.result));
  json["result_magnet"] = record.result.is_zero() ? Json() : Json(result_magnet(record));
  json["result_bytes"] = record.result_bytes;
  json["units"] = record.offer.units;
  json["accepted"] = record.accepted + record.failed;
  json["failed"] = record.failed;
  json["disputed"] = record.disputed;
  json["empty"] = record.empty;
  if (!record.failures.empty()) json["failures"] = failures_json(record);
  json["agree"] = record.offer.agree;
  json["replicas"] = record.replicas;
  json["paid"] = record.paid_micro;
  json["paid_micro"] = record.paid_micro;
  json["farmers"] = farmers;
  const bool saved = !record.result.is_zero() && !record.out.empty();
  json["out"] = saved ? Json(record.out) : Json();
  json["result_torrent"] = saved ? Json(record.out + ".torrent") : Json();
  return json;
}

/// Where the outputs are; each of them by name when they are few.
std::string SeedReport::files_text(const TaskRecord& record) const {
  constexpr std::size_t few_files = 24;
  if (record.out.empty()) return "files     not saved; " + home_.command("get " + to_hex(record.result).substr(0, 12) + " --out DIR") + " has them\n";
  std::string text = "files     " + record.out + "\n";
  auto bundle = find_bundle(home_.result_dir(record.result));
  if (!bundle || bundle->torrent.files.size() > few_files + 1) return text;
  for (const auto& file : bundle->torrent.files)
    if (file.path.starts_with("out/")) text += "          " + record.out + file.path.substr(3) + "  " + format_size(file.size) + "\n";
  return text;
}

std::string SeedReport::text(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const {
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

void SeedReport::show_end(const TaskRecord& record, Ending ending, const std::map<NodeKey, Micro>& paid) {
  for (const auto& failure : record.failures) {
    output_.problem(visible_text(failure_text(failure)));
    if (!failure.stderr_tail.empty()) output_.line(stderr_text(failure.stderr_tail));
  }
  if (const auto more = record.failed - static_cast<std::int64_t>(record.failures.size()); more > 0) output_.problem(counted(more, "unit") + " more failed");
  if (!record.reason.empty()) output_.problem(record.reason);
  else if (ending != Ending::done) output_.problem(record.state);
  if (record.empty > 0) output_.line("warning: " + counted(record.empty, "unit") + " left no file in out/ that `outputs` matches; what a task prints is not part of its result");
  if (ending == Ending::no_bids || ending == Ending::no_quorum)
    for (const auto& line : record.explain) output_.line("  " + visible_text(line));
  answer(record, paid);
}

void SeedReport::answer(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) {
  output_.answer(summary(record, paid), text(record, paid), record.result.is_zero() ? to_hex(record.offer.task) : to_hex(record.result));
}

Json failures_json(const TaskRecord& record) {
  Json list = Json::array();
  for (const auto& each : record.failures)
    list.push_back({{"unit", each.unit}, {"index", each.index}, {"outcome", outcome_word(each.outcome.kind)}, {"exit_code", each.outcome.exit_code}, {"detail", each.detail}, {"stderr", each.stderr_tail}});
  return list;
}

}  // namespace tnode
