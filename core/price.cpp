#include "core/price.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "core/amount.h"

namespace tnode {
namespace {

__extension__ using Wide = __int128;  // a price times a duration

constexpr std::size_t most_tasks_measured = 10'000;
constexpr std::int64_t share_inertia = 16;  // units: how slowly the share of other tasks follows what was seen last

/// Rounded up, at most `most`.
Micro scaled(Wide amount, Wide by, Wide of, Micro most) {
  const Wide result = (amount * by + of - 1) / of;
  return result > most ? most : static_cast<Micro>(result);
}

}  // namespace

std::int64_t limit_of_work_ms(const Offer& offer) {
  const Wide work = static_cast<Wide>(offer.run_ms) * offer.batch * offer.resources.cpus;  // below 2^53 · 2^24 · 2^10
  constexpr std::int64_t most = std::int64_t{1} << 53;
  return work > most ? most : static_cast<std::int64_t>(work);
}

void WorkEstimate::ran(const TaskId& task, std::int64_t limit_ms, std::int64_t cpu_ms) {
  const std::int64_t used = std::clamp<std::int64_t>(cpu_ms, 1, std::max<std::int64_t>(1, limit_ms));
  const std::int64_t share = scaled(used, 1000, std::max<std::int64_t>(1, limit_ms), 1000);
  share_per_mille_ += (share - share_per_mille_) / share_inertia + (share > share_per_mille_ ? 1 : share < share_per_mille_ ? -1 : 0);
  share_per_mille_ = std::clamp<std::int64_t>(share_per_mille_, 1, 1000);
  if (tasks_.size() >= most_tasks_measured && !tasks_.count(task)) return;
  Mean& mean = tasks_[task];
  if (auto sum = checked_add(mean.cpu_ms, used)) mean = {mean.units + 1, *sum};
}

std::int64_t WorkEstimate::of(const TaskId& task, std::int64_t limit_ms) const {
  auto measured = tasks_.find(task);
  const std::int64_t work = measured != tasks_.end() ? measured->second.cpu_ms / measured->second.units : scaled(limit_ms, share_per_mille_, 1000, limit_ms);
  return std::clamp<std::int64_t>(work, 1, std::max<std::int64_t>(1, limit_ms));
}

Micro ask(const AskTerms& terms, const AskCase& asked) {
  const std::int64_t load = 1000 + std::clamp<std::int64_t>(asked.load_per_mille, 0, 1000) * load_premium_per_mille / 1000;
  const std::int64_t standing = 1000 + (asked.trusted ? 0 : stranger_premium_per_mille);
  // Each step is below 2^127: prices below 2^63, work and factors below 2^53 and 2^11.
  const Micro work = scaled(terms.cpu_second_micro, asked.work_ms, 1000, max_unit_price_micro);
  const Micro loaded = scaled(work, load, 1000, max_unit_price_micro);
  return std::min(max_unit_price_micro, std::max(terms.least_micro, scaled(loaded, standing, 1000, max_unit_price_micro)));
}

// --- the requester's estimate ---

Bytes encode_ask(const AskSeen& seen) {
  return std::to_string(seen.when_ms) + " " + std::to_string(seen.price_micro) + " " + std::to_string(seen.limit_ms) + " " + std::to_string(seen.cpu_second_micro);
}

bool decode_ask(std::string_view farmer, std::string_view value, AskSeen& into) {
  auto key = NodeKey::from_bytes(farmer);
  if (!key) return false;
  into.farmer = *key;
  const std::string text(value);
  const char* at = text.c_str();
  for (std::int64_t* field : {&into.when_ms, &into.price_micro, &into.limit_ms, &into.cpu_second_micro}) {
    char* end = nullptr;
    *field = std::strtoll(at, &end, 10);
    if (end == at || *field < 0) return false;
    at = end;
  }
  return *at == '\0';
}

Micro expected_ask(const AskSeen& seen, std::int64_t limit_ms) {
  if (seen.cpu_second_micro == 0 || seen.limit_ms <= 0) return seen.price_micro;
  return scaled(seen.price_micro, limit_ms, seen.limit_ms, max_unit_price_micro);
}

Cost cost_of(const Offer& offer, const std::vector<AskSeen>& seen, TimeMs now) {
  struct Ask { Micro price; std::int64_t checked; };
  std::vector<Ask> asks;
  for (const AskSeen& each : seen)
    if (const Micro price = expected_ask(each, limit_of_work_ms(offer)); now - each.when_ms <= ask_kept_ms && price <= offer.max_price_micro) asks.push_back({price, offer.adaptive ? each.checked_per_mille : 1000});
  std::sort(asks.begin(), asks.end(), [](const Ask& a, const Ask& b) { return a.price < b.price; });
  Cost cost;
  cost.asks = asks.size();
  const auto units = static_cast<Micro>(offer.units);
  // The cheapest that there are, as many as have to agree; of too few the dearest stands for those who will have to come.
  std::optional<Micro> cheapest = 0;
  const bool all_alone = offer.adaptive && !asks.empty() && asks.front().checked < 1000;
  for (std::int64_t i = 0; i < (all_alone ? 1 : offer.agree) && cheapest && !asks.empty(); ++i) cheapest = checked_add(*cheapest, asks[std::min(asks.size() - 1, static_cast<std::size_t>(i))].price);
  if (cheapest) cost.low_micro = checked_multiply(*cheapest, units);
  // A checked unit has its whole quorum.
  Wide checked = 0;
  for (const Ask& each : asks) checked += each.checked;
  const Wide replicas_per_mille = asks.empty() ? Wide{1000} * offer.agree : 1000 + checked / static_cast<Wide>(asks.size()) * (offer.agree - 1);
  const Micro median = asks.empty() ? offer.max_price_micro : asks[asks.size() / 2].price;
  const Wide likely = (static_cast<Wide>(median) * units * replicas_per_mille + 999) / 1000;
  if (likely <= std::numeric_limits<Micro>::max()) cost.likely_micro = static_cast<Micro>(likely);
  if (cost.low_micro && cost.likely_micro) cost.low_micro = std::min(*cost.low_micro, *cost.likely_micro);
  // Replicas are added one at a time until a majority agrees: no more than half of the most, and one, are ever paid.
  const std::int64_t most_paid = std::max(offer.agree, offer.max_replicas / 2 + 1);
  if (auto unit = checked_multiply(offer.max_price_micro, most_paid)) cost.high_micro = checked_multiply(*unit, units);
  return cost;
}

}  // namespace tnode
