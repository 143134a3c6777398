#include "core/reputation.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/check.h"
#include "core/half_life.h"

namespace tnode {
namespace {

__extension__ using Wide = __int128;  // a share times a thousand

constexpr std::int64_t full_weight = 1 << 20;     // of a unit seen today
constexpr std::int64_t most_units_a_day = 1 << 30;  // keeps the sums countable; nobody does more
constexpr EvidenceDay recent_days = 7;
constexpr std::int64_t enough_units = 5;          // fewer tell no trend, and make nobody known or doubtful

/// Weighted units: good ones, and all.
struct Share {
  std::int64_t good = 0, all = 0;
  void add(std::int64_t more_good, std::int64_t more_all) { good += more_good, all += more_all; }
  /// With `presumed` good ones beside; 1000 when there is nothing at all.
  std::int64_t per_mille(std::int64_t presumed = 0) const {
    const std::int64_t whole = all + presumed * full_weight;
    return whole == 0 ? 1000 : static_cast<std::int64_t>(static_cast<Wide>(good + presumed * full_weight) * 1000 / whole);
  }
};

constexpr std::int64_t presumed_units = 2;

std::int64_t bounded(std::int64_t per_mille) { return std::clamp<std::int64_t>(per_mille, 0, 1000); }

}  // namespace

void Evidence::add(Sight sight, std::int64_t units) {
  auto more = [&](std::int64_t& count) { count = std::min(most_units_a_day, count + std::min(units, most_units_a_day)); };
  switch (sight) {
    case Sight::agreed: more(agreed), more(agreed_since); return;
    case Sight::unchecked: more(unchecked); return;
    case Sight::dissented: more(dissented), agreed_since = 0; return;
    case Sight::timed_out: more(timed_out); return;
    case Sight::no_show: more(no_show); return;
  }
  check(false, "a sight that is not counted");
}

Bytes evidence_name(const NodeKey& key, EvidenceDay day) {
  Bytes name(key.view());
  for (int shift = 24; shift >= 0; shift -= 8) name += static_cast<char>(day >> shift);
  return name;
}

Bytes encode_evidence(const Evidence& e) {
  Bytes text;
  for (const std::int64_t count : {e.agreed, e.agreed_since, e.unchecked, e.dissented, e.timed_out, e.no_show}) text += (text.empty() ? "" : " ") + std::to_string(count);
  return text;
}

bool decode_evidence(std::string_view name, std::string_view value, EvidenceRow& into) {
  if (name.size() != 36) return false;
  into.key = *NodeKey::from_bytes(name.substr(0, 32));
  into.day = 0;
  for (const char c : name.substr(32)) into.day = into.day << 8 | static_cast<unsigned char>(c);
  Evidence& e = into.evidence;
  const std::string text(value);
  const char* at = text.c_str();
  for (std::int64_t* count : {&e.agreed, &e.agreed_since, &e.unchecked, &e.dissented, &e.timed_out, &e.no_show}) {
    char* end = nullptr;
    *count = std::strtoll(at, &end, 10);
    if (end == at || *count < 0 || *count > most_units_a_day) return false;
    at = end;
  }
  return *at == '\0';
}

std::string_view level_word(Level level) {
  switch (level) {
    case Level::newcomer: return "newcomer";
    case Level::known: return "known";
    case Level::proven: return "proven";
    case Level::doubtful: return "doubtful";
  }
  check(false, "a level without a word");
  return {};
}

Reputation reputation_of(const EvidenceRows& rows, TimeMs now) {
  const EvidenceDay today = evidence_day(now);
  Share success, quality, recent, before;
  std::int64_t agreed = 0, in_a_row = 0, bad = 0;
  struct Day { std::int64_t good, all, weight; };
  std::vector<Day> days;
  for (const auto& [day, e] : rows) {
    const std::int64_t weight = faded(full_weight, std::max<EvidenceDay>(0, today - day) * 86'400'000, evidence_half_life_ms);
    const std::int64_t good = e.agreed + e.unchecked, all = good + e.dissented + e.timed_out + e.no_show;
    if (all == 0) continue;
    success.add(weight * good, weight * all);
    quality.add(weight * e.agreed, weight * (e.agreed + e.dissented));
    (today - day < recent_days ? recent : before).add(weight * good, weight * all);
    agreed += weight * e.agreed;
    bad += weight * (all - good);
    in_a_row = e.dissented > 0 ? weight * e.agreed_since : in_a_row + weight * e.agreed;
    days.push_back({good, all, weight});
  }
  Reputation r;
  r.success = bounded(success.per_mille(presumed_units));
  r.quality = bounded(quality.per_mille(presumed_units));
  r.agreed = agreed / full_weight;
  r.in_a_row = in_a_row / full_weight;
  // Twice the mean distance of a day from all days together: 0 for one that is all good on one day and all bad on the next.
  const std::int64_t mean = success.per_mille();
  Share distance;
  for (const Day& day : days) distance.add(day.weight * day.all / 1000 * std::abs(day.good * 1000 / day.all - mean), day.weight * day.all);
  r.consistency = days.empty() ? 1000 : bounded(1000 - 2 * distance.per_mille());
  if (recent.all >= enough_units * full_weight && before.all >= enough_units * full_weight) r.trend = bounded(recent.per_mille()) - bounded(before.per_mille());
  const bool enough = success.all >= enough_units * full_weight;
  if (r.quality < 900 || (bad >= enough_units * full_weight && r.success < 600)) r.level = Level::doubtful;
  else if (r.in_a_row >= proven_in_a_row && r.success >= 800) r.level = Level::proven;
  else if (enough) r.level = Level::known;
  return r;
}

std::uint64_t draw_weight(const Reputation& r, Micro price, Micro max_price) {
  // A wrong answer costs more than a late one: a farmer right in two of three has a fifth of the weight.
  std::int64_t standing = 1000 * (16 + std::min<std::int64_t>(48, r.agreed));
  for (int i = 0; i < 4; ++i) standing = standing * r.quality / 1000;
  for (int i = 0; i < 2; ++i) standing = standing * r.success / 1000;
  standing = standing * (500 + r.consistency / 2) / 1000 / 1000;
  if (standing < 1) standing = 1;
  // Half of the limit counts twice as much as the limit itself.
  std::int64_t cheapness = max_price > 0 ? 16 - 8 * (price / (max_price / 100 + 1)) / 100 : 16;
  if (cheapness < 1) cheapness = 1;
  return static_cast<std::uint64_t>(standing * cheapness);
}

std::int64_t check_chance(const Reputation& r) { return r.level == Level::proven ? std::max(fewest_checks, 1000 / r.in_a_row) : 1000; }

}  // namespace tnode
