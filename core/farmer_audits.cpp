// The farmer's part about audits: before more is promised to it than a limit, a requester's published chain is verified, and again when that
// was some time ago. A key with a line of its own is trusted by its owner's word.
#include <algorithm>

#include "core/amount.h"
#include "core/farmer.h"

namespace tnode {

bool Farmer::needs_no_audit(const NodeKey& key) const {
  if (credit_.terms().lines.count(key)) return true;
  auto audit = audits_.find(key);
  return audit != audits_.end() && audit->second.verified_ms && now_ < *audit->second.verified_ms + audit_kept_ms;
}

/// What its other offers have it promised already counts, so that many small awards are no way around the limit.
Micro Farmer::unaudited_room(const NodeKey& key, const OfferId* offer) const {
  Micro open = credit_.promised(key);
  if (offer)
    for (const auto& [id, lease] : leases_)
      if (lease.offer_id == *offer) open -= std::min(open, credit_.promised_for(id));
  return std::max<Micro>(0, options_.audit_above_micro - open);
}

/// Begins one, unless one is under way, was lately, or failed lately.
void Farmer::want_audit(const Offer& offer, bool at_once) {
  auto known = audits_.find(offer.requester);
  if (known == audits_.end() && audits_.size() >= max_audits_known) std::erase_if(audits_, [this](const auto& each) { return !each.second.under_way && now_ >= each.second.ended_ms + audit_kept_ms; });
  if (known == audits_.end() && audits_.size() >= max_audits_known) return;
  Audit& audit = audits_[offer.requester];
  if (audit.under_way) return;
  const bool lately = audit.verified_ms && now_ < *audit.verified_ms + audit_kept_ms / 2;
  const bool tried = !audit.problem.empty() && now_ < audit.ended_ms + audit_retry_ms;
  if (!at_once && (lately || tried)) return;
  audit.under_way = true;
  emit(AuditChain{offer.requester, offer.endpoint});
}

std::string Farmer::audit_problem(const NodeKey& key) const {
  const std::string limit = "above " + format_credits(options_.audit_above_micro) + " credits promised at once this farmer first verifies the requester's published chain: ";
  auto audit = audits_.find(key);
  if (audit == audits_.end() || audit->second.under_way || audit->second.problem.empty()) return limit + "that is under way";
  return limit + audit->second.problem + " (its owner may allow more: --audit-above, --line-of)";
}

/// How many units of this offer it may have at a time without an audit; begins the audit when that cuts something off.
std::int64_t Farmer::queue_by_audit(const Offer& offer, const OfferId& id, Micro price, std::int64_t queue) {
  const Micro room = unaudited_room(offer.requester, &id);
  if (price <= 0 || credit_.terms().lines.count(offer.requester) || std::min<std::int64_t>(queue, offer.units) <= room / price) return queue;
  want_audit(offer, false);
  if (needs_no_audit(offer.requester)) return queue;
  cut_short_.insert(id);
  return room / price;
}

void Farmer::on(const ChainAudited& event) {
  Audit& audit = audits_[event.key] = Audit{};
  audit.ended_ms = now_;
  audit.verified_ms = now_;
  audit.blocks = event.blocks;
  audit.unproved_micro = event.unproved_micro;
  note("audited", {{"requester", to_hex(event.key)}, {"blocks", std::to_string(event.blocks)}, {"unproved_micro", std::to_string(event.unproved_micro)}, {"bundles_fetched", std::to_string(event.bundles_fetched)}});
  say_again_to(event.key);
}

void Farmer::on(const AuditFailed& event) {
  Audit& audit = audits_[event.key];
  audit.under_way = false;
  audit.ended_ms = now_;
  // One that holds for a while yet is not lost by a net that is gone; one that was disproved is.
  if (event.disproved) audit.verified_ms.reset();
  audit.problem = event.reason;
  note("not_audited", {{"requester", to_hex(event.key)}, {"reason", event.reason}});
  say_again_to(event.key);
}

/// Those whose bids were cut short hear how it stands.
void Farmer::say_again_to(const NodeKey& key) {
  for (const OfferId& id : std::set<OfferId>(cut_short_)) {
    auto known = offers_.find(id);
    if (known != offers_.end() && known->second.offer.requester != key) continue;
    cut_short_.erase(id);
    if (known != offers_.end() && !known->second.over) bid_anew(known->second, id);
  }
}

/// Chains that could not be had are looked for again, as long as somebody waits.
void Farmer::retry_audits() {
  if (now_ < audits_retry_ms_) return;
  audits_retry_ms_ = now_ + audit_retry_ms;
  std::erase_if(cut_short_, [this](const OfferId& id) { auto known = offers_.find(id); return known == offers_.end() || known->second.over; });
  for (const OfferId& id : cut_short_) want_audit(offers_.at(id).offer, false);
}

/// Why an award that fits otherwise is not taken yet, if so.
std::optional<Refuse> Farmer::audit_refusal(const Offer& offer, const Award& award, const Block& hold) {
  const Hash about = rename_id<Hash>(award.award);
  if (credit_.terms().lines.count(offer.requester)) return std::nullopt;
  if (hold.amount > unaudited_room(offer.requester, nullptr) && !needs_no_audit(offer.requester)) {
    want_audit(offer, false);
    cut_short_.insert(award.offer);
    return Refuse{about, "not_audited", audit_problem(offer.requester)};
  }
  auto audit = audits_.find(offer.requester);
  if (audit == audits_.end() || !audit->second.verified_ms) return std::nullopt;
  // What it booked without the payer's word is no money.
  auto proved = checked_add(hold.balance, -hold.held);
  if (proved) proved = checked_add(*proved, -audit->second.unproved_micro);
  const Micro line = credit_.line_of(offer.requester);
  if (!proved || *proved < -line)
    return Refuse{about, "over_line", "of what its chain booked, " + format_credits(audit->second.unproved_micro) + " credits are claimed and not proved; without them it would stand lower than " + format_credits(line) + " below zero"};
  // A HOLD that the published chain should have: the next audit compares it with the one that is there.
  if (hold.seq < audit->second.blocks) want_audit(offer, true);
  return std::nullopt;
}

}  // namespace tnode
