#include "cli/quantities.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace tnode {
namespace {

constexpr double largest = 1e15;

struct Unit { std::string_view name; double factor; };

template <std::size_t n>
Result<std::int64_t> parse(std::string_view text, const std::array<Unit, n>& units, const std::string& shape) {
  std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string number(text.substr(0, digits));
  if (number.empty() || number == "." || number.find('.') != number.rfind('.')) return fail(Code::invalid, shape);
  if (digits == std::string_view::npos) return fail(Code::invalid, shape + "; '" + std::string(text) + "' has no unit");
  std::string_view unit = text.substr(digits);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const auto& each : units)
    if (each.name == unit) {
      const double value = std::strtod(number.c_str(), nullptr) * each.factor;
      if (value > largest) return fail(Code::invalid, "'" + std::string(text) + "' is too much");
      return static_cast<std::int64_t>(std::llround(value));
    }
  return fail(Code::invalid, shape + "; '" + std::string(unit) + "' is no such unit");
}

}  // namespace

Result<std::int64_t> parse_size(std::string_view text) {
  constexpr double k = 1024;
  constexpr std::array<Unit, 9> units{{{"B", 1}, {"KiB", k}, {"MiB", k * k}, {"GiB", k * k * k}, {"TiB", k * k * k * k}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}};
  return parse(text, units, "expected a size with its unit, like 512MiB");
}

Result<TimeMs> parse_duration(std::string_view text) {
  constexpr std::array<Unit, 5> units{{{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
  return parse(text, units, "expected a duration with its unit, like 90s, 10m or 2h");
}

std::string format_duration(TimeMs duration) {
  if (duration < 1000) return std::to_string(duration) + "ms";
  std::string text;
  TimeMs seconds = duration / 1000;
  for (auto [unit, size] : {std::pair<const char*, TimeMs>{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}})
    if (seconds >= size) {
      text += (text.empty() ? "" : " ") + std::to_string(seconds / size) + unit;
      seconds %= size;
    }
  return text;
}

}  // namespace tnode
