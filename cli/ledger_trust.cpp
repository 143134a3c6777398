// `tnode ledger trust [KEY]`: who may owe this node how much, and why. The same policy that its farmer decides by, read from the store.
#include "cli/commands.h"
#include "cli/credit_terms.h"
#include "cli/home.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/task_record.h"
#include "core/amount.h"

namespace tnode {
namespace {

Json json_of(const NodeKey& key, const Standing& s, const CreditPolicy& policy) {
  Json vouchers = Json::array();
  for (const auto& [voucher, amount] : s.vouchers) vouchers.push_back(Json{{"key", to_hex(voucher)}, {"amount_micro", amount}});
  return Json{{"key", to_hex(key)}, {"named", s.named}, {"line_micro", s.line_micro}, {"chain_line_micro", policy.line_of(key)}, {"worked_micro", s.worked_micro}, {"taken_micro", s.taken_micro}, {"unpaid_micro", s.unpaid_micro},
              {"claim_micro", s.claim_micro}, {"debt_micro", s.debt_micro}, {"written_off_micro", s.written_off_micro}, {"promised_micro", s.promised_micro}, {"vouchers", vouchers}, {"room_micro", s.room_micro}};
}

std::string details(const NodeKey& key, const Standing& s, const CreditPolicy& policy) {
  std::string text = "key       " + to_hex(key) + "\nmay owe   " + format_credits(s.room_micro) + " credits more\nworked    " + format_credits(s.worked_micro) + " for this node, which worked " + format_credits(s.taken_micro) + " for it" + (s.unpaid_micro > 0 ? ", " + format_credits(s.unpaid_micro) + " of it never paid" : "") + "\n";
  if (s.claim_micro > 0) text += "claim     " + format_credits(s.claim_micro) + "\n";
  if (s.debt_micro > 0 || s.written_off_micro > 0) text += "owes      " + format_credits(s.debt_micro) + (s.written_off_micro > 0 ? ", and " + format_credits(s.written_off_micro) + " that are written off" : "") + "\n";
  if (s.promised_micro > 0) text += "promised  " + format_credits(s.promised_micro) + " by leases that are not settled\n";
  for (const auto& [voucher, amount] : s.vouchers) text += "vouched   up to " + format_credits(amount) + " by " + to_hex(voucher) + ", whose audited chain owes it for work\n";
  if (s.named) text += "line      " + format_credits(s.line_micro) + " of its own\n";
  else text += "stranger  of " + format_credits(s.stranger_cap_micro) + " for all strangers together " + format_credits(s.strangers_micro) + " are in use\n";
  return text + "chain     may stand " + format_credits(policy.line_of(key)) + " below zero\n";
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

}  // namespace

int run_ledger_trust(const GlobalOptions& global, const std::string& key_text) {
  std::optional<NodeKey> asked;
  if (!key_text.empty()) {
    auto key = parse_node_key(key_text);
    if (!key) {
      (void)fail_with(key.error());
      return exit_usage;
    }
    asked = *key;
  }
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto key = home->existing_key();
  if (!key) return fail_with(key.error());
  auto store = open_store_for_reading(*home);
  if (!store) return fail_with(store.error());
  // As the farmer that starts now would see it, with the leases that it would go on with.
  FarmerOptions options;
  options.key = &*key;
  options.credit = credit_policy(**store, *home, kept_credit_terms(**store).value_or(CreditTerms{}));
  Farmer farmer(std::move(options));
  (*store)->scan("lease", [&](std::string_view, std::string_view value) { farmer.restore_lease(value); });
  (*store)->scan("unpaid", [&](std::string_view name, std::string_view value) { farmer.restore_unpaid(name, value); });
  const CreditPolicy& policy = farmer.credit();
  const TimeMs now = wall_clock_ms();
  const std::set<NodeKey> keys = asked ? std::set<NodeKey>{*asked} : policy.keys();
  const Standing any = policy.standing(asked.value_or(NodeKey{}), now);
  Json list = Json::array();
  std::string text = asked ? "" : "strangers  " + format_credits(any.strangers_micro) + " of " + format_credits(any.stranger_cap_micro) + " credits in use; a chain may stand " + format_credits(policy.terms().line_micro) + " below zero\n";
  if (!keys.empty() && !asked) text += "key           worked for us    we for it     may owe more\n";
  for (const NodeKey& each : keys) {
    const Standing s = policy.standing(each, now);
    list.push_back(json_of(each, s, policy));
    text += asked ? details(each, s, policy) : short_hex(each) + "  " + padded(format_credits(s.worked_micro), 13) + padded(format_credits(s.taken_micro), 13) + padded(format_credits(s.room_micro), 17) + (s.named ? "  line " + format_credits(s.line_micro) : "") + "\n";
  }
  Output(global).answer(Json{{"strangers_micro", any.strangers_micro}, {"stranger_cap_micro", any.stranger_cap_micro}, {"line_micro", policy.terms().line_micro}, {"keys", list}}, text, std::to_string(any.room_micro));
  return exit_done;
}

}  // namespace tnode
