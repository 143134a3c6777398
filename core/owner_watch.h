// Is the machine's owner working at it? Decided from samples of what others than us do there. Pure: whoever samples brings the time.
#pragma once
#include <optional>
#include <string>

#include "core/types.h"

namespace tnode {

struct OwnerSample {
  TimeMs now = 0;
  std::int64_t others_permille = 0;             ///< CPU time of everybody else since the last sample, of all CPUs
  std::optional<std::int64_t> pressure_permille;  ///< time in which somebody waited for CPU, memory or disk; where the kernel tells
  std::optional<TimeMs> input_age_ms;           ///< since a key was pressed in a terminal; where there are any
};

class OwnerWatch {
 public:
  /// Takes a sample; why work must rest, or nothing when it may go on.
  std::optional<std::string> step(const OwnerSample& sample);

 private:
  bool at_work(const OwnerSample& sample);
  bool quiet(const OwnerSample& sample) const;
  int loud_samples_ = 0;
  std::optional<TimeMs> quiet_since_ms_;
  std::optional<std::string> resting_ = "waiting until the machine has been idle for a while";
};

// What counts as work of the owner. Between the two thresholds nothing changes, so that neither side of one flutters.
inline constexpr TimeMs owner_sample_ms = 1'000;
inline constexpr std::int64_t busy_permille = 250;     ///< others use more than this: the owner is at work
inline constexpr int busy_samples = 2;                 ///< so many samples in a row: one is a cron job
inline constexpr std::int64_t quiet_permille = 125;    ///< less than this, and nobody who waits: the machine is idle
inline constexpr std::int64_t quiet_pressure_permille = 100;
inline constexpr TimeMs input_rest_ms = 60'000;        ///< whoever pressed a key is still there for so long
inline constexpr TimeMs quiet_before_work_ms = 30'000; ///< idle for so long before work goes on

}  // namespace tnode
