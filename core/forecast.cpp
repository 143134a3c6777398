#include "core/forecast.h"

#include <algorithm>
#include <limits>

#include "core/amount.h"

namespace tnode {
namespace {

__extension__ using Wide = __int128;  // an amount times a duration

constexpr TimeMs farthest_ms = TimeMs{100} * 365 * 86'400'000;  // beyond a hundred years nothing is foretold

/// A sum that stops at the ends of what can be counted: a forecast need not fail where a chain would.
Micro bounded_add(Micro a, Micro b) {
  if (auto sum = checked_add(a, b)) return *sum;
  return b > 0 ? std::numeric_limits<Micro>::max() : std::numeric_limits<Micro>::min();
}

}  // namespace

Forecast forecast(const ForecastInput& input, TimeMs now, TimeMs window_ms) {
  Forecast f;
  f.low_micro = bounded_add(input.balance_micro, -input.held_micro);
  f.high_micro = bounded_add(input.balance_micro, input.unclaimed_micro);
  f.free_micro = bounded_add(f.low_micro, input.line_micro);
  f.window_ms = std::max<TimeMs>(1, std::min(window_ms, now - input.begun_ms));
  for (const Block& block : input.recent) {
    if (block.time_ms < now - f.window_ms) continue;
    if (block.type == BlockType::credit) f.earned_micro = bounded_add(f.earned_micro, block.amount);
    if (block.type == BlockType::debit) f.spent_micro = bounded_add(f.spent_micro, block.amount);
  }
  for (const auto& [ref, hold] : input.holds) f.holds_end_ms = std::max(f.holds_end_ms, hold.expiry_ms);
  const Micro loss = bounded_add(f.spent_micro, -f.earned_micro);
  if (loss <= 0) return f;
  const Wide left = static_cast<Wide>(std::max<Micro>(0, f.free_micro)) * f.window_ms / loss;
  if (left <= farthest_ms) f.exhausted_ms = now + static_cast<TimeMs>(left);
  return f;
}

}  // namespace tnode
