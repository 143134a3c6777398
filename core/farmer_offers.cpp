// What a farmer knows of offers: heard, answered, passed on, and how many at most. See farmer.h.
#include <algorithm>

#include "core/amount.h"
#include "core/farmer.h"

namespace tnode {

void Farmer::on_offer(const NodeKey& from, const Signed& message) {
  OfferId id = offer_id(message.body);
  auto it = offers_.find(id);
  if (it != offers_.end()) {
    if (it->second.closed) emit(Send{from, CloseMessage{*it->second.closed}});  // it has not heard yet
    else if (from == it->second.offer.requester && !it->second.over) bid_anew(it->second, id);
    return;
  }
  auto offer = decode_offer(message.body);
  if (!offer) return refuse(from, rename_id<Hash>(id), "bad_message", offer.error().message);
  if (offer->requester == options_.key->key()) return;
  if (now_ >= offer->expires_ms) return refuse(from, rename_id<Hash>(id), "expired", "by this node's clock the offer is over");
  if (!verify_body(offer->requester, offer_domain, message)) return refuse(from, rename_id<Hash>(id), "bad_signature", "offer");
  if (!room_for(*offer, from)) return refuse(from, rename_id<Hash>(id), "busy", "too many offers are known here");
  KnownOffer& known = offers_[id];
  known.offer = *offer;
  known.message = message;
  known.heard_ms = now_;
  for (const NodeKey& peer : up_)
    if (peer != from && peer != offer->requester) emit(Send{peer, OfferMessage{message}});
  note("offer", {{"task", to_hex(offer->task)}, {"name", offer->name}, {"requester", to_hex(offer->requester)}, {"units", std::to_string(offer->units)},
                 {"max_price_micro", std::to_string(offer->max_price_micro)}});
  answer(known, id);
}

/// What we heard: a node that meets only us still learns of it. First of requesters that are here, for anyone can say that others offer.
void Farmer::pass_on_offers(const NodeKey& to) {
  std::size_t left = max_offers_passed_on;
  for (bool present : {true, false})
    for (const auto& [id, known] : offers_) {
      const NodeKey& requester = known.offer.requester;
      if (known.over || now_ >= known.offer.expires_ms || requester == to || (up_.count(requester) != 0) != present) continue;
      if (left-- == 0) return;
      emit(Send{to, OfferMessage{known.message}});
    }
}

/// A stranger's flood of offers does not keep out who is here: an offer takes the place of one that is over, and one that comes from its own
/// requester that of hearsay.
bool Farmer::room_for(const Offer& offer, const NodeKey& from) {
  const auto of_it = std::count_if(offers_.begin(), offers_.end(), [&](const auto& entry) { return !entry.second.closed && entry.second.offer.requester == offer.requester; });
  if (static_cast<std::size_t>(of_it) >= max_offers_of_one) return false;
  if (offers_.size() < max_offers_known) return true;
  auto least = std::find_if(offers_.begin(), offers_.end(), [](const auto& entry) { return entry.second.closed.has_value(); });
  if (least == offers_.end() && from == offer.requester)
    least = std::find_if(offers_.begin(), offers_.end(), [&](const auto& entry) { return !up_.count(entry.second.offer.requester); });
  if (least == offers_.end()) return false;
  offers_.erase(least);
  less_in_sight_ = true;
  return true;
}

std::string Farmer::why_decline(const Offer& offer) const {
  if (leaving_) return "leaving";
  if (caught_.count(offer.requester)) return "caught";
  if (paused()) return "paused";
  if (options_.slots < 1) return "no_slots";
  if (options_.accept == FarmerOptions::AcceptFrom::watched && !watched_.count(offer.task)) return "not_watched";
  if (options_.accept == FarmerOptions::AcceptFrom::listed && !options_.listed.count(offer.requester) && !watched_.count(offer.task)) return "not_listed";
  const Micro price = ask_for(offer);
  if (offer.max_price_micro < price) return "price_too_low";
  if (offer.runtime != "host") {
    auto id = runtime_id(offer.runtime);
    if (!options_.runtimes || !id) return "no_runtime";
    auto known = runtimes_.find(*id);
    if (known != runtimes_.end() && known->second.state == RuntimeState::lost) return "no_runtime";
  }
  if (options_.cpus > 0 && offer.resources.cpus > options_.cpus) return "too_many_cpus";
  if (slots_for(offer.resources) < 1) return "too_much_memory";
  if (options_.disk_bytes > 0 && offer.resources.disk_bytes > options_.disk_bytes) return "too_much_disk";
  // Work for nothing needs no credit.
  if (price > 0 && credit_.room(offer.requester, now_) < price) return "owed_too_much";
  return {};
}

void Farmer::answer(KnownOffer& known, const OfferId& id) {
  known.declined = why_decline(known.offer);
  if (known.declined == "owed_too_much") owing_.insert(id);
  else owing_.erase(id);
  const NodeKey& requester = known.offer.requester;
  if (!up_.count(requester)) {
    if (known.declined.empty()) emit(Meet{known.offer.task, known.offer.v1_hash, known.offer.endpoint});
    return;
  }
  if (known.bid_sent) return;
  known.bid_sent = true;
  if (!known.declined.empty()) {
    note("declined", {{"task", to_hex(known.offer.task)}, {"reason", known.declined}});
    return refuse(requester, rename_id<Hash>(id), known.declined, problem_of(known.offer, known.declined));
  }
  // A lease begins to run with the award: the runtime, which may be large, is here before the bid.
  if (!runtime_ready(known.offer)) return refuse(requester, rename_id<Hash>(id), "preparing_runtime", "it bids as soon as the runtime is there");
  const std::int64_t slots = slots_for(known.offer.resources);
  Bid bid{id, ask_for(known.offer), slots, slots * options_.queue_per_slot, options_.limit_mode, options_.platform, options_.price.cpu_second_micro};
  known.asked_before_micro = known.asked_micro == 0 ? bid.price_micro : known.asked_micro;
  known.asked_micro = bid.price_micro;
  // No more units at a time than it may owe us for.
  if (bid.price_micro > 0) bid.queue = std::clamp<std::int64_t>(credit_.room(requester, now_) / bid.price_micro, 1, bid.queue);
  bid.queue = queue_by_audit(known.offer, id, bid.price_micro, bid.queue);
  if (bid.queue < 1) {
    known.declined = "not_audited";
    return refuse(requester, rename_id<Hash>(id), known.declined, audit_problem(requester));
  }
  emit(Send{requester, BidMessage{bid}});
  note("bid", {{"task", to_hex(known.offer.task)}, {"price_micro", std::to_string(bid.price_micro)}});
}

/// What we said to this offer is no longer true.
void Farmer::bid_anew(KnownOffer& known, const OfferId& id) {
  known.bid_sent = false;
  answer(known, id);
}

void Farmer::on(const KeyCaught& event) {
  caught_.insert(event.key);
  // Its HOLDs are worth what its word is: what is not done is not done for it. What was done may be paid yet, and what it owes is taken.
  std::vector<AwardId> unfinished;
  for (const auto& [id, lease] : leases_)
    if (lease.offer.requester == event.key && !all_ran(lease)) unfinished.push_back(id);
  for (const AwardId& id : unfinished) {
    refuse(event.key, rename_id<Hash>(id), "caught", "");
    drop_lease(id, "its requester is refused: it " + event.rule);
  }
  // Bids that are out are taken back.
  for (auto& [id, known] : offers_)
    if (known.offer.requester == event.key && !known.over) bid_anew(known, id);
}

void Farmer::on(const TaskWatched& event) {
  watched_.insert(event.task);
  for (auto& [id, known] : offers_)
    if (known.offer.task == event.task && !known.over) bid_anew(known, id);
}

void Farmer::on_close(const NodeKey& from, const Signed& message) {
  auto close = decode_close(message.body);
  if (!close) return;
  auto it = offers_.find(close->offer);
  if (it == offers_.end() || it->second.closed || !verify_body(it->second.offer.requester, close_domain, message)) return;
  KnownOffer& known = it->second;
  known.over = less_in_sight_ = true;
  known.closed = message;
  // It goes wherever the offer went.
  for (const NodeKey& peer : up_)
    if (peer != from && peer != known.offer.requester) emit(Send{peer, CloseMessage{message}});
  note("closed", {{"task", to_hex(known.offer.task)}});
  std::vector<AwardId> over;
  for (const auto& [award, lease] : leases_)
    if (lease.offer_id == it->first) over.push_back(award);
  for (const AwardId& award : over) drop_lease(award, "the requester closed the offer");
}

std::size_t Farmer::open_offers() const {
  return static_cast<std::size_t>(std::count_if(offers_.begin(), offers_.end(), [this](const auto& entry) {
    const KnownOffer& known = entry.second;
    return !known.over && known.declined.empty() && (up_.count(known.offer.requester) || now_ < known.heard_ms + meet_wait_ms);
  }));
}

}  // namespace tnode
