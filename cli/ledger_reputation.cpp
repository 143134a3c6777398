// `tnode ledger reputation [KEY]`: what this node saw of farmers, and the figures that its tasks choose them by. All of it is computed anew
// from the rows of evidence in the store.
#include <ctime>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/task_record.h"
#include "core/reputation.h"

namespace tnode {
namespace {

Evidence sum_of(const EvidenceRows& rows) {
  Evidence sum;
  for (const auto& [day, e] : rows) {
    sum.agreed += e.agreed;
    sum.unchecked += e.unchecked;
    sum.dissented += e.dissented;
    sum.timed_out += e.timed_out;
    sum.no_show += e.no_show;
  }
  return sum;
}

Json counts_of(const Evidence& e) { return Json{{"agreed", e.agreed}, {"unchecked", e.unchecked}, {"dissented", e.dissented}, {"timed_out", e.timed_out}, {"no_show", e.no_show}}; }

std::string day_text(EvidenceDay day) {
  const std::time_t seconds = static_cast<std::time_t>(day) * 86'400;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

std::string percent(std::int64_t per_mille) { return (per_mille < 0 ? "-" : "") + std::to_string(std::abs(per_mille) / 10) + "." + std::to_string(std::abs(per_mille) % 10) + " %"; }

std::string counts_text(const Evidence& e) {
  return std::to_string(e.agreed) + " agreed, " + std::to_string(e.unchecked) + " unchecked, " + std::to_string(e.dissented) + " dissented, " + std::to_string(e.timed_out) + " timed out, " + std::to_string(e.no_show) + " no-shows";
}

Json json_of(const NodeKey& key, const EvidenceRows& rows, const Reputation& r) {
  Json json{{"key", to_hex(key)}, {"level", level_word(r.level)}, {"success_per_mille", r.success}, {"quality_per_mille", r.quality}, {"consistency_per_mille", r.consistency}, {"trend_per_mille", r.trend},
            {"in_a_row", r.in_a_row}, {"checked_per_mille", check_chance(r)}, {"days", rows.size()}};
  json.update(counts_of(sum_of(rows)));
  return json;
}

std::string details(const NodeKey& key, const EvidenceRows& rows, const Reputation& r) {
  std::string text = "key         " + to_hex(key) + "\nlevel       " + std::string(level_word(r.level)) + ", " + std::to_string(r.in_a_row) + " agreed in a row; where a task allows it, " + percent(check_chance(r)) + " of its units are checked\n";
  text += "success     " + percent(r.success) + " of what it was given\nquality     " + percent(r.quality) + " of its votes that could be compared\nconsistency " + percent(r.consistency) + "\ntrend       " + percent(r.trend) + " this week, against before\n";
  for (const auto& [day, e] : rows) text += day_text(day) + "  " + counts_text(e) + "\n";
  return text;
}

}  // namespace

int run_ledger_reputation(const GlobalOptions& global, const std::string& key_text) {
  std::optional<NodeKey> asked;
  if (!key_text.empty()) {
    auto key = parse_node_key(key_text);
    if (!key) {
      (void)fail_with(key.error());
      return exit_usage;
    }
    asked = *key;
  }
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  std::map<NodeKey, EvidenceRows> farmers;
  ledger->store->scan(evidence_bucket, [&](std::string_view name, std::string_view value) {
    EvidenceRow row;
    if (decode_evidence(name, value, row) && (!asked || row.key == *asked)) farmers[row.key][row.day] = row.evidence;
  });
  if (asked) farmers.try_emplace(*asked);
  const TimeMs now = wall_clock_ms();
  Json list = Json::array();
  std::string text = asked ? "" : farmers.empty() ? "nothing was seen of any farmer yet\n" : "key           level     success  quality\n";
  for (const auto& [key, rows] : farmers) {
    const Reputation r = reputation_of(rows, now);
    Json json = json_of(key, rows, r);
    if (asked) {
      json["rows"] = Json::array();
      for (const auto& [day, e] : rows) {
        Json row{{"day", day_text(day)}};
        row.update(counts_of(e));
        json["rows"].push_back(row);
      }
    }
    list.push_back(json);
    std::string level(level_word(r.level));
    level.resize(10, ' ');
    text += asked ? details(key, rows, r) : short_hex(key) + "  " + level + percent(r.success) + "  " + percent(r.quality) + "  " + counts_text(sum_of(rows)) + "\n";
  }
  Output(global).answer(Json{{"farmers", list}}, text, asked ? std::string(level_word(reputation_of(farmers.at(*asked), now).level)) : std::to_string(farmers.size()));
  return exit_done;
}

}  // namespace tnode
