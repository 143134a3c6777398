// `tnode ledger balance|audit`: this node's credits, read beside a running node.
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/node.h"
#include "cli/ledger_command.h"
#include "cli/task_record.h"
#include "core/amount.h"
#include "core/chain_file.h"

namespace tnode {
namespace {

constexpr std::size_t history_page = 1000;

}  // namespace

Result<OpenLedger> open_ledger(const GlobalOptions& global) {
  auto home = Home::find(global.home);
  if (!home) return home.error();
  auto key = home->existing_key();
  if (!key) return key.error();
  auto store = open_store_for_reading(*home);
  if (!store) return store.error();
  return OpenLedger{key->key(), std::move(*store)};
}

void scan_own(const Store& store, const std::function<void(const Block&)>& each) {
  for (std::uint64_t from = 0;;) {
    const auto page = store.history(from, history_page);
    for (const Block& block : page) each(block);
    if (page.size() < history_page) return;
    from = page.back().seq + 1;
  }
}

std::optional<TaskId> task_of(const Store& store, const Block& block) {
  if (block.ref.is_zero()) return std::nullopt;
  auto task = store.get(task_of_ref_bucket, block.ref.view());
  if (!task || task->size() != 32) return std::nullopt;
  return *TaskId::from_bytes(*task);
}

std::string time_text(TimeMs time_ms) {
  std::time_t seconds = static_cast<std::time_t>(time_ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

Result<NodeKey> parse_node_key(const std::string& text) {
  auto bytes = from_hex(text);
  auto key = bytes ? NodeKey::from_bytes(*bytes) : Result<NodeKey>(bytes.error());
  if (!key) return fail(Code::invalid, "'" + text + "' is no key of a node: it has 64 hex digits (`tnode key show` prints one's own)");
  if (!may_be_key(*key)) return fail(Code::invalid, "'" + text + "' is nobody's key: anybody can sign for it");
  return key;
}

int run_ledger_balance(const GlobalOptions& global) {
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  const NodeKey own = ledger->own;
  const Balance b = ledger->store->balance();
  std::string text = "key       " + to_hex(own) + "\nbalance   " + format_credits(b.balance_micro) + " credits\nheld      " + format_credits(b.held_micro) + "\nfree      " +
                     format_credits(b.balance_micro - b.held_micro + b.line_micro) + "  (line " + format_credits(b.line_micro) + ")\n";
  if (b.unclaimed_micro) text += "unclaimed " + format_credits(b.unclaimed_micro) + "  (paid to this node and not yet in its chain)\n";
  if (b.unclaimed_out_micro) text += "on way    " + format_credits(b.unclaimed_out_micro) + "  (paid; the other side has not yet said that it has it)\n";
  Output(global).answer(Json{{"key", to_hex(own)}, {"balance_micro", b.balance_micro}, {"held_micro", b.held_micro}, {"unclaimed_micro", b.unclaimed_micro}, {"unclaimed_out_micro", b.unclaimed_out_micro},
                             {"line_micro", b.line_micro}, {"blocks", b.blocks}, {"head", to_hex(b.head)}}, text, std::to_string(b.balance_micro));
  return exit_done;
}

namespace {

/// Everything that a stranger would check, from the bytes alone: opening the store compared its rows, this replays the chain with every
/// signature and joins each payment with its other half.
int audit_own(const GlobalOptions& global, const OpenLedger& ledger) {
  auto report = verify_chain_file(ledger.store->export_chain());
  if (!report) return fail_with(report.error());
  const Balance b = ledger.store->balance();
  const auto& r = *report;
  if (r.unproved_micro != 0) return fail_with(fail(Code::invalid, format_credits(r.unproved_micro) + " credits were booked without the DEBIT behind them"));
  std::string text = "key       " + to_hex(ledger.own) + "\nblocks    " + std::to_string(r.chain.blocks()) + ", all linked, signed and adding up\nbalance   " + format_credits(b.balance_micro) + " credits\nearned    " +
                     format_credits(r.earned_micro) + " by " + std::to_string(r.credits) + " CREDITs, each with its DEBIT\npaid      " + format_credits(r.paid_micro) + " by " + std::to_string(r.debits) + " DEBITs, " +
                     std::to_string(r.debits_receipted) + " of them with a receipt\n";
  Output(global).answer(Json{{"key", to_hex(ledger.own)}, {"blocks", b.blocks}, {"signatures", r.signatures}, {"balance_micro", b.balance_micro}, {"earned_micro", r.earned_micro}, {"paid_micro", r.paid_micro},
                             {"credits", r.credits}, {"debits", r.debits}, {"debits_receipted", r.debits_receipted}, {"good", true}}, text, to_hex(ledger.own));
  return exit_done;
}

}  // namespace

int run_ledger_audit(const GlobalOptions& global, const std::string& key_text, const std::string& wait) {
  if (!key_text.empty()) {
    auto key = parse_node_key(key_text);
    if (!key) {
      (void)fail_with(key.error());
      return exit_usage;
    }
    auto home = Home::find(global.home);
    auto own = home ? home->existing_key() : Result<KeyPair>(home.error());
    if (!own || own->key() != *key) return audit_stranger(global, *key, wait);
  }
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  return audit_own(global, *ledger);
}

}  // namespace tnode
