// The farmer's part about who may owe it: what it hears of payments, and who is asked again when there is room. The policy itself is
// core/credit_policy.h.
#include <cstdio>

#include "core/amount.h"
#include "core/farmer.h"

namespace tnode {

void Farmer::on(const WePaid& event) {
  auto block = decode_block(event.block);
  check(block.ok() && block->type == BlockType::debit, "what we paid is our own DEBIT");
  credit_.book(*block);
  credit_changed_ = true;
}

void Farmer::on(const ChainVouches& event) {
  credit_.vouch(event.key, event.owed);
  credit_changed_ = true;
}

/// Also across runs. What was paid too much is nobody's debt.
void Farmer::keep_unpaid(const AwardId& award, const NodeKey& key, Micro amount) {
  const bool before = credit_.unpaid(award, key) > 0;
  credit_.unpaid(award, key, amount, now_);
  if (amount > 0) emit(Save{"unpaid", Bytes(award.view()), Bytes(key.view()) + std::to_string(amount) + " " + std::to_string(now_)});
  else if (before) emit(Erase{"unpaid", Bytes(award.view())});
}

void Farmer::restore_unpaid(std::string_view key, std::string_view value) {
  if (key.size() != 32 || value.size() < 33) return;
  long long amount = 0, since = 0;
  if (std::sscanf(std::string(value.substr(32)).c_str(), "%lld %lld", &amount, &since) != 2) return;
  credit_.unpaid(*AwardId::from_bytes(key), *NodeKey::from_bytes(value.substr(0, 32)), amount, since);
}

/// What the requester reads beside the word.
std::string Farmer::problem_of(const Offer& offer, const std::string& reason) const {
  if (reason == "no_runtime") return runtime_problem(offer);
  if (reason == "owed_too_much") return "a unit costs " + format_credits(options_.min_price_micro) + "; " + why(credit_.standing(offer.requester, now_));
  return {};
}

/// Those who could owe us no more hear when that is over: a debt was settled or worked off, or faded with time.
void Farmer::retry_owing() {
  if (owing_.empty() || (!credit_changed_ && now_ < owing_retry_ms_)) return;
  credit_changed_ = false;
  owing_retry_ms_ = now_ + owing_retry_every_ms;
  for (const OfferId& id : std::set<OfferId>(owing_)) {
    auto known = offers_.find(id);
    if (known == offers_.end() || known->second.over) {
      owing_.erase(id);
      continue;
    }
    if (why_decline(known->second.offer) == "owed_too_much") continue;
    bid_anew(known->second, id);
  }
}

}  // namespace tnode
