// The farmer's part about runtimes: one is made ready before a task that names it is bid on, and again when it had to make room.
#include <algorithm>

#include "core/farmer.h"

namespace tnode {

/// Asks for it, once, when it is not.
bool Farmer::runtime_ready(const Offer& offer) {
  if (offer.runtime == "host") return true;
  auto id = runtime_id(offer.runtime);
  if (!id) return false;
  Runtime& runtime = runtimes_[*id];
  if (runtime.state == RuntimeState::unknown) {
    runtime.state = RuntimeState::preparing;
    emit(PrepareRuntime{*id, offer.requester, offer.endpoint});
  }
  return runtime.state == RuntimeState::ready;
}

std::string Farmer::runtime_problem(const Offer& offer) const {
  if (!options_.runtimes) return "this farmer takes tasks with `runtime: host` only";
  auto id = runtime_id(offer.runtime);
  if (!id) return "the runtime is no magnet link of a v2 hash";
  auto known = runtimes_.find(*id);
  return known == runtimes_.end() ? "" : known->second.problem;
}

void Farmer::on(const RuntimeReady& event) {
  runtimes_[event.runtime] = {RuntimeState::ready, {}, 0};
  note("runtime_ready", {{"runtime", to_hex(event.runtime)}});
  bid_again(event.runtime);
}

void Farmer::on(const RuntimeLost& event) {
  if (event.reason.empty()) {
    runtimes_.erase(event.runtime);
    return;
  }
  runtimes_[event.runtime] = {RuntimeState::lost, event.reason, now_ + runtime_retry_ms};
  note("runtime_lost", {{"runtime", to_hex(event.runtime)}, {"reason", event.reason}});
  std::vector<AwardId> unfit;
  for (const auto& [id, lease] : leases_)
    if (lease.offer.runtime == runtime_link(event.runtime) && waits_for_task(lease)) unfit.push_back(id);
  for (const AwardId& id : unfit) {
    refuse(leases_.at(id).offer.requester, rename_id<Hash>(id), "no_runtime", event.reason);
    drop_lease(id, event.reason);
  }
  bid_again(event.runtime);
}

/// Whoever offers a task with this runtime hears how it stands now.
void Farmer::bid_again(const RuntimeId& runtime) {
  const std::string link = runtime_link(runtime);
  for (auto& [id, known] : offers_)
    if (!known.over && known.offer.runtime == link) bid_anew(known, id);
}

void Farmer::retry_runtimes() {
  std::vector<RuntimeId> again;
  for (const auto& [id, runtime] : runtimes_)
    if (runtime.state == RuntimeState::lost && now_ >= runtime.retry_ms) again.push_back(id);
  for (const RuntimeId& id : again) {
    runtimes_.erase(id);
    bid_again(id);
  }
}

bool Farmer::awaits_runtime(const Offer& offer) const {
  auto id = runtime_id(offer.runtime);
  auto known = id ? runtimes_.find(*id) : runtimes_.end();
  return known != runtimes_.end() && known->second.state == RuntimeState::preparing;
}

bool Farmer::uses(const RuntimeId& runtime) const {
  const std::string link = runtime_link(runtime);
  return std::any_of(leases_.begin(), leases_.end(), [&](const auto& lease) { return lease.second.offer.runtime == link; });
}

}  // namespace tnode
