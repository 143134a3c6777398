// Where a balance is heading: what is promised, what the last days earned and spent, and when the line would be reached. Pure.
#pragma once
#include <vector>

#include "core/chain.h"

namespace tnode {

struct Forecast {
  Micro free_micro = 0;             ///< may be promised now
  Micro low_micro = 0;              ///< the balance when every open hold is paid in full
  Micro high_micro = 0;             ///< when none is, and all that is owed to us is claimed
  Micro earned_micro = 0, spent_micro = 0;  ///< in the window
  TimeMs window_ms = 0;             ///< what was looked back at: less than asked for when the chain is younger
  TimeMs holds_end_ms = 0;          ///< when the last open hold may be released; 0: none is open
  std::optional<TimeMs> exhausted_ms;  ///< when nothing is free any more at this pace; absent when more is earned than spent
};

struct ForecastInput {
  Micro balance_micro = 0, held_micro = 0, line_micro = 0, unclaimed_micro = 0;
  OpenHolds holds;
  std::vector<Block> recent;        ///< own blocks, oldest first; those before the window are passed over
  TimeMs begun_ms = 0;              ///< time of the genesis block
};

Forecast forecast(const ForecastInput& input, TimeMs now, TimeMs window_ms);

}  // namespace tnode
