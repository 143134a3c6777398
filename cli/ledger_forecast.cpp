// `tnode ledger forecast`: what is promised, what the last days earned and spent, and how long that goes on.
#include "cli/commands.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/quantities.h"
#include "core/amount.h"
#include "core/forecast.h"

namespace tnode {

int run_ledger_forecast(const GlobalOptions& global, const std::string& window) {
  auto window_ms = parse_duration(window);
  if (!window_ms || *window_ms <= 0) {
    (void)fail_with(fail(Code::invalid, "--window: expected " + std::string(duration_form)));
    return exit_usage;
  }
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  const TimeMs now = wall_clock_ms();
  const Balance balance = ledger->store->balance();
  ForecastInput input{balance.balance_micro, balance.held_micro, balance.line_micro, balance.unclaimed_micro, ledger->store->open_holds(), {}, now};
  scan_own(*ledger->store, [&](const Block& block) {
    if (block.type == BlockType::genesis) input.begun_ms = block.time_ms;
    if (block.time_ms >= now - *window_ms) input.recent.push_back(block);
  });
  const Forecast f = forecast(input, now, *window_ms);
  std::string text = "free now  " + format_credits(f.free_micro) + " credits (balance " + format_credits(balance.balance_micro) + ", held " + format_credits(balance.held_micro) + ", line " + format_credits(balance.line_micro) + ")\n";
  if (!input.holds.empty())
    text += "promised  " + std::to_string(input.holds.size()) + " open holds; the balance is " + format_credits(f.low_micro) + " if all are paid; the last expires " + time_text(f.holds_end_ms) + "\n";
  text += "last " + format_duration(f.window_ms) + "  earned " + format_credits(f.earned_micro) + ", spent " + format_credits(f.spent_micro) + "\n";
  text += f.exhausted_ms ? "at this pace nothing is free any more on " + time_text(*f.exhausted_ms) + "\n" : "at this pace the credit does not run out\n";
  Json holds = Json::array();
  for (const auto& [ref, hold] : input.holds)
    holds.push_back(Json{{"ref", to_hex(ref)}, {"counterparty", to_hex(hold.payee)}, {"amount_micro", hold.amount}, {"expires", static_cast<double>(hold.expiry_ms) / 1000.0}});
  Json json{{"key", to_hex(ledger->own)}, {"free_micro", f.free_micro}, {"low_micro", f.low_micro}, {"high_micro", f.high_micro}, {"earned_micro", f.earned_micro}, {"spent_micro", f.spent_micro},
            {"window", static_cast<double>(f.window_ms) / 1000.0}, {"holds", holds}};
  json["exhausted"] = f.exhausted_ms ? Json(static_cast<double>(*f.exhausted_ms) / 1000.0) : Json(nullptr);
  Output(global).answer(json, text, std::to_string(f.free_micro));
  return exit_done;
}

}  // namespace tnode
