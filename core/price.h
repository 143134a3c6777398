// What a unit is worth to a farmer, and what a task may cost its requester: integers, checked, pure. docs/credit.md explains both.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/messages.h"
#include "core/types.h"

namespace tnode {

// --- the farmer's ask ---

/// CPU time that a unit may use at most: all its indices to the end of their time, on all CPUs that they ask for. Stops at what can be counted.
std::int64_t limit_of_work_ms(const Offer& offer);

/// How much of that units really use: of a task that was run here what it used, else the share that others used.
class WorkEstimate {
 public:
  void ran(const TaskId& task, std::int64_t limit_ms, std::int64_t cpu_ms);
  /// At least 1, at most the limit.
  std::int64_t of(const TaskId& task, std::int64_t limit_ms) const;

 private:
  struct Mean { std::int64_t units = 0, cpu_ms = 0; };
  std::map<TaskId, Mean> tasks_;
  std::int64_t share_per_mille_ = 100;  // of the limit: limits are generous
};

struct AskTerms {
  Micro least_micro = 0;       ///< for a unit, however small
  Micro cpu_second_micro = 0;  ///< base price of a CPU-second; 0: every unit costs `least_micro`
};
struct AskCase {
  std::int64_t work_ms = 0;       ///< estimated CPU time of the unit
  std::int64_t load_per_mille = 0;  ///< how full this farmer's queue is
  bool trusted = false;           ///< the requester leans on work that was done or on its line, not on the strangers' pool
};
/// max(least, base × work × (1 + load / 2), a quarter more for strangers), rounded up; at most the dearest price that a message can carry.
Micro ask(const AskTerms& terms, const AskCase& asked);

// --- the requester's estimate ---

/// A farmer's last bid, as a requester keeps it.
struct AskSeen {
  NodeKey farmer;
  TimeMs when_ms = 0;
  Micro price_micro = 0;             ///< for a unit
  std::int64_t limit_ms = 0;         ///< limit_of_work_ms of the offer that it bid on
  Micro cpu_second_micro = 0;        ///< its base price; 0: it asks the same for every unit
  std::int64_t checked_per_mille = 1000;  ///< filled in from reputation: how often its units are checked
};
Bytes encode_ask(const AskSeen& seen);
/// False when the bytes are none.
bool decode_ask(std::string_view farmer, std::string_view value, AskSeen& into);
inline constexpr const char* asked_bucket = "asked";

/// What one of those farmers would ask for a unit with that limit: the same as for the last, or in proportion if it asks by CPU time.
Micro expected_ask(const AskSeen& seen, std::int64_t limit_ms);

struct Cost {
  std::optional<Micro> low_micro, likely_micro, high_micro;  ///< absent when it is more than can be counted
  std::size_t asks = 0;  ///< farmers whose last bids are known, recent, and within the limit
};
/// `offer` needs its terms alone. Low: the cheapest farmers known, no check, no escalation; nothing is known: 0. Likely: the median of those
/// known; nothing is known: the limit. High: the dearest course that a quorum allows, everyone at the limit.
Cost cost_of(const Offer& offer, const std::vector<AskSeen>& asks, TimeMs now);

inline constexpr TimeMs ask_kept_ms = 30LL * 86'400'000;  ///< older bids say nothing about today's
inline constexpr std::int64_t load_premium_per_mille = 500, stranger_premium_per_mille = 250;

}  // namespace tnode
