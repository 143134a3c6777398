// What we know of a key from our own evidence. Counts only; weights are integers.
#pragma once
#include <cstdint>

#include "core/types.h"

namespace tnode {

struct Reputation {
  std::int64_t agreed = 0;      ///< units whose vote was accepted
  std::int64_t in_a_row = 0;    ///< agreed since the last dissent
  std::int64_t dissented = 0;   ///< votes against an accepted result
  std::int64_t lost = 0;        ///< leases that ended without a vote
  bool operator==(const Reputation&) const = default;
};

/// Weight in the draw among bids, 1 … 1,024: grows with agreement, shrinks fast with dissent and no-shows.
inline std::uint64_t draw_weight(const Reputation& reputation, Micro price, Micro max_price) {
  std::int64_t standing = 16 + (reputation.agreed > 48 ? 48 : reputation.agreed);
  standing /= 1 + 4 * reputation.dissented + reputation.lost;
  if (standing < 1) standing = 1;
  // Half of the limit counts twice as much as the limit itself.
  std::int64_t cheapness = max_price > 0 ? 16 - 8 * (price / (max_price / 100 + 1)) / 100 : 16;
  if (cheapness < 1) cheapness = 1;
  return static_cast<std::uint64_t>(standing * cheapness);
}

}  // namespace tnode
