// What a requester does about what it heard: leases, quorum, reveals, payment, the end. See requester.h.
#include "core/requester.h"

#include <algorithm>

#include "core/amount.h"

namespace tnode {
namespace {

/// What is counted: how a run ended is part of the answer, or one voter could put a wrong ending beside the right files.
ResultId ballot(const Vote& vote) {
  return rename_id<ResultId>(domain_hash("ballot", Bytes(vote.result.view()) + std::string(outcome_word(vote.outcome.kind)) + " " + std::to_string(vote.outcome.exit_code)));
}

}  // namespace

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
  // Whoever still works for it does so in vain.
  for (auto& unit : units_) unit.active.clear();
  for (auto& [key, peer] : peers_) peer.outstanding = 0;
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
    if (peer.caught) {
      // Votes that are in still count, and are paid; for the rest others are asked.
      if (record.votes.empty()) refuse(record.award.farmer, rename_id<Hash>(id), "lease_over", peer.refusal);
      lose_award(record, peer.refusal, 0, std::nullopt);
      continue;
    }
    if (now_ >= record.lease_until_ms && awaited(record))
      lose_award(record, record.state == AwardState::sent ? "no answer to the award" : "the lease ended", peer.up ? record.award.lease_ms : 0, record.state == AwardState::sent ? Sight::no_show : Sight::timed_out);
    else if (!peer.up && now_ >= peer.left_ms + absence_grace_ms)
      lose_award(record, "gone", 0, Sight::timed_out);
  }
}

/// A farmer that was here and did not deliver costs one lease; each further one waits four times as long (`strike_ms` the first time), but is
/// asked twice more before timeouts.queue can end the task. One that was gone (0) may come back at once.
void Requester::lose_award(AwardRecord& record, const std::string& why, TimeMs strike_ms, std::optional<Sight> sight) {
  record.lost = true;
  std::int64_t undelivered = 0;
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
    ++undelivered;
    units_[u].active.erase(record.award.farmer);
    if (!record.commits.count(u)) peer.outstanding -= 1;
    touched_.insert(u);
    reopen(u);
  }
  if (sight && undelivered > 0) witness(record.award.farmer, *sight, undelivered);
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
    // A unit that a proven farmer has alone is decided by its vote.
    auto decision = decide_quorum(votes, std::min(offer_.agree, unit.want), offer_.max_replicas);
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
    witness_votes(votes, decision.result);
    std::string names;
    for (const auto& [key, cast] : unit.votes) {
      if (ballot(cast.vote) != decision.result) continue;
      unit.accepted.farmers.push_back(key);
      unit.accepted.result = cast.vote.result;
      unit.accepted.outcome = cast.vote.outcome;
      unit.accepted.v1_hash = cast.extra.v1_hash;
      if (unit.accepted.detail.empty()) unit.accepted.detail = cast.extra.detail;
      if (unit.accepted.stderr_tail.empty()) unit.accepted.stderr_tail = cast.extra.stderr_tail;
      names += (names.empty() ? "" : ",") + to_hex(key);
    }
    Note accepted{"accepted", {{"unit", std::to_string(number)}, {"result_id", to_hex(unit.accepted.result)}, {"votes", std::to_string(unit.votes.size())},
                               {"outcome", std::string(outcome_word(unit.accepted.outcome.kind))}, {"exit_code", std::to_string(unit.accepted.outcome.exit_code)}, {"farmers", names}}};
    if (!unit.accepted.detail.empty()) accepted.fields.emplace_back("detail", unit.accepted.detail);
    if (!unit.accepted.stderr_tail.empty()) accepted.fields.emplace_back("stderr", unit.accepted.stderr_tail);
    emit(std::move(accepted));
  }
}

void Requester::ask_for_reveals() {
  // A unit's votes are shown once every replica that is out has committed and at least `want` are in.
  std::map<AwardId, std::map<UnitNumber, std::map<NodeKey, Hash>>> due;
  std::set<AwardId> first_asked;
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
      if (record.ever_asked.insert(number).second) first_asked.insert(award);
      due[award][number] = commits;
    }
  }
  for (const auto& [award, units] : due) {
    AwardRecord& record = awards_.at(award);
    if (first_asked.count(award) || record.renewals++ < max_renewals) record.lease_until_ms = std::max(record.lease_until_ms, now_ + reveal_wait_ms);
    CommitSet set{award, {}};
    for (auto it = units.begin(); it != units.end(); ++it) {
      set.units.insert(*it);
      if (set.units.size() < max_units_per_message && std::next(it) != units.end()) continue;
      emit(Send{record.award.farmer, CommitSetMessage{sign_body(*key_, commit_set_domain, encode(set))}});
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

  Pool pool;
  for (const auto& [key, peer] : peers_)
    if (usable(peer) && capacity(peer) > 0) pool.emplace_back(key, draw_weight(reputation(key), peer.bid->price_micro, offer_.max_price_micro));
  Kinds kinds;
  for (const auto& [key, peer] : peers_)
    if (usable(peer)) kinds[peer.kind].push_back(key);
  std::vector<NodeKey> undoubted;
  for (const auto& [key, peer] : peers_)
    if (usable(peer) && reputation(key).level != Level::doubtful) undoubted.push_back(key);
  std::int64_t demand = 0;
  for (UnitNumber u : hungry_) demand += units_[u].want - static_cast<std::int64_t>(units_[u].active.size() + units_[u].votes.size());
  if (pool.empty() || demand <= 0) return;
  const auto farmers = static_cast<std::int64_t>(pool.size());
  const auto share = static_cast<std::size_t>(std::clamp<std::int64_t>((demand + 2 * farmers - 1) / (2 * farmers), 1, max_units_per_award));
  // Those of doubtful record when nobody else does anything, who could.
  if (!deal(pool, share, kinds, undoubted) && !at_work()) deal(std::move(pool), share, kinds, {});
}

/// Draws the order of the bidders, weighted, and deals the hungry units out in shares, so that the last ones are spread evenly. True when any
/// was dealt.
bool Requester::deal(Pool pool, std::size_t share, const Kinds& kinds, const std::vector<NodeKey>& undoubted) {
  bool dealt = false;
  while (!pool.empty() && !hungry_.empty()) {
    std::uint64_t total = 0;
    for (const auto& [key, weight] : pool) total += weight;
    std::uint64_t ticket = draw(total);
    std::size_t chosen = 0;
    while (ticket >= pool[chosen].second) ticket -= pool[chosen++].second;
    const NodeKey farmer = pool[chosen].first;
    const Peer& peer = peers_.at(farmer);
    std::size_t room = std::min<std::size_t>(share, static_cast<std::size_t>(std::max<std::int64_t>(0, capacity(peer))));
    const bool doubted = reputation(farmer).level == Level::doubtful;
    std::vector<UnitNumber> units;
    for (UnitNumber u : hungry_) {
      if (units.size() >= room) break;
      const Unit& unit = units_[u];
      if (unit.active.count(farmer) || unit.votes.count(farmer) || !fits_kind(unit, farmer, kinds) || (doubted && others_may_take(unit, undoubted))) continue;
      units.push_back(u);
    }
    if (units.empty()) { pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(chosen)); continue; }
    make_award(farmer, std::move(units));
    dealt = true;
  }
  return dealt;
}

/// Like is paired with like, as long as there is any: what runs on different systems may differ without anybody lying.
bool Requester::fits_kind(const Unit& unit, const NodeKey& farmer, const Kinds& kinds) const {
  if (kinds.size() < 2) return true;
  const std::string& own = peers_.at(farmer).kind;
  auto enough = [this](const std::vector<NodeKey>& farmers) { return static_cast<std::int64_t>(farmers.size()) >= offer_.agree; };
  std::set<std::string> there;
  // After a restart one that did not bid yet is of no kind.
  auto count = [&](const NodeKey& key) { if (auto other = peers_.find(key); other != peers_.end()) there.insert(other->second.kind); };
  for (const auto& [key, award] : unit.active) count(key);
  for (const auto& [key, cast] : unit.votes) count(key);
  if (there.empty()) return enough(kinds.at(own)) || std::none_of(kinds.begin(), kinds.end(), [&](const auto& kind) { return enough(kind.second); });
  if (there.count(own)) return true;
  return std::none_of(kinds.begin(), kinds.end(), [&](const auto& kind) {
    return there.count(kind.first) && std::any_of(kind.second.begin(), kind.second.end(), [&](const NodeKey& other) { return !unit.active.count(other) && !unit.votes.count(other); });
  });
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
    if (offer_.adaptive && unit.active.empty() && unit.votes.empty()) unit.want = first_replicas(farmer);
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
      const auto failed = std::count_if(units_.begin(), units_.end(), [](const Unit& unit) { return !unit.accepted.outcome.good(); });
      if (failed == 0) finish(Ending::done, "");
      else finish(Ending::failed, std::to_string(failed) + " of " + counted(offer_.units, "unit") + " failed");
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
    finish(Ending::no_quorum, counted(bidders, "farmer") + " bid within timeouts.queue; quorum.agree is " + std::to_string(offer_.agree) + ", and a unit that is disputed needs one more");
  }
}

void Requester::finish(Ending ending, std::string reason) {
  if (closing_) return;
  closing_ = Finished{ending, std::move(reason)};
  const Signed close = sign_body(*key_, close_domain, encode(Close{id_}));
  for (auto& [key, peer] : peers_)
    if (peer.up) emit(Send{key, CloseMessage{close}});
}

}  // namespace tnode
