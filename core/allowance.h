// So many at once, and then one every so often: what a peer may cost before its messages are passed over. Pure: time is an argument.
#pragma once
#include <algorithm>

#include "core/types.h"

namespace tnode {

class Allowance {
 public:
  /// `burst` at once; each comes back after `every_ms`.
  constexpr Allowance(std::int64_t burst, TimeMs every_ms) : full_ms_(burst * every_ms), every_ms_(every_ms), left_ms_(full_ms_) {}
  /// Takes one; false when there is none.
  bool take(TimeMs now) {
    left_ms_ = refilled(now);
    then_ms_ = std::max(then_ms_, now);
    if (left_ms_ < every_ms_) return false;
    left_ms_ -= every_ms_;
    return true;
  }
  /// Nothing of it is used: it need not be remembered.
  bool untouched(TimeMs now) const { return refilled(now) == full_ms_; }

 private:
  TimeMs refilled(TimeMs now) const { return std::min(full_ms_, left_ms_ + std::max<TimeMs>(0, now - then_ms_)); }

  TimeMs full_ms_, every_ms_, left_ms_, then_ms_ = 0;
};

}  // namespace tnode
