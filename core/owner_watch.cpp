#include "core/owner_watch.h"

namespace tnode {

std::optional<std::string> OwnerWatch::step(const OwnerSample& sample) {
  if (at_work(sample)) {
    quiet_since_ms_.reset();
    const bool typed = sample.input_age_ms && *sample.input_age_ms < input_rest_ms;
    resting_ = typed ? "somebody types at this machine" : "others use " + std::to_string(sample.others_permille / 10) + " % of this machine's CPUs";
    return resting_;
  }
  if (!resting_) return resting_;
  if (!quiet(sample)) quiet_since_ms_.reset();
  else if (!quiet_since_ms_) quiet_since_ms_ = sample.now;
  if (quiet_since_ms_ && sample.now >= *quiet_since_ms_ + quiet_before_work_ms) resting_.reset();
  return resting_;
}

bool OwnerWatch::at_work(const OwnerSample& sample) {
  loud_samples_ = sample.others_permille >= busy_permille ? loud_samples_ + 1 : 0;
  return loud_samples_ >= busy_samples || (sample.input_age_ms && *sample.input_age_ms < input_rest_ms);
}

/// Pressure is only asked for here, while our own work rests: then all of it is others'.
bool OwnerWatch::quiet(const OwnerSample& sample) const {
  return sample.others_permille < quiet_permille && sample.pressure_permille.value_or(0) < quiet_pressure_permille;
}

}  // namespace tnode
