// `tnode ledger` and `tnode key`: this node's name and credits, read beside a running node.
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/task_record.h"
#include "core/amount.h"

namespace tnode {
namespace {

constexpr std::size_t history_page = 1000;

Result<std::unique_ptr<Store>> open_for_reading(const GlobalOptions& global, NodeKey& own) {
  auto home = Home::find(global.home);
  if (!home) return home.error();
  auto key = home->existing_key();
  if (!key) return key.error();
  own = key->key();
  return open_store_for_reading(*home);
}

Json json_of(const Block& block) {
  Json json{{"seq", block.seq}, {"id", to_hex(block_id(block))}, {"type", block_word(block.type)}, {"time", static_cast<double>(block.time_ms) / 1000.0}};
  if (!block.counterparty.is_zero()) json["counterparty"] = to_hex(block.counterparty);
  json.update(Json{{"amount_micro", block.amount}, {"balance_micro", block.balance}, {"held_micro", block.held}, {"ref", to_hex(block.ref)}});
  return json;
}

std::string time_text(TimeMs time_ms) {
  std::time_t seconds = static_cast<std::time_t>(time_ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

}  // namespace

int run_ledger_balance(const GlobalOptions& global) {
  NodeKey own;
  auto store = open_for_reading(global, own);
  if (!store) return fail_with(store.error());
  const Balance b = (*store)->balance();
  std::string text = "key       " + to_hex(own) + "\nbalance   " + format_credits(b.balance_micro) + " credits\nheld      " + format_credits(b.held_micro) + "\nfree      " +
                     format_credits(b.balance_micro - b.held_micro + b.line_micro) + "  (line " + format_credits(b.line_micro) + ")\n";
  if (b.unclaimed_micro) text += "unclaimed " + format_credits(b.unclaimed_micro) + "  (paid to this node and not yet in its chain)\n";
  if (b.unclaimed_out_micro) text += "on way    " + format_credits(b.unclaimed_out_micro) + "  (paid; the other side has not yet said that it has it)\n";
  Output(global).answer(Json{{"key", to_hex(own)}, {"balance_micro", b.balance_micro}, {"held_micro", b.held_micro}, {"unclaimed_micro", b.unclaimed_micro}, {"unclaimed_out_micro", b.unclaimed_out_micro},
                             {"line_micro", b.line_micro}, {"blocks", b.blocks}, {"head", to_hex(b.head)}}, text, std::to_string(b.balance_micro));
  return exit_done;
}

int run_ledger_history(const GlobalOptions& global) {
  NodeKey own;
  auto store = open_for_reading(global, own);
  if (!store) return fail_with(store.error());
  Json blocks = Json::array();
  std::string text, ids;
  for (std::uint64_t from = 0;;) {
    auto page = (*store)->history(from, history_page);
    for (const Block& block : page) {
      blocks.push_back(json_of(block));
      char line[256];
      std::snprintf(line, sizeof line, "%6llu  %s  %-8s %14s  balance %14s  held %12s  %s\n", static_cast<unsigned long long>(block.seq), time_text(block.time_ms).c_str(), std::string(block_word(block.type)).c_str(),
                    format_credits(block.amount).c_str(), format_credits(block.balance).c_str(), format_credits(block.held).c_str(), block.counterparty.is_zero() ? "" : short_hex(block.counterparty).c_str());
      text += line;
      ids += (ids.empty() ? "" : "\n") + to_hex(block_id(block));
    }
    if (page.size() < history_page) break;
    from = page.back().seq + 1;
  }
  Output(global).answer(Json{{"key", to_hex(own)}, {"blocks", blocks}}, text, ids);
  return exit_done;
}

int run_ledger_audit(const GlobalOptions& global, const std::string& key_text) {
  NodeKey own;
  // Opening replays the own chain: every link, every balance, the head's signature.
  auto store = open_for_reading(global, own);
  if (!store) return fail_with(store.error());
  const Balance b = (*store)->balance();
  if (key_text.empty() || key_text == to_hex(own)) {
    std::uint64_t signatures = 0;
    for (std::uint64_t from = 0;;) {
      auto page = (*store)->history(from, history_page);
      for (const Block& block : page) {
        if (!verify_block(block)) return fail_with(fail(Code::invalid, "block " + std::to_string(block.seq) + " has a wrong signature"));
        ++signatures;
      }
      if (page.size() < history_page) break;
      from = page.back().seq + 1;
    }
    Output(global).answer(Json{{"key", to_hex(own)}, {"blocks", b.blocks}, {"signatures", signatures}, {"balance_micro", b.balance_micro}, {"good", true}},
                          "key       " + to_hex(own) + "\nblocks    " + std::to_string(b.blocks) + ", all linked, signed and adding up\nbalance   " + format_credits(b.balance_micro) + " credits\n", to_hex(own));
    return exit_done;
  }
  auto bytes = from_hex(key_text);
  auto key = bytes ? NodeKey::from_bytes(*bytes) : Result<NodeKey>(fail(Code::invalid, ""));
  if (!key) {
    (void)fail_with(fail(Code::invalid, "a node's key has 64 hex digits"));
    return exit_usage;
  }
  const auto known = (*store)->known_of(*key);
  std::string text = "key       " + key_text + "\nblocks    " + std::to_string(known.blocks) + " seen by this node\npaid us   " + format_credits(known.paid_to_us_micro) + " credits\nwe paid   " +
                     format_credits(known.received_from_us_micro) + " credits\n";
  if (known.forked) text += "FORKED    it signed two histories; both halves are kept\n";
  Output(global).answer(Json{{"key", key_text}, {"blocks", known.blocks}, {"paid_to_us_micro", known.paid_to_us_micro}, {"received_from_us_micro", known.received_from_us_micro}, {"forked", known.forked}}, text, key_text);
  return known.forked ? exit_error : exit_done;
}

int run_key_show(const GlobalOptions& global) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto key = home->key();
  if (!key) return fail_with(key.error());
  const std::string text = to_hex(key->key());
  Output(global).answer(Json{{"key", text}, {"path", home->key_path()}}, text + "\n", text);
  return exit_done;
}

}  // namespace tnode
