#include "core/requester.h"

#include <algorithm>

#include "core/amount.h"

namespace tnode {
namespace {

std::string units_text(const std::vector<UnitNumber>& units) {
  if (units.empty()) return "none";
  if (units.size() == 1) return std::to_string(units.front());
  return std::to_string(units.front()) + "…" + std::to_string(units.back()) + " (" + std::to_string(units.size()) + ")";
}

Bytes signature_bytes(const Signed& message) { return Bytes(reinterpret_cast<const char*>(message.signature.data()), message.signature.size()); }

/// What is counted: how a run ended is part of the answer, or one voter could put a wrong ending beside the right files.
ResultId ballot(const Vote& vote) {
  return rename_id<ResultId>(domain_hash("ballot", Bytes(vote.result.view()) + std::string(outcome_word(vote.outcome.kind)) + " " + std::to_string(vote.outcome.exit_code)));
}

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
    if (record.state == AwardState::sent) record.lease_until_ms = now_ + accept_wait_ms;
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
    void operator()(const CancelMessage&) {}
    void operator()(const AskCertificateMessage&) {}
    void operator()(const CertificateAtMessage&) {}
  };
  std::visit(Visitor{*this, event.from}, event.message);
}

void Requester::on_bid(const NodeKey& from, const Bid& bid) {
  if (bid.offer != id_ || assembled_) return;
  Peer& peer = peers_[from];
  peer.answered = true;
  if (bid.price_micro < 0 || bid.price_micro > offer_.max_price_micro)
    return refuse(from, rename_id<Hash>(id_), "price_too_high", "the limit is " + std::to_string(offer_.max_price_micro) + " micro-credits a unit");
  if (bid.slots < 1 || bid.queue < 1) return refuse(from, rename_id<Hash>(id_), "bad_bid", "slots and queue are at least 1");
  bool fresh = !peer.bid.has_value();
  peer.bid = bid;
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
  // Kept for the certificate, also across runs: the offer, then what tells this reveal from others.
  emit(Save{"reveal", Bytes(id_.view()) + Bytes(sha256(message.reveal.body).view()), Bytes(from.view()) + signature_bytes(message.reveal) + message.reveal.body});
  for (const auto& [number, vote] : reveal->units) {
    auto committed = record->commits.find(number);
    if (committed == record->commits.end() || committed->second != commitment(offer_.task, number, reveal->award, from, vote)) {
      refuse(from, rename_id<Hash>(reveal->award), "not_committed", "unit " + std::to_string(number));
      continue;
    }
    if (record->votes.count(number)) continue;
    Unit& unit = units_[number];
    record->votes[number] = vote;
    peers_[from].strikes = 0;
    auto extra = message.beside.extras.find(number);
    unit.active.erase(from);
    unit.votes[from] = {vote, reveal->award, message.reveal, extra == message.beside.extras.end() ? Extra{} : extra->second};
    touched_.insert(number);
  }
}

// The block itself is checked and kept by whoever carries the ledger; here it only ends the wait.
void Requester::on_credit(const NodeKey& from, const Credit& credit) {
  if (award_of(from, credit.award)) uncredited_.erase(credit.award);
}

void Requester::on_refuse(const NodeKey& from, const Refuse& refuse_message) {
  Peer& peer = peers_[from];
  if (refuse_message.about == rename_id<Hash>(id_)) {
    peer.answered = true;
    peer.bid.reset();
    peer.refusal = refuse_message.reason + (refuse_message.detail.empty() ? "" : ": " + refuse_message.detail);
    note("refused", {{"farmer", to_hex(from)}, {"reason", refuse_message.reason}, {"detail", refuse_message.detail}});
    return;
  }
  AwardRecord* record = award_of(from, rename_id<AwardId>(refuse_message.about));
  if (!record || record->lost || record->state == AwardState::settled) return;
  peer.refusal = refuse_message.reason + (refuse_message.detail.empty() ? "" : ": " + refuse_message.detail);
  lose_award(*record, peer.refusal, lost_pause_ms);
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
    hungry_.insert(u);
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

void Requester::on(const CancelTask&) { finish(Ending::cancelled, "cancelled"); }

// --- what to do about it ---

void Requester::decide() {
  if (!closing_) {
    end_leases();
    decide_units();
    ask_for_reveals();
    fetch_results();
    settle_awards();
    lease_units();
    touched_.clear();
    finish_if_over();
  }
  if (closing_) close();
}

/// Every award is settled before the end: what was accepted and is here is paid, the rest is given back.
void Requester::close() {
  settle_awards();
  if (!unsettled_.empty()) return;
  finished_ = true;
  emit(Finished{closing_->ending, closing_->reason});
}

/// Whether the next word on this award is its farmer's (or the ledger's). A farmer that committed to all its units waits for us, and
/// loses nothing because others are slow.
bool Requester::awaited(const AwardRecord& record) const {
  if (record.state == AwardState::holding || record.state == AwardState::settling) return true;
  if (record.lost || record.state == AwardState::settled) return false;
  return std::any_of(record.award.units.begin(), record.award.units.end(),
                     [&](UnitNumber u) { return lacks_vote(record, u) && (!record.commits.count(u) || record.asked.count(u)); });
}

/// A unit that was decided before a crash needs no more votes; those who agreed are on its record.
bool Requester::lacks_vote(const AwardRecord& record, UnitNumber unit) const { return units_[unit].state == UnitState::open && !record.votes.count(unit); }

bool Requester::has_all_votes(const AwardRecord& record) const {
  return std::none_of(record.award.units.begin(), record.award.units.end(), [&](UnitNumber u) { return lacks_vote(record, u); });
}

/// Whether anything is under way that can change what we wait for.
bool Requester::at_work() const {
  return !unfetched_.empty() || std::any_of(unsettled_.begin(), unsettled_.end(), [this](const AwardId& id) { return awaited(awards_.at(id)); });
}

void Requester::end_leases() {
  for (const AwardId& id : std::vector<AwardId>(unsettled_.begin(), unsettled_.end())) {
    AwardRecord& record = awards_.at(id);
    if (record.lost || (record.state != AwardState::sent && record.state != AwardState::accepted)) continue;
    if (has_all_votes(record)) continue;
    const Peer& peer = peers_[record.award.farmer];
    if (now_ >= record.lease_until_ms && awaited(record))
      lose_award(record, record.state == AwardState::sent ? "no answer to the award" : "the lease ended", peer.up ? record.award.lease_ms : 0);
    else if (!peer.up && now_ >= peer.left_ms + absence_grace_ms)
      lose_award(record, "gone", 0);
  }
}

/// A farmer that was here and did not deliver costs one lease; each further one waits four times as long (`strike_ms` the first time), but is
/// asked twice more before timeouts.queue can end the task. One that was gone (0) may come back at once.
void Requester::lose_award(AwardRecord& record, const std::string& why, TimeMs strike_ms) {
  record.lost = true;
  Peer& peer = peers_[record.award.farmer];
  TimeMs pause = std::max(strike_ms, lost_pause_ms);
  if (strike_ms > 0 && now_ >= peer.paused_until_ms) {  // several leases lost to one silence are one strike
    for (int i = 0; i < peer.strikes && pause < max_pause_ms; ++i) pause *= 4;
    if (++peer.strikes <= 2) pause = std::min(pause, queue_ms_ / 2);
  }
  peer.paused_until_ms = std::max(peer.paused_until_ms, now_ + std::min(pause, max_pause_ms));
  if (!record.votes.empty()) {
    // The votes that are in still count, so the award is not settled yet; its farmer, and we after a crash, must know that the rest is over.
    save_award(record);
    refuse(record.award.farmer, rename_id<Hash>(record.award.award), "lease_over", why);
  }
  for (UnitNumber u : record.award.units) {
    if (!lacks_vote(record, u)) continue;
    units_[u].active.erase(record.award.farmer);
    if (!record.commits.count(u)) peer.outstanding -= 1;
    touched_.insert(u);
    hungry_.insert(u);
  }
  count(record.award.farmer, [](Reputation& r) { ++r.lost; });
  note("lost", {{"farmer", to_hex(record.award.farmer)}, {"units", units_text(record.award.units)}, {"reason", why}});
}

void Requester::decide_units() {
  for (UnitNumber number : touched_) {
    Unit& unit = units_[number];
    if (unit.state != UnitState::open) continue;
    std::map<NodeKey, ResultId> votes;
    for (const auto& [key, cast] : unit.votes) votes[key] = ballot(cast.vote);
    // While a committed replica has not shown its vote, nothing is decided without it: it could change the majority.
    if (!unit.active.empty()) continue;
    auto decision = decide_quorum(votes, offer_.agree, offer_.max_replicas);
    if (decision.state == QuorumState::undecided) {
      auto votes_in = static_cast<std::int64_t>(votes.size());
      if (votes_in >= unit.want) {
        unit.want = votes_in + 1;
        note("escalate", {{"unit", std::to_string(number)}, {"replicas", std::to_string(unit.want)}});
      }
      if (votes_in < unit.want) hungry_.insert(number);
      continue;
    }
    hungry_.erase(number);
    --open_units_;
    if (decision.state == QuorumState::disputed) {
      unit.state = UnitState::disputed;
      --unfetched_count_;
      note("disputed", {{"unit", std::to_string(number)}, {"votes", std::to_string(votes.size())}});
      continue;
    }
    unit.state = UnitState::accepted;
    Bytes certificate;
    std::string names;
    for (const auto& [key, cast] : unit.votes) {
      bool agreed = ballot(cast.vote) == decision.result;
      count(key, agreed ? +[](Reputation& r) { ++r.agreed; ++r.in_a_row; } : +[](Reputation& r) { ++r.dissented; r.in_a_row = 0; });
      if (!agreed) continue;
      unit.accepted.farmers.push_back(key);
      unit.accepted.result = cast.vote.result;
      unit.accepted.outcome = cast.vote.outcome;
      unit.accepted.v1_hash = cast.extra.v1_hash;
      if (unit.accepted.detail.empty()) unit.accepted.detail = cast.extra.detail;
      if (unit.accepted.stderr_tail.empty()) unit.accepted.stderr_tail = cast.extra.stderr_tail;
      names += (names.empty() ? "" : ",") + to_hex(key);
    }
    note("accepted", {{"unit", std::to_string(number)}, {"result_id", to_hex(unit.accepted.result)}, {"votes", std::to_string(unit.votes.size())},
                      {"outcome", std::string(outcome_word(unit.accepted.outcome.kind))}, {"exit_code", std::to_string(unit.accepted.outcome.exit_code)}, {"farmers", names}});
  }
}

void Requester::ask_for_reveals() {
  // A unit's votes are shown once every replica that is out has committed and at least `want` are in.
  std::map<AwardId, std::map<UnitNumber, std::map<NodeKey, Hash>>> due;
  for (UnitNumber number : touched_) {
    const Unit& unit = units_[number];
    if (unit.state != UnitState::open || unit.active.empty()) continue;
    if (static_cast<std::int64_t>(unit.active.size() + unit.votes.size()) < unit.want) continue;
    std::map<NodeKey, Hash> commits;
    bool all = true;
    for (const auto& [key, award] : unit.active) {
      const auto& record = awards_.at(award);
      auto commit = record.commits.find(number);
      if (commit == record.commits.end()) { all = false; break; }
      commits[key] = commit->second;
    }
    if (!all) continue;
    for (const auto& [key, cast] : unit.votes) commits[key] = awards_.at(cast.award).commits.at(number);
    for (const auto& [key, award] : unit.active) {
      auto& record = awards_.at(award);
      if (!record.asked.insert(number).second) continue;
      record.lease_until_ms = std::max(record.lease_until_ms, now_ + reveal_wait_ms);
      due[award][number] = commits;
    }
  }
  for (const auto& [award, units] : due) {
    CommitSet set{award, {}};
    for (auto it = units.begin(); it != units.end(); ++it) {
      set.units.insert(*it);
      if (set.units.size() < max_units_per_message && std::next(it) != units.end()) continue;
      emit(Send{awards_.at(award).award.farmer, CommitSetMessage{sign_body(*key_, commit_set_domain, encode(set))}});
      set.units.clear();
    }
  }
}

void Requester::fetch_results() {
  auto fetch = [this](UnitNumber number, Unit& unit) {
    FetchResult effect{number, unit.accepted.result, unit.accepted.outcome, unit.accepted.v1_hash, unit.accepted.farmers, false, {}};
    for (const auto& [key, cast] : unit.votes) {
      if (cast.vote.result != unit.accepted.result || !cast.extra.inlined || unit.fetch_failures > 0) continue;
      effect.inlined = true;
      effect.inline_files = cast.extra.files;
      break;
    }
    unit.fetching = true;
    emit(std::move(effect));
  };
  for (UnitNumber number : touched_) {
    Unit& unit = units_[number];
    if (unit.state == UnitState::accepted && !unit.fetched && !unit.fetching && unit.fetch_failures == 0) fetch(number, unit), unfetched_[number] = &unit;
  }
  for (auto it = unfetched_.begin(); it != unfetched_.end();) {
    Unit& unit = *it->second;
    if (unit.fetched) { it = unfetched_.erase(it); continue; }
    if (!unit.fetching && now_ >= unit.fetch_again_ms) fetch(it->first, unit);
    ++it;
  }
}

void Requester::settle_awards() {
  for (const AwardId& id : std::vector<AwardId>(unsettled_.begin(), unsettled_.end())) {
    AwardRecord& record = awards_.at(id);
    if (record.state == AwardState::holding || record.state == AwardState::settling) continue;
    if (!closing_ && !record.lost && !has_all_votes(record)) continue;
    std::map<UnitNumber, UnitVerdict> verdict;
    std::int64_t agreed = 0;
    bool decided = true;
    for (UnitNumber number : record.award.units) {
      auto vote = record.votes.find(number);
      const Unit& unit = units_[number];
      // Paid once the data is here: votes without data are worth nothing to the requester.
      const bool open = unit.state == UnitState::open || (unit.state == UnitState::accepted && !unit.fetched);
      if (vote == record.votes.end() || (open && closing_)) { verdict[number] = UnitVerdict::dropped; continue; }
      if (open) { decided = false; break; }
      if (unit.state == UnitState::disputed) { verdict[number] = UnitVerdict::disputed; continue; }
      bool same = vote->second.result == unit.accepted.result && vote->second.outcome == unit.accepted.outcome;
      verdict[number] = same ? UnitVerdict::accepted : UnitVerdict::dissented;
      agreed += same;
    }
    if (!decided) continue;
    record.verdict = std::move(verdict);
    record.state = AwardState::settling;
    Hash evidence = domain_hash("verdict-evidence", encode(Verdict{id, record.verdict, {}}));
    auto amount = checked_multiply(agreed, record.award.price_micro);
    check(amount.has_value(), "the award's HOLD bounds its payment");
    if (agreed > 0) emit(WriteDebit{id, record.ref, evidence, *amount});
    else emit(WriteRelease{id, record.ref, evidence});
  }
}

bool Requester::usable(const Peer& peer) const { return peer.up && peer.bid && now_ >= std::max(peer.paused_until_ms, peer.too_dear_until_ms); }

std::int64_t Requester::capacity(const Peer& peer) const { return std::min(peer.bid->queue, peer.window) - peer.outstanding; }

bool Requester::may_lease_now() const {
  if (first_lease_done_) return true;
  std::int64_t bidders = 0, silent = 0;
  for (const auto& [key, peer] : peers_) {
    if (usable(peer)) ++bidders;
    else if (peer.up && !peer.answered) ++silent;
  }
  if (bidders < offer_.agree) return false;
  return silent == 0 || now_ >= enough_bids_ms_ + bid_window_ms;
}

void Requester::lease_units() {
  if (assembling_ || assembled_) return;
  std::int64_t bidders = 0;
  for (const auto& [key, peer] : peers_) bidders += usable(peer);
  if (bidders >= offer_.agree && enough_bids_ms_ == 0) enough_bids_ms_ = now_;
  if (hungry_.empty() || !may_lease_now()) return;

  // Draw the order of the bidders, weighted; then deal the hungry units out in shares, so that the last ones are spread evenly.
  std::vector<std::pair<NodeKey, std::uint64_t>> pool;
  for (const auto& [key, peer] : peers_)
    if (usable(peer) && capacity(peer) > 0) pool.emplace_back(key, draw_weight(reputations_[key], peer.bid->price_micro, offer_.max_price_micro));
  std::int64_t demand = 0;
  for (UnitNumber u : hungry_) demand += units_[u].want - static_cast<std::int64_t>(units_[u].active.size() + units_[u].votes.size());
  if (pool.empty() || demand <= 0) return;
  const auto farmers = static_cast<std::int64_t>(pool.size());
  const auto share = static_cast<std::size_t>(std::clamp<std::int64_t>((demand + 2 * farmers - 1) / (2 * farmers), 1, max_units_per_award));
  while (!pool.empty() && !hungry_.empty()) {
    std::uint64_t total = 0;
    for (const auto& [key, weight] : pool) total += weight;
    std::uint64_t ticket = draw(total);
    std::size_t chosen = 0;
    while (ticket >= pool[chosen].second) ticket -= pool[chosen++].second;
    const NodeKey farmer = pool[chosen].first;
    const Peer& peer = peers_.at(farmer);
    std::size_t room = std::min<std::size_t>(share, static_cast<std::size_t>(std::max<std::int64_t>(0, capacity(peer))));
    std::vector<UnitNumber> units;
    for (UnitNumber u : hungry_) {
      if (units.size() >= room) break;
      const Unit& unit = units_[u];
      if (unit.active.count(farmer) || unit.votes.count(farmer)) continue;
      units.push_back(u);
    }
    if (units.empty()) { pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(chosen)); continue; }
    make_award(farmer, std::move(units));
  }
}

void Requester::make_award(const NodeKey& farmer, std::vector<UnitNumber> units) {
  Peer& peer = peers_.at(farmer);
  Bytes drawn(reinterpret_cast<const char*>(draw_seed_.data()), draw_seed_.size());
  drawn += id_.view();
  drawn += "award" + std::to_string(now_) + "." + std::to_string(award_counter_++);
  AwardRecord record;
  record.award = Award{id_, rename_id<AwardId>(sha256(drawn)), offer_.task, farmer, std::move(units), peer.bid->price_micro, 0, {}};
  Award& award = record.award;
  const auto count_units = static_cast<std::int64_t>(award.units.size());
  const std::int64_t rounds = (count_units + peer.outstanding + peer.bid->slots - 1) / peer.bid->slots;
  award.lease_ms = std::min(total_ms_, fetch_allowance_ms + rounds * offer_.batch * offer_.run_ms);
  record.ref = award_ref(offer_.task, award.units, award.award);
  auto amount = checked_multiply(award.price_micro, count_units);
  check(amount.has_value(), "prices are bounded by the offer's limit");
  for (UnitNumber u : award.units) {
    Unit& unit = units_[u];
    unit.active[farmer] = award.award;
    if (static_cast<std::int64_t>(unit.active.size() + unit.votes.size()) >= unit.want) hungry_.erase(u);
  }
  peer.outstanding += count_units;
  first_lease_done_ = true;
  unsettled_.insert(award.award);
  emit(WriteHold{award.award, farmer, record.ref, rename_id<Hash>(id_), *amount, now_ + award.lease_ms + total_ms_});
  awards_.emplace(award.award, std::move(record));
}

std::uint64_t Requester::draw(std::uint64_t bound) {
  Bytes input(reinterpret_cast<const char*>(draw_seed_.data()), draw_seed_.size());
  input += std::to_string(draws_++);
  Hash hash = sha256(input);
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | hash.bytes[static_cast<std::size_t>(i)];
  return value % bound;
}

void Requester::finish_if_over() {
  const bool over = open_units_ == 0 && unfetched_count_ == 0;
  if (assembled_) {
    bool mirrored = !mirrors_.empty();
    bool anyone_up = std::any_of(peers_.begin(), peers_.end(), [](const auto& p) { return p.second.up && p.second.bid; });
    if (unsettled_.empty() && ((uncredited_.empty() && mirrored) || !anyone_up || now_ >= linger_until_ms_)) {
      for (const auto& unit : units_)
        if (!unit.accepted.outcome.good())
          return finish(Ending::failed, "");
      finish(Ending::done, "");
    }
    return;
  }
  if (over && unsettled_.empty()) {
    bool disputed = std::any_of(units_.begin(), units_.end(), [](const Unit& u) { return u.state == UnitState::disputed; });
    if (disputed) return finish(Ending::no_quorum, "farmers did not agree; nobody was paid for the disputed units");
    if (!assembling_) {
      assembling_ = true;
      emit(AssembleResult{});
    }
    return;
  }
  if (now_ >= started_ms_ + total_ms_) return finish(Ending::timeout, "timeouts.total ended");
  // Stalled: units wait for a farmer and none is at work, though some may wait for the votes of others.
  const bool stalled = !hungry_.empty() && !at_work();
  if (stalled && credit_refused_ms_ == now_) return finish(Ending::no_credit, credit_problem_);
  if (!stalled) stalled_since_ms_ = 0;
  else if (stalled_since_ms_ == 0) stalled_since_ms_ = now_;
  else if (now_ >= stalled_since_ms_ + queue_ms_) {
    std::int64_t bidders = 0;
    for (const auto& [key, peer] : peers_) bidders += peer.up && peer.bid;
    if (bidders == 0) return finish(Ending::no_bids, "no farmer bid within timeouts.queue");
    finish(Ending::no_quorum, std::to_string(bidders) + " farmer(s) bid within timeouts.queue; quorum.agree is " + std::to_string(offer_.agree) + ", and a unit that is disputed needs one more");
  }
}

void Requester::finish(Ending ending, std::string reason) {
  if (closing_) return;
  closing_ = Finished{ending, std::move(reason)};
  if (ending == Ending::done || ending == Ending::failed) return;
  for (auto& [key, peer] : peers_)
    if (peer.up && peer.bid) emit(Send{key, CancelMessage{Cancel{id_}}});
}

// --- small things ---

Requester::AwardRecord* Requester::award_of(const NodeKey& from, const AwardId& id) {
  auto it = awards_.find(id);
  return it == awards_.end() || it->second.award.farmer != from ? nullptr : &it->second;
}

void Requester::refuse(const NodeKey& to, const Hash& about, std::string reason, std::string detail) {
  emit(Send{to, RefuseMessage{Refuse{about, std::move(reason), std::move(detail)}}});
}

void Requester::count(const NodeKey& farmer, void (*change)(Reputation&)) {
  Reputation& r = reputations_[farmer];
  change(r);
  emit(Save{"reputation", Bytes(farmer.view()), std::to_string(r.agreed) + " " + std::to_string(r.in_a_row) + " " + std::to_string(r.dissented) + " " + std::to_string(r.lost)});
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

std::vector<std::pair<NodeKey, std::string>> Requester::explain(TimeMs now) const {
  std::vector<std::pair<NodeKey, std::string>> lines;
  for (const auto& [key, peer] : peers_) {
    std::string why;
    if (!peer.up) why = "gone";
    else if (!peer.refusal.empty()) why = "refused: " + peer.refusal;
    else if (!peer.bid) why = "has not answered the offer";
    else if (now < peer.paused_until_ms) why = "paused after a lost lease";
    else why = "works on " + std::to_string(peer.outstanding) + " unit(s)";
    lines.emplace_back(key, why);
  }
  return lines;
}

}  // namespace tnode
