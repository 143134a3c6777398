// What a requester remembers across runs, and what it shows of itself: see requester.h.
#include "core/requester.h"

#include <algorithm>

#include "core/amount.h"

namespace tnode {

std::string counted(std::int64_t count, const std::string& word) { return std::to_string(count) + " " + word + (count == 1 ? "" : "s"); }

std::string units_text(const std::vector<UnitNumber>& units) {
  if (units.empty()) return "none";
  if (units.size() == 1) return std::to_string(units.front());
  return std::to_string(units.front()) + "…" + std::to_string(units.back()) + " (" + std::to_string(units.size()) + ")";
}

Requester::AwardRecord* Requester::award_of(const NodeKey& from, const AwardId& id) {
  auto it = awards_.find(id);
  return it == awards_.end() || it->second.award.farmer != from ? nullptr : &it->second;
}

void Requester::refuse(const NodeKey& to, const Hash& about, std::string reason, std::string detail) {
  emit(Send{to, RefuseMessage{Refuse{about, std::move(reason), std::move(detail)}}});
}

void Requester::restore_unit(std::string_view key, std::string_view value) {
  constexpr std::size_t fixed = 32 + 20 + 2;
  if (key.substr(0, 32) != id_.view() || value.size() < fixed || (value.size() - fixed) % 32 != 0) return;
  UnitNumber number = 0;
  for (char c : key.substr(32)) number = number * 10 + static_cast<UnitNumber>(c - '0');
  if (number >= units_.size() || units_[number].state != UnitState::open) return;
  Unit& unit = units_[number];
  unit.state = UnitState::accepted;
  unit.fetched = true;
  unit.accepted.result = *ResultId::from_bytes(value.substr(0, 32));
  for (std::size_t i = 0; i < 20; ++i) unit.accepted.v1_hash[i] = static_cast<std::uint8_t>(value[32 + i]);
  unit.accepted.outcome.kind = static_cast<OutcomeKind>(value[52]);
  unit.accepted.outcome.exit_code = static_cast<std::uint8_t>(value[53]);
  for (std::size_t at = fixed; at < value.size(); at += 32) unit.accepted.farmers.push_back(*NodeKey::from_bytes(value.substr(at, 32)));
  hungry_.erase(number);
  --open_units_;
  --unfetched_count_;
}

/// Body and signature of the award. One whose lease is over is not said again: its record has zeros for a signature.
void Requester::save_award(const AwardRecord& record) {
  const Signature signature = record.lost ? Signature{} : record.message.signature;
  emit(Save{"award", Bytes(record.award.award.view()), record.message.body + Bytes(reinterpret_cast<const char*>(signature.data()), signature.size())});
}

void Requester::restore_award(std::string_view value) {
  if (value.size() < 64) return;
  auto award = decode_award(value.substr(0, value.size() - 64));
  if (!award || award->offer != id_) return;
  AwardRecord record;
  record.award = *award;
  record.message.body = Bytes(value.substr(0, value.size() - 64));
  for (std::size_t i = 0; i < 64; ++i) record.message.signature[i] = static_cast<std::uint8_t>(value[value.size() - 64 + i]);
  record.state = AwardState::sent;
  record.lost = record.message.signature == Signature{};
  record.ref = award_ref(offer_.task, award->units, award->award);
  for (UnitNumber u : award->units) {
    if (u >= units_.size()) return;
    Unit& unit = units_[u];
    if (unit.state == UnitState::accepted) {
      // Decided before the crash, not paid yet: those who agreed are on record.
      const auto& agreed = unit.accepted.farmers;
      if (std::find(agreed.begin(), agreed.end(), award->farmer) != agreed.end()) {
        record.votes[u].result = unit.accepted.result;
        record.votes[u].outcome = unit.accepted.outcome;
      }
      continue;
    }
    if (record.lost) continue;
    unit.active[award->farmer] = award->award;
    ++peers_[award->farmer].outstanding;
    if (static_cast<std::int64_t>(unit.active.size()) >= unit.want) hungry_.erase(u);
  }
  unsettled_.insert(award->award);
  awards_.emplace(award->award, std::move(record));
}

void Requester::restore_paid(std::string_view key, std::string_view value) {
  if (key.substr(0, 32) != id_.view() || value.size() <= 32) return;
  Micro amount = 0;
  for (char c : value.substr(32)) amount = amount * 10 + (c - '0');
  paid_micro_ += amount;
  paid_by_farmer_[*NodeKey::from_bytes(value.substr(0, 32))] += amount;
}

TimeMs Requester::next_deadline(TimeMs now) const {
  if (finished_) return now + 3'600'000;
  TimeMs next = started_ms_ + total_ms_;
  auto sooner = [&](TimeMs at) { if (at > 0 && at < next) next = at; };
  if (assembled_) sooner(linger_until_ms_);
  if (stalled_since_ms_ != 0) sooner(stalled_since_ms_ + queue_ms_);
  if (!first_lease_done_ && enough_bids_ms_ + bid_window_ms > now) sooner(enough_bids_ms_ + bid_window_ms);
  for (const AwardId& id : unsettled_) {
    const auto& record = awards_.at(id);
    if (record.lost || has_all_votes(record)) continue;
    if (awaited(record)) sooner(record.lease_until_ms);
    auto peer = peers_.find(record.award.farmer);
    if (peer != peers_.end() && !peer->second.up) sooner(peer->second.left_ms + absence_grace_ms);
  }
  if (!hungry_.empty())
    for (const auto& [key, peer] : peers_)
      if (TimeMs until = std::max(peer.paused_until_ms, peer.too_dear_until_ms); until > now) sooner(until);
  for (const auto& [number, unit] : unfetched_)
    if (!unit->fetching) sooner(unit->fetch_again_ms);
  return std::max(next, now + 1);
}

Requester::Counts Requester::counts() const {
  Counts counts;
  counts.units = offer_.units;
  counts.paid_micro = paid_micro_;
  for (const auto& unit : units_) {
    counts.replicas += static_cast<std::int64_t>(unit.votes.size());
    switch (unit.state) {
      case UnitState::open: unit.active.empty() ? ++counts.open : ++counts.leased; break;
      case UnitState::accepted: unit.accepted.outcome.good() ? ++counts.accepted : ++counts.failed; break;
      case UnitState::disputed: ++counts.disputed; break;
    }
  }
  return counts;
}

std::map<UnitNumber, Requester::Accepted> Requester::accepted() const {
  std::map<UnitNumber, Accepted> all;
  for (UnitNumber u = 0; u < units_.size(); ++u)
    if (units_[u].state == UnitState::accepted) all[u] = units_[u].accepted;
  return all;
}

const Requester::Accepted* Requester::accepted(UnitNumber unit) const {
  return unit < units_.size() && units_[unit].state == UnitState::accepted ? &units_[unit].accepted : nullptr;
}

std::string Requester::waiting_for() const {
  if (closing_ || hungry_.empty() || at_work()) return {};
  std::int64_t met = 0, bidders = 0;
  std::string refusal;
  for (const auto& [key, peer] : peers_) {
    if (!peer.up) continue;
    ++met;
    if (peer.bid) ++bidders;
    else if (refusal.empty()) refusal = peer.refusal;
  }
  if (met == 0) return "no farmer met yet";
  if (bidders == 0) return counted(met, "node") + " met, none bids yet" + (refusal.empty() ? "" : " (" + refusal + ")");
  if (bidders < offer_.agree) return counted(bidders, "farmer") + (bidders == 1 ? " bids" : " bid") + " and quorum.agree is " + std::to_string(offer_.agree) + ": another is needed";
  const UnitNumber number = *hungry_.begin();
  const Unit& unit = units_[number];
  const bool all_voted = std::all_of(peers_.begin(), peers_.end(), [&](const auto& each) { return !each.second.up || !each.second.bid || unit.votes.count(each.first) || unit.active.count(each.first); });
  if (all_voted) return "all " + counted(bidders, "farmer") + " voted on unit " + std::to_string(number) + " and do not agree: another is needed";
  return "unit " + std::to_string(number) + " waits until a farmer may take it";
}

std::vector<std::pair<NodeKey, std::string>> Requester::explain(TimeMs now) const {
  std::vector<std::pair<NodeKey, std::string>> lines;
  for (const auto& [key, peer] : peers_) {
    std::string why;
    const auto paid = paid_by_farmer_.find(key);
    if (closing_ && paid != paid_by_farmer_.end()) why = "was paid " + format_credits(paid->second) + " credits";
    else if (!peer.up) why = "gone";
    else if (!peer.refusal.empty()) why = "refused: " + peer.refusal;
    else if (!peer.bid) why = "has not answered the offer";
    else if (closing_) why = "was paid nothing";
    else if (now < peer.paused_until_ms) why = "paused after a lost lease";
    else if (peer.outstanding > 0) why = "works on " + counted(peer.outstanding, "unit");
    else why = "has nothing to do";
    lines.emplace_back(key, why);
  }
  return lines;
}

}  // namespace tnode
