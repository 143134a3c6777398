// Checked arithmetic on micro-credits, and their form for people.
#pragma once
#include <optional>
#include <string>

#include "core/types.h"

namespace tnode {

inline std::optional<Micro> checked_add(Micro a, Micro b) {
  Micro sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}
inline std::optional<Micro> checked_multiply(Micro a, Micro b) {
  Micro product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// "2.5" → 2,500,000. At most six decimals; no exponent; no sign but a leading '-'.
Result<Micro> parse_credits(std::string_view text);
/// 2,500,000 → "2.5"; exact, without trailing zeros.
std::string format_credits(Micro amount);

}  // namespace tnode
