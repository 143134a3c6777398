// When does an answer stand? Pure counting.
#pragma once
#include <map>
#include <optional>

#include "core/types.h"

namespace tnode {

enum class QuorumState { accepted, undecided, disputed };
struct QuorumDecision {
  QuorumState state = QuorumState::undecided;
  ResultId result;  ///< when accepted
};

/// Accepted: some result has `agree` votes and a strict majority of all votes shown.
/// Disputed: `max_replicas` votes are in and none has that. Otherwise undecided: lease one more.
inline QuorumDecision decide_quorum(const std::map<NodeKey, ResultId>& votes, std::int64_t agree, std::int64_t max_replicas) {
  std::map<ResultId, std::int64_t> tally;
  for (const auto& [key, result] : votes) ++tally[result];
  const auto total = static_cast<std::int64_t>(votes.size());
  for (const auto& [result, count] : tally)
    if (count >= agree && count * 2 > total) return {QuorumState::accepted, result};
  return {total >= max_replicas ? QuorumState::disputed : QuorumState::undecided, {}};
}

}  // namespace tnode
