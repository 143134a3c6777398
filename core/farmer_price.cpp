// The farmer's part about prices: what it asks for, and when it says so anew. The arithmetic is core/price.h.
#include <algorithm>

#include "core/farmer.h"

namespace tnode {

/// How full the queue is: units that were taken and have not run, of those that would be.
std::int64_t Farmer::load_per_mille() const {
  std::int64_t units = 0;
  for (const auto& [id, lease] : leases_) units += std::count_if(lease.units.begin(), lease.units.end(), [](const auto& unit) { return unit.second.step == Step::waiting || unit.second.step == Step::running; });
  return std::min<std::int64_t>(1000, units * 1000 / std::max<std::int64_t>(1, options_.slots * options_.queue_per_slot));
}

Micro Farmer::ask_for(const Offer& offer) const {
  if (options_.price.cpu_second_micro == 0) return options_.price.least_micro;
  AskCase asked{work_.of(offer.task, limit_of_work_ms(offer)), load_per_mille(), true};
  const Micro of_the_trusted = ask(options_.price, asked);
  asked.trusted = credit_.trusted_room(offer.requester, now_) >= of_the_trusted;
  return asked.trusted ? of_the_trusted : ask(options_.price, asked);
}

/// What was bid holds, also while a newer bid is on its way.
bool Farmer::will_work_for(const KnownOffer& known, Micro price) const {
  const Micro least = known.bid_sent && known.declined.empty() ? std::min(known.asked_micro, known.asked_before_micro) : ask_for(known.offer);
  return price >= least;
}

/// Load, standing and what is known of a task's work change: who was bid a price that is off by more than a tenth hears the new one.
void Farmer::bid_at_new_prices() {
  if (options_.price.cpu_second_micro == 0 || now_ < reprice_ms_) return;
  reprice_ms_ = now_ + reprice_every_ms;
  for (auto& [id, known] : offers_) {
    if (known.over || !known.bid_sent || !up_.count(known.offer.requester) || (!known.declined.empty() && known.declined != "price_too_low")) continue;
    const Micro price = ask_for(known.offer), off = price > known.asked_micro ? price - known.asked_micro : known.asked_micro - price;
    if (off > known.asked_micro / 10) bid_anew(known, id);
  }
}

}  // namespace tnode
