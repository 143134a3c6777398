// `tnode ledger history`: own blocks by task, counterparty, type and time; for people, as JSON, or as CSV.
#include <cstdio>
#include <ctime>

#include "cli/commands.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/quantities.h"
#include "cli/task_record.h"
#include "core/amount.h"

namespace tnode {
namespace {

constexpr std::size_t least_prefix = 6;

struct Filter {
  std::optional<TaskId> task;
  std::string with, type;  // hex prefix of a key; a type's word
  TimeMs since_ms = 0, until_ms = std::numeric_limits<TimeMs>::max();

  bool takes(const Store& store, const Block& block) const {
    if (block.time_ms < since_ms || block.time_ms >= until_ms) return false;
    if (!type.empty() && block_word(block.type) != type) return false;
    if (!with.empty() && (block.counterparty.is_zero() || !to_hex(block.counterparty).starts_with(with))) return false;
    return !task || task_of(store, block) == task;
  }
};

/// "2026-11-21", "2026-11-21 08:00[:30]" in local time, or a duration: so long before `now`.
Result<TimeMs> parse_moment(const std::string& text, TimeMs now) {
  if (auto ago = parse_duration(text)) return now - *ago;
  for (const char* form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = strptime(text.c_str(), form, &parts);
    if (!end || *end) continue;
    const int day = parts.tm_mday;
    parts.tm_isdst = -1;
    const std::time_t seconds = std::mktime(&parts);
    if (parts.tm_mday != day) break;  // the 31st of a month that has none
    return static_cast<TimeMs>(seconds) * 1000;
  }
  return fail(Code::invalid, "'" + text + "' is no time: write 2026-11-21, \"2026-11-21 08:00\", or how long ago, such as 2h or 30d");
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

Result<Filter> filter_of(const HistoryOptions& options, const Store& store) {
  Filter filter;
  const std::string wanted = lower_case(options.task);
  if (!wanted.empty()) {
    // A farmer knows a task by its payments alone; a requester by its record.
    std::set<TaskId> found;
    store.scan(task_of_ref_bucket, [&](std::string_view, std::string_view task) {
      if (task.size() == 32 && wanted.size() >= least_prefix && to_hex(task).starts_with(wanted)) found.insert(*TaskId::from_bytes(task));
    });
    if (found.size() > 1) return fail(Code::invalid, "'" + options.task + "' may mean several tasks: give more of its id");
    if (found.empty()) {
      auto record = match_task_record(store, wanted);
      if (!record) return record.error();
      found.insert(record->offer.task);
    }
    filter.task = *found.begin();
  }
  if (const std::string with = lower_case(options.with); !with.empty()) {
    if (with.size() < least_prefix || with.find_first_not_of("0123456789abcdef") != std::string::npos)
      return fail(Code::invalid, "'" + options.with + "' is no key: give at least 6 of its 64 hex digits");
    filter.with = with;
  }
  if (!options.type.empty()) {
    std::vector<std::string> words;
    for (int type = 1; type <= 6; ++type) words.emplace_back(block_word(static_cast<BlockType>(type)));
    if (std::find(words.begin(), words.end(), options.type) == words.end()) {
      const std::string near = nearest_word(options.type, words);
      return fail(Code::invalid, "there is no block type '" + options.type + "'" + (near.empty() ? "" : ", did you mean '" + near + "'?"));
    }
    filter.type = options.type;
  }
  const TimeMs now = wall_clock_ms();
  for (auto [text, into] : {std::pair{&options.since, &filter.since_ms}, {&options.until, &filter.until_ms}}) {
    if (text->empty()) continue;
    auto moment = parse_moment(*text, now);
    if (!moment) return moment.error();
    *into = *moment;
  }
  return filter;
}

/// A block with what else this node knows of it.
struct Entry {
  Block block;
  std::optional<TaskId> task;
  std::optional<BlockId> receipt;  // of a DEBIT: the CREDIT that the payee booked it with

  Entry(const Store& store, const Block& of) : block(of), task(task_of(store, of)) {
    if (const auto half = of.type == BlockType::debit ? store.half_of(of) : std::nullopt) receipt = block_id(*half);
  }
};

Json json_of(const Entry& entry) {
  const auto& [block, task, receipt] = entry;
  Json json{{"seq", block.seq}, {"id", to_hex(block_id(block))}, {"type", block_word(block.type)}, {"time", static_cast<double>(block.time_ms) / 1000.0}};
  if (!block.counterparty.is_zero()) json["counterparty"] = to_hex(block.counterparty);
  if (task) json["task_id"] = to_hex(*task);
  if (!block.link.is_zero()) json["link"] = to_hex(block.link);
  if (block.type == BlockType::debit) json["receipt"] = receipt ? Json(to_hex(*receipt)) : Json(nullptr);
  json.update(Json{{"amount_micro", block.amount}, {"balance_micro", block.balance}, {"held_micro", block.held}, {"ref", to_hex(block.ref)}});
  return json;
}

std::string csv_of(const Entry& entry) {
  const auto& [block, task, receipt] = entry;
  auto hex = [](const auto& id) { return id.is_zero() ? std::string() : to_hex(id); };
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%lld.%03lld", static_cast<long long>(block.time_ms / 1000), static_cast<long long>(block.time_ms % 1000));
  return std::to_string(block.seq) + "," + to_hex(block_id(block)) + "," + std::string(block_word(block.type)) + "," + seconds + "," + hex(block.counterparty) + "," + (task ? to_hex(*task) : "") + "," +
         std::to_string(block.amount) + "," + std::to_string(block.balance) + "," + std::to_string(block.held) + "," + hex(block.ref) + "," + hex(block.link) + "," + (receipt ? to_hex(*receipt) : "") + "\n";
}

std::string line_of(const Entry& entry) {
  const auto& [block, task, receipt] = entry;
  char line[256];
  std::snprintf(line, sizeof line, "%6llu  %s  %-10s %14s  balance %14s  held %12s  %-12s  %s%s\n", static_cast<unsigned long long>(block.seq), time_text(block.time_ms).c_str(), std::string(block_word(block.type)).c_str(),
                format_credits(block.amount).c_str(), format_credits(block.balance).c_str(), format_credits(block.held).c_str(), block.counterparty.is_zero() ? "" : short_hex(block.counterparty).c_str(),
                task ? short_hex(*task).c_str() : "", block.type == BlockType::debit && !receipt ? "  (on its way)" : "");
  return line;
}

}  // namespace

int run_ledger_history(const GlobalOptions& global, const HistoryOptions& options) {
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  auto filter = filter_of(options, *ledger->store);
  if (!filter) {
    const int status = fail_with(filter.error());
    return filter.error().code == Code::invalid ? static_cast<int>(exit_usage) : status;
  }
  if (options.csv) std::fputs("seq,id,type,time,counterparty,task_id,amount_micro,balance_micro,held_micro,ref,link,receipt\n", stdout);
  Json blocks = Json::array();
  std::string text, ids;
  scan_own(*ledger->store, [&](const Block& block) {
    if (!filter->takes(*ledger->store, block)) return;
    const Entry entry(*ledger->store, block);
    if (options.csv) {
      std::fputs(csv_of(entry).c_str(), stdout);
      return;
    }
    blocks.push_back(json_of(entry));
    text += line_of(entry);
    ids += (ids.empty() ? "" : "\n") + to_hex(block_id(block));
  });
  if (!options.csv) Output(global).answer(Json{{"key", to_hex(ledger->own)}, {"blocks", blocks}}, text, ids);
  return exit_done;
}

}  // namespace tnode
