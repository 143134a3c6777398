// Reading and writing quantities: see quantities.h. All arithmetic is in checked integers.
#include "cli/quantities.h"

#include <algorithm>
#include <array>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

struct Unit { std::string_view word; std::int64_t factor; };

constexpr std::array<Unit, 9> size_units{{{"B", 1},
                                          {"kB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}, {"TB", 1'000'000'000'000},
                                          {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40}}};
constexpr std::array<Unit, 5> time_units{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// A number at the front of `text`: its digits without the point, and how many of them are decimals. False when there is none.
bool take_number(std::string_view& text, std::int64_t& digits, int& decimals) {
  constexpr int max_decimals = 3;
  digits = 0;
  decimals = -1;
  bool any = false;
  while (!text.empty() && (is_digit(text.front()) || (text.front() == '.' && decimals < 0))) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '.') {
      decimals = 0;
      continue;
    }
    if (decimals == max_decimals || __builtin_mul_overflow(digits, 10, &digits) || __builtin_add_overflow(digits, c - '0', &digits)) return false;
    any = true;
    if (decimals >= 0) ++decimals;
  }
  return any && decimals != 0;
}

std::string_view take_word(std::string_view& text) {
  std::size_t size = 0;
  while (size < text.size() && is_letter(text[size])) ++size;
  const std::string_view word = text.substr(0, size);
  text.remove_prefix(size);
  return word;
}

template <std::size_t n>
const Unit* find_unit(const std::array<Unit, n>& units, std::string_view word) {
  auto found = std::find_if(units.begin(), units.end(), [&](const Unit& unit) { return unit.word == word; });
  return found == units.end() ? nullptr : &*found;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

/// What somebody who wrote `word` after a size meant: "m", "Mb", "megabytes" are all MiB here.
std::string_view size_unit_meant(std::string_view word) {
  const std::string lower = lower_case(word);
  if (lower == "b" || lower == "byte" || lower == "bytes") return "B";
  if (lower.empty()) return "MiB";
  switch (lower.front()) {
    case 'k': return "KiB";
    case 'm': return "MiB";
    case 'g': return "GiB";
    case 't': return "TiB";
    default: return "";
  }
}

std::string_view time_unit_meant(std::string_view word) {
  const std::string lower = lower_case(word);
  if (lower.empty()) return "s";
  if (lower.starts_with("ms") || lower.starts_with("mil")) return "ms";
  switch (lower.front()) {
    case 's': return "s";
    case 'm': return "m";
    case 'h': return "h";
    case 'd': return "d";
    default: return "";
  }
}

Error not_a(const char* what, std::string_view text, const std::string& meant) {
  return fail(Code::invalid, quoted_name(text) + " is not " + what + (meant.empty() ? "" : "; did you mean '" + meant + "'?"));
}

int edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: the current one and the two before, for swaps of neighbours.
  std::vector<int> two_before(b.size() + 1), before(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) before[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      current[j] = std::min({before[j] + 1, current[j - 1] + 1, before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) current[j] = std::min(current[j], two_before[j - 2] + 1);
    }
    std::swap(two_before, before);
    std::swap(before, current);
  }
  return before[b.size()];
}

}  // namespace

Result<std::int64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  std::int64_t digits = 0;
  int decimals = 0;
  if (!take_number(rest, digits, decimals)) return not_a(size_form, text, "");
  const std::string number(text.substr(0, text.size() - rest.size()));
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const std::string_view word = take_word(rest);
  if (!rest.empty()) return not_a(size_form, text, "");
  const Unit* unit = find_unit(size_units, word);
  if (!unit) {
    const auto meant = size_unit_meant(word);
    return not_a(size_form, text, meant.empty() ? "" : number + std::string(meant));
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(digits, unit->factor, &bytes)) return fail(Code::invalid, quoted_name(text) + " is larger than any disk");
  for (int i = 0; i < decimals; ++i) bytes /= 10;
  return bytes;
}

Result<TimeMs> parse_duration(std::string_view text) {
  std::string_view rest = text;
  TimeMs total = 0;
  const Unit* last = nullptr;
  do {
    std::string_view here = rest;
    std::int64_t number = 0, part = 0;
    int decimals = 0;
    if (!take_number(rest, number, decimals) || decimals > 0) return not_a(duration_form, text, "");
    const std::string digits(here.substr(0, here.size() - rest.size()));
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    const std::string_view word = take_word(rest);
    const Unit* unit = find_unit(time_units, word);
    if (!unit || (last && unit->factor >= last->factor)) {
      const auto meant = time_unit_meant(word);
      return not_a(duration_form, text, unit || last || !rest.empty() || meant.empty() ? "" : digits + std::string(meant));
    }
    last = unit;
    if (__builtin_mul_overflow(number, unit->factor, &part) || __builtin_add_overflow(total, part, &total)) return fail(Code::invalid, quoted_name(text) + " is longer than any computer lasts");
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  } while (!rest.empty());
  return total;
}

Result<std::int64_t> parse_cpu_share(std::string_view text, std::int64_t cpus) {
  const auto bad = [&, given = std::string(text)](const std::string& why) { return fail(Code::invalid, "'" + given + "' " + why + "; expected " + cpu_share_form); };
  std::int64_t digits = 0;
  int decimals = 0;
  if (!take_number(text, digits, decimals)) return bad("is no share of CPUs");
  std::int64_t milli = digits;
  for (int i = std::max(decimals, 0); i < 3; ++i)
    if (__builtin_mul_overflow(milli, 10, &milli)) return bad("is too large");
  if (text == "%") {
    if (milli > 100'000) return bad("is more than the machine");
    milli = milli * cpus / 100;
  } else if (!text.empty()) {
    return bad("is no share of CPUs");
  }
  if (milli > cpus * 1000) return bad("is more than this machine's " + std::to_string(cpus) + " CPUs");
  if (milli < 1) return bad("is nothing; --slots 0 runs nothing");
  return milli;
}

std::string format_size(std::int64_t bytes) {
  const Unit* unit = &size_units[0];
  for (std::size_t i = 5; i < size_units.size(); ++i)
    if (bytes >= size_units[i].factor) unit = &size_units[i];
  if (unit->factor == 1) return std::to_string(bytes) + " B";
  const std::int64_t whole = bytes / unit->factor, tenth = bytes % unit->factor / (unit->factor / 10);
  return std::to_string(whole) + (tenth != 0 ? "." + std::to_string(std::min<std::int64_t>(tenth, 9)) : "") + " " + std::string(unit->word);
}

std::string format_duration(TimeMs duration_ms) {
  if (duration_ms < 0) return "-" + format_duration(duration_ms == INT64_MIN ? INT64_MAX : -duration_ms);
  std::string text;
  int parts = 0;
  for (const Unit& unit : time_units) {
    // Milliseconds after seconds or more are noise.
    if (parts == 2 || (parts > 0 && unit.factor == 1)) break;
    const TimeMs count = duration_ms / unit.factor;
    duration_ms %= unit.factor;
    if (count == 0) {
      if (parts > 0) ++parts;
      continue;
    }
    if (parts > 0) text += ' ';
    text += std::to_string(count) + std::string(unit.word);
    ++parts;
  }
  return text.empty() ? "0s" : text;
}

std::string nearest_word(std::string_view written, const std::vector<std::string>& known) {
  constexpr std::size_t longest_word = 256;  // the table is quadratic
  if (written.empty() || written.size() > longest_word) return "";
  const std::string lower = lower_case(written);
  std::string best;
  int best_distance = std::max(1, static_cast<int>(written.size()) / 3) + 1;
  for (const auto& word : known) {
    if (word.size() > longest_word) continue;
    const int distance = edit_distance(lower, lower_case(word));
    if (distance < best_distance) {
      best_distance = distance;
      best = word;
    }
  }
  return best;
}

}  // namespace tnode
