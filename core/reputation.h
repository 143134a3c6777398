// What this node saw of a farmer, a row a day, and the figures that follow from the rows and the moment alone. Old days count for less: half
// in a month. Pure; docs/credit.md tells what the figures mean.
#pragma once
#include <cstdint>
#include <map>
#include <string_view>

#include "core/types.h"

namespace tnode {

/// What became of one unit that a farmer was given.
enum class Sight : std::uint8_t {
  agreed,      ///< accepted, and another farmer said the same
  unchecked,   ///< accepted on its word alone
  dissented,   ///< something else was accepted
  timed_out,   ///< it took the award and did not deliver
  no_show,     ///< it bid, and then never took the award
};

/// What was seen of one farmer on one day (of UTC).
struct Evidence {
  std::int64_t agreed = 0, unchecked = 0, dissented = 0, timed_out = 0, no_show = 0;
  std::int64_t agreed_since = 0;  ///< of those agreed, after the day's last dissent
  void add(Sight sight, std::int64_t units);
  bool operator==(const Evidence&) const = default;
};
using EvidenceDay = std::int64_t;  ///< days since 1970
using EvidenceRows = std::map<EvidenceDay, Evidence>;
constexpr EvidenceDay evidence_day(TimeMs now) { return now / 86'400'000; }

/// A row as it is kept: under the key and the day. Nothing when the bytes are none.
Bytes evidence_name(const NodeKey& key, EvidenceDay day);
Bytes encode_evidence(const Evidence& evidence);
struct EvidenceRow { NodeKey key; EvidenceDay day = 0; Evidence evidence; };
bool decode_evidence(std::string_view name, std::string_view value, EvidenceRow& into);
inline constexpr const char* evidence_bucket = "evidence";

enum class Level : std::uint8_t { newcomer, known, proven, doubtful };
std::string_view level_word(Level level);

/// Shares are per mille. A key that was never seen has the benefit of the doubt: two good units are presumed.
struct Reputation {
  std::int64_t success = 1000;      ///< units delivered that were accepted, of all that it was given
  std::int64_t quality = 1000;      ///< agreed, of all votes that another farmer's could be compared with
  std::int64_t consistency = 1000;  ///< how little its days differ from each other
  std::int64_t trend = 0;           ///< success of the last week less that of the time before
  std::int64_t agreed = 0;          ///< faded
  std::int64_t in_a_row = 0;        ///< agreed since the last dissent, faded
  Level level = Level::newcomer;
  bool operator==(const Reputation&) const = default;
};
Reputation reputation_of(const EvidenceRows& rows, TimeMs now);

/// Weight in the draw among bids, at least 1: grows with agreement, shrinks fast with dissent and with units that were not delivered.
std::uint64_t draw_weight(const Reputation& reputation, Micro price, Micro max_price);

/// In so many of a thousand cases the first replica of a unit that a proven farmer gets is checked by another all the same.
std::int64_t check_chance(const Reputation& reputation);

inline constexpr TimeMs evidence_half_life_ms = 30LL * 86'400'000;
inline constexpr EvidenceDay evidence_kept_days = 400;  ///< older rows weigh less than a ten-thousandth
inline constexpr std::int64_t proven_in_a_row = 10;     ///< agreed units in a row before a farmer may work unchecked
inline constexpr std::int64_t fewest_checks = 50;       ///< per mille: never fewer than 5 %

}  // namespace tnode
