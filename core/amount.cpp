#include "core/amount.h"

namespace tnode {

Result<Micro> parse_credits(std::string_view text) {
  Error bad = fail(Code::invalid, "'" + std::string(text) + "' is not an amount of credits, such as 2.5 (at most six decimals)");
  std::string_view rest = text;
  bool negative = !rest.empty() && rest.front() == '-';
  if (negative) rest.remove_prefix(1);
  Micro value = 0;
  int decimals = -1;  // -1: no point seen yet
  bool any = false;
  for (char c : rest) {
    if (c == '.' && decimals < 0) { decimals = 0; continue; }
    if (c < '0' || c > '9' || decimals == 6) return bad;
    any = true;
    if (decimals >= 0) ++decimals;
    auto ten = checked_multiply(value, 10);
    auto next = ten ? checked_add(*ten, c - '0') : std::nullopt;
    if (!next) return bad;
    value = *next;
  }
  if (!any) return bad;
  for (int i = decimals < 0 ? 0 : decimals; i < 6; ++i) {
    auto ten = checked_multiply(value, 10);
    if (!ten) return bad;
    value = *ten;
  }
  return negative ? -value : value;
}

std::string format_credits(Micro amount) {
  // Unsigned magnitude, so that the smallest amount has one too.
  auto magnitude = amount < 0 ? 0 - static_cast<std::uint64_t>(amount) : static_cast<std::uint64_t>(amount);
  std::string text = std::to_string(magnitude / credit_micro);
  std::uint64_t part = magnitude % credit_micro;
  if (part != 0) {
    std::string digits = std::to_string(part);
    digits.insert(0, 6 - digits.size(), '0');
    while (digits.back() == '0') digits.pop_back();
    text += '.' + digits;
  }
  return amount < 0 ? "-" + text : text;
}

}  // namespace tnode
