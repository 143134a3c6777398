// What a requester hears: see requester.h. What it does about it is in requester_decide.cpp, what it keeps in requester_records.cpp.
#include "core/requester.h"
#include "core/runtime.h"

#include <algorithm>

#include "core/amount.h"

namespace tnode {
namespace {

Bytes signature_bytes(const Signed& message) { return Bytes(reinterpret_cast<const char*>(message.signature.data()), message.signature.size()); }

/// Key of a unit's record: offer id, then the unit's number in decimal.
Bytes unit_key(const OfferId& offer, UnitNumber unit) { return Bytes(offer.view()) + std::to_string(unit); }

}  // namespace

std::string_view ending_word(Ending ending) {
  switch (ending) {
    case Ending::done: return "done";
    case Ending::failed: return "failed";
    case Ending::no_quorum: return "no_quorum";
    case Ending::timeout: return "timeout";
    case Ending::no_bids: return "no_bids";
    case Ending::no_credit: return "no_credit";
    case Ending::cancelled: return "cancelled";
    case Ending::error: return "error";
  }
  check(false, "an ending without a word");
  return {};
}

Requester::Requester(RequesterOptions options)
    : offer_(std::move(options.offer)), key_(options.key), draw_seed_(options.draw_seed),
      queue_ms_(options.queue_ms), total_ms_(options.total_ms) {
  check(key_ != nullptr && offer_.requester == key_->key(), "an offer is signed by its requester");
  offer_message_ = sign_body(*key_, offer_domain, encode(offer_));
  id_ = offer_id(offer_message_.body);
  units_.resize(offer_.units);
  for (UnitNumber u = 0; u < offer_.units; ++u) {
    units_[u].want = offer_.agree;
    hungry_.insert(u);
  }
  open_units_ = offer_.units;
  unfetched_count_ = offer_.units;
}

std::vector<RequesterEffect> Requester::step(TimeMs now, const std::vector<RequesterEvent>& events) {
  now_ = now;
  if (started_ms_ == 0) {
    started_ms_ = offer_.created_ms != 0 ? offer_.created_ms : now;
    // Leases restored from an earlier run: their farmers get the usual grace to come back.
    for (const AwardId& id : unsettled_) {
      AwardRecord& record = awards_.at(id);
      record.lease_until_ms = now + absence_grace_ms + record.award.lease_ms;
      peers_[record.award.farmer].left_ms = now;
    }
  }
  effects_.clear();
  for (const auto& event : events) {
    if (finished_) break;
    std::visit([this](const auto& e) { on(e); }, event);
  }
  if (!finished_) decide();
  return std::move(effects_);
}

// --- what happened ---

void Requester::on(const PeerCame& event) {
  Peer& peer = peers_[event.key];
  peer.up = true;
  peer.answered = false;
  if (peer.strikes == 0) peer.paused_until_ms = 0;
  if (closing_) return;
  if (!assembled_) emit(Send{event.key, OfferMessage{offer_message_}});
  // Whatever was on its way when the channel broke is said again; the farmer treats a repeat as one.
  for (auto& [id, record] : awards_) {
    if (record.award.farmer != event.key || record.lost || record.message.body.empty()) continue;
    if (record.state == AwardState::sent && record.renewals++ < max_renewals) record.lease_until_ms = now_ + accept_wait_ms;
    if (record.state == AwardState::sent || record.state == AwardState::accepted) emit(Send{event.key, AwardMessage{record.message}});
    for (UnitNumber u : record.asked)
      if (!record.votes.count(u)) touched_.insert(u);
    for (auto it = record.asked.begin(); it != record.asked.end();)
      it = record.votes.count(*it) ? std::next(it) : record.asked.erase(it);
  }
}

void Requester::on(const PeerLeft& event) {
  Peer& peer = peers_[event.key];
  peer.up = false;
  peer.left_ms = now_;
}

void Requester::on(const MessageCame& event) {
  peers_[event.from].up = true;
  struct Visitor {
    Requester& self;
    const NodeKey& from;
    void operator()(const BidMessage& m) { self.on_bid(from, m.bid); }
    void operator()(const AcceptMessage& m) { self.on_accept(from, m.accept); }
    void operator()(const CommitMessage& m) { self.on_commit(from, m.commit); }
    void operator()(const RevealMessage& m) { self.on_reveal(from, m); }
    void operator()(const CreditMessage& m) { self.on_credit(from, m.credit); }
    void operator()(const RefuseMessage& m) { self.on_refuse(from, m.refuse); }
    void operator()(const MirroredMessage& m) {
      if (self.assembled_ && m.mirrored.result == self.whole_.result) self.mirrors_.insert(from);
    }
    // A requester hears these only from a confused peer.
    void operator()(const OfferMessage&) {}
    void operator()(const AwardMessage&) {}
    void operator()(const CommitSetMessage&) {}
    void operator()(const VerdictMessage&) {}
    void operator()(const DoneMessage&) {}
    void operator()(const CloseMessage&) {}
    void operator()(const AskCertificateMessage&) {}
    void operator()(const CertificateAtMessage&) {}
    void operator()(const PaymentMessage&) {}
    void operator()(const FraudMessage&) {}
    void operator()(const AskBlocksMessage&) {}
    void operator()(const BlocksMessage&) {}
  };
  std::visit(Visitor{*this, event.from}, event.message);
}

void Requester::on_bid(const NodeKey& from, const Bid& bid) {
  if (bid.offer != id_ || assembled_) return;
  Peer& peer = peers_[from];
  peer.answered = true;
  if (peer.caught) return refuse(from, rename_id<Hash>(id_), "caught", "");
  if (bid.price_micro < 0 || bid.price_micro > offer_.max_price_micro)
    return refuse(from, rename_id<Hash>(id_), "price_too_high", "the limit is " + std::to_string(offer_.max_price_micro) + " micro-credits a unit");
  if (bid.slots < 1 || bid.queue < 1) return refuse(from, rename_id<Hash>(id_), "bad_bid", "slots and queue are at least 1");
  bool fresh = !peer.bid.has_value();
  if (fresh || peer.bid->price_micro != bid.price_micro)
    emit(Save{asked_bucket, Bytes(from.view()), encode_ask({from, now_, bid.price_micro, limit_of_work_ms(offer_), bid.cpu_second_micro})});
  peer.bid = bid;
  peer.kind = platform_kind(offer_.runtime, bid.platform);
  peer.window = std::max(peer.window, units_per_slot * bid.slots);
  peer.refusal.clear();
  if (fresh) note("bid", {{"farmer", to_hex(from)}, {"price_micro", std::to_string(bid.price_micro)}, {"slots", std::to_string(bid.slots)},
                          {"limits", bid.limit_mode}, {"platform", bid.platform}});
}

void Requester::on_accept(const NodeKey& from, const Accept& accept) {
  AwardRecord* record = award_of(from, accept.award);
  if (!record || record->lost || record->state == AwardState::settled)
    return refuse(from, rename_id<Hash>(accept.award), "lease_over", "the award is unknown, settled, or its lease ended");
  if (record->state != AwardState::sent) return;
  record->state = AwardState::accepted;
  record->lease_until_ms = now_ + record->award.lease_ms;
}

void Requester::on_commit(const NodeKey& from, const Signed& message) {
  auto commit = decode_commit(message.body);
  if (!commit) return refuse(from, Hash{}, "bad_message", commit.error().message);
  AwardRecord* record = award_of(from, commit->award);
  if (!record || record->lost || record->message.body.empty())
    return refuse(from, rename_id<Hash>(commit->award), "lease_over", "the award is unknown or its lease ended");
  if (!verify_body(from, commit_domain, message)) return refuse(from, rename_id<Hash>(commit->award), "bad_signature", "commit");
  if (record->state == AwardState::sent) {
    record->state = AwardState::accepted;
    record->lease_until_ms = now_ + record->award.lease_ms;
  }
  const bool was_whole = record->commits.size() == record->award.units.size();
  for (const auto& [unit, hash] : commit->units) {
    if (!std::binary_search(record->award.units.begin(), record->award.units.end(), unit)) {
      refuse(from, rename_id<Hash>(commit->award), "not_leased", "unit " + std::to_string(unit));
      continue;
    }
    // The first word stands: a vote cannot be changed after it was given.
    if (record->commits.emplace(unit, hash).second && lacks_vote(*record, unit)) peers_[from].outstanding -= 1;
    touched_.insert(unit);
    // A repeated commit means that the farmer may have missed the commit set.
    if (!record->votes.count(unit)) record->asked.erase(unit);
  }
  if (!was_whole && record->commits.size() == record->award.units.size()) widen(peers_[from], now_ - record->sent_ms);
}

/// How many units a farmer holds follows its pace: enough to keep it busy over a round trip, not more than others could share.
void Requester::widen(Peer& peer, TimeMs took_ms) {
  if (!peer.bid) return;
  if (took_ms <= quick_award_ms) peer.window = std::min(peer.bid->queue, 2 * peer.window);
  else if (took_ms >= slow_award_ms) peer.window = std::max(units_per_slot * peer.bid->slots, peer.window / 2);
}

void Requester::on_reveal(const NodeKey& from, const RevealMessage& message) {
  auto reveal = decode_reveal(message.reveal.body);
  if (!reveal) return refuse(from, Hash{}, "bad_message", reveal.error().message);
  AwardRecord* record = award_of(from, reveal->award);
  if (!record || record->lost) return refuse(from, rename_id<Hash>(reveal->award), "lease_over", "the award is unknown or its lease ended");
  if (!verify_body(from, reveal_domain, message.reveal)) return refuse(from, rename_id<Hash>(reveal->award), "bad_signature", "reveal");
  bool counts = false;
  for (const auto& [number, vote] : reveal->units) {
    auto committed = record->commits.find(number);
    if (committed == record->commits.end() || committed->second != commitment(offer_.task, number, reveal->award, from, vote)) {
      refuse(from, rename_id<Hash>(reveal->award), "not_committed", "unit " + std::to_string(number));
      continue;
    }
    if (record->votes.count(number)) continue;
    counts = true;
    Unit& unit = units_[number];
    record->votes[number] = vote;
    peers_[from].strikes = 0;
    auto extra = message.beside.extras.find(number);
    unit.active.erase(from);
    unit.votes[from] = {vote, reveal->award, message.reveal, extra == message.beside.extras.end() ? Extra{} : extra->second};
    touched_.insert(number);
  }
  // Kept for the certificate, also across runs: the offer, then what tells this reveal from others. One that brings no vote is not kept, or
  // a farmer could fill the disk with them.
  if (counts)
    emit(Save{"reveal", Bytes(id_.view()) + Bytes(sha256(message.reveal.body).view()), Bytes(from.view()) + signature_bytes(message.reveal) + message.reveal.body});
}

// The block itself is checked and kept by whoever carries the ledger; here it only ends the wait.
void Requester::on_credit(const NodeKey& from, const Credit& credit) {
  if (award_of(from, credit.award)) uncredited_.erase(credit.award);
}

void Requester::on_refuse(const NodeKey& from, const Refuse& refuse_message) {
  Peer& peer = peers_[from];
  std::string why = refuse_message.reason + (refuse_message.detail.empty() ? "" : ": " + refuse_message.detail);
  if (refuse_message.about == rename_id<Hash>(id_)) {
    peer.answered = true;
    peer.bid.reset();
    if (why == peer.refusal) return;  // offers are repeated, and so are their answers
    peer.refusal = std::move(why);
    note("refused", {{"farmer", to_hex(from)}, {"reason", refuse_message.reason}, {"detail", refuse_message.detail}});
    return;
  }
  AwardRecord* record = award_of(from, rename_id<AwardId>(refuse_message.about));
  if (!record || record->lost || record->state == AwardState::settled) return;
  peer.refusal = std::move(why);
  // What it may lend us is no fault of its own.
  const bool our_credit = refuse_message.reason == "owed_too_much" || refuse_message.reason == "over_line" || refuse_message.reason == "not_audited";
  lose_award(*record, peer.refusal, lost_pause_ms, our_credit ? std::nullopt : std::optional(record->state == AwardState::sent ? Sight::no_show : Sight::timed_out));
}

void Requester::on(const BlockWritten& event) {
  auto it = awards_.find(event.award);
  check(it != awards_.end(), "a block for an award that was never made");
  AwardRecord& record = it->second;
  if (record.state == AwardState::holding) {
    record.award.hold = event.block;
    record.message = sign_body(*key_, award_domain, encode(record.award));
    record.sent_ms = now_;
    record.lease_until_ms = now_ + accept_wait_ms;
    save_award(record);
    if (record.lost || closing_) {  // it was given up while the HOLD was being written
      record.state = AwardState::accepted;
      return;
    }
    record.state = AwardState::sent;
    emit(Send{record.award.farmer, AwardMessage{record.message}});
    note("award", {{"farmer", to_hex(record.award.farmer)}, {"units", units_text(record.award.units)}, {"price_micro", std::to_string(record.award.price_micro)}});
    return;
  }
  if (record.state != AwardState::settling) return;
  record.state = AwardState::settled;
  unsettled_.erase(event.award);
  auto block = decode_block(event.block);
  check(block.ok(), "the ledger gave back a block that is none");
  Signed verdict = sign_body(*key_, verdict_domain, encode(Verdict{event.award, record.verdict, event.block}));
  if (block->type == BlockType::debit) {
    paid_micro_ += block->amount;
    paid_by_farmer_[record.award.farmer] += block->amount;
    emit(Save{"paid", Bytes(id_.view()) + Bytes(event.award.view()), Bytes(record.award.farmer.view()) + std::to_string(block->amount)});
    uncredited_.insert(event.award);
    // Kept until the CREDIT comes, also across runs: a debt that was paid is made known sooner or later.
    emit(Save{"unclaimed", Bytes(record.award.farmer.view()) + Bytes(event.award.view()), encode_message(VerdictMessage{verdict})});
  }
  emit(Erase{"award", Bytes(event.award.view())});
  emit(Send{record.award.farmer, VerdictMessage{verdict}});
  if (block->type == BlockType::debit)
    note("paid", {{"farmer", to_hex(record.award.farmer)}, {"amount_micro", std::to_string(block->amount)}, {"units", units_text(record.award.units)}});
}

void Requester::on(const KeyCaught& event) {
  Peer& peer = peers_[event.key];
  peer.caught = true;
  peer.bid.reset();
  peer.refusal = "caught: it " + event.rule;
}

void Requester::on(const BlockRefused& event) {
  auto it = awards_.find(event.award);
  check(it != awards_.end(), "a refusal for an award that was never made");
  AwardRecord& record = it->second;
  unsettled_.erase(event.award);
  if (record.state != AwardState::holding) {
    record.state = AwardState::settled;
    return finish(Ending::error, "the ledger refused a payment: " + event.reason);
  }
  const NodeKey farmer = record.award.farmer;
  for (UnitNumber u : record.award.units) {
    units_[u].active.erase(farmer);
    reopen(u);
  }
  peers_[farmer].outstanding -= static_cast<std::int64_t>(record.award.units.size());
  awards_.erase(it);
  if (event.code != Code::credit) return finish(Ending::error, event.reason);
  credit_problem_ = event.reason;
  credit_refused_ms_ = now_;
  peers_[farmer].too_dear_until_ms = now_ + credit_retry_ms;  // another's price may fit
}

void Requester::on(const ResultFetched& event) {
  if (event.unit >= units_.size()) return;
  Unit& unit = units_[event.unit];
  if (unit.state != UnitState::accepted || unit.fetched) return;
  unit.fetching = false;
  if (event.ok) {
    unit.fetched = true;
    --unfetched_count_;
    Bytes record = Bytes(unit.accepted.result.view());
    record.append(reinterpret_cast<const char*>(unit.accepted.v1_hash.data()), unit.accepted.v1_hash.size());
    record += static_cast<char>(unit.accepted.outcome.kind);
    record += static_cast<char>(unit.accepted.outcome.exit_code);
    for (const NodeKey& key : unit.accepted.farmers) record += key.view();
    emit(Save{"unit", unit_key(id_, event.unit), record});
    return;
  }
  ++unit.fetch_failures;
  unit.fetch_again_ms = now_ + refetch_ms * unit.fetch_failures;
  note("fetch_failed", {{"unit", std::to_string(event.unit)}, {"reason", event.reason}});
  if (unit.votes.size() == 1 && offer_.agree > 1 && unit.fetch_failures >= max_fetch_failures_alone) return doubt(event.unit);
  if (unit.fetch_failures >= max_fetch_failures) finish(Ending::error, "the agreed result of unit " + std::to_string(event.unit) + " could not be fetched: " + event.reason);
}

void Requester::on(const ResultAssembled& event) {
  assembling_ = false;
  // Units that contradict each other are the task's fault; a full disk is ours, and may be mended before the next run.
  if (!event.ok) return finish(event.tasks_fault ? Ending::failed : Ending::error, event.reason);
  assembled_ = true;
  whole_ = event;
  linger_until_ms_ = now_ + linger_ms;
  for (const auto& [key, peer] : peers_)
    if (peer.up && peer.bid) emit(Send{key, DoneMessage{Done{id_, event.result, event.v1_hash, event.bytes, event.certificate, event.certificate_v1}}});
}

void Requester::on(const CancelTask&) {
  if (!assembled_) finish(Ending::cancelled, "");  // a result that is here and paid is not taken back
}

}  // namespace tnode
