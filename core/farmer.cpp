// A farmer's awards, runs, votes and pay: see farmer.h. What it knows of offers is in farmer_offers.cpp.
#include "core/farmer.h"

#include <algorithm>

#include "core/amount.h"

namespace tnode {
namespace {

Bytes signed_bytes(const Signed& message) { return message.body + Bytes(reinterpret_cast<const char*>(message.signature.data()), message.signature.size()); }

}  // namespace

Farmer::Farmer(FarmerOptions options) : options_(std::move(options)), credit_(options_.credit) {
  check(options_.key != nullptr, "a farmer has a key");
}

std::vector<FarmerEffect> Farmer::step(TimeMs now, const std::vector<FarmerEvent>& events) {
  now_ = now;
  effects_.clear();
  for (const auto& event : events) std::visit([this](const auto& e) { on(e); }, event);
  start_units();
  end_idle();
  send_commits();
  return std::move(effects_);
}

// --- peers ---

void Farmer::on(const PeerCame& event) {
  up_.insert(event.key);
  for (auto& [id, known] : offers_)
    if (known.offer.requester == event.key && !known.over && now_ < known.offer.expires_ms) bid_anew(known, id);
  pass_on_offers(event.key);
  // Whatever the requester may have missed is said again, and means the same.
  for (auto& [id, lease] : leases_) {
    if (lease.offer.requester != event.key) continue;
    emit(Send{event.key, AcceptMessage{Accept{id}}});
    std::vector<UnitNumber> revealed;
    for (auto& [number, work] : lease.units) {
      if (work.step == Step::ran || work.step == Step::revealed) { work.commit_due = true; commits_due_.insert(id); }
      if (work.step == Step::revealed) revealed.push_back(number);
    }
    send_commits();
    reveal(lease, revealed);
  }
}

void Farmer::on(const PeerLeft& event) { up_.erase(event.key); }

void Farmer::on(const MessageCame& event) {
  struct Visitor {
    Farmer& self;
    const NodeKey& from;
    void operator()(const OfferMessage& m) { self.on_offer(from, m.offer); }
    void operator()(const AwardMessage& m) { self.on_award(from, m.award); }
    void operator()(const CommitSetMessage& m) { self.on_commit_set(from, m.commit_set); }
    void operator()(const VerdictMessage& m) { self.on_verdict(from, m.verdict); }
    void operator()(const DoneMessage& m) { self.on_done(from, m.done); }
    void operator()(const CloseMessage& m) { self.on_close(from, m.close); }
    void operator()(const RefuseMessage& m) {
      auto lease = self.leases_.find(rename_id<AwardId>(m.refuse.about));
      if (lease != self.leases_.end() && lease->second.offer.requester == from && m.refuse.reason == "lease_over")
        self.drop_lease(lease->first, "the requester says that the lease is over: " + m.refuse.detail);
      else self.note("refused_us", {{"requester", to_hex(from)}, {"reason", m.refuse.reason}, {"detail", m.refuse.detail}});
    }
    // A farmer hears these only from a confused peer.
    void operator()(const BidMessage&) {}
    void operator()(const AcceptMessage&) {}
    void operator()(const CommitMessage&) {}
    void operator()(const RevealMessage&) {}
    void operator()(const CreditMessage&) {}
    void operator()(const MirroredMessage&) {}
    void operator()(const AskCertificateMessage&) {}
    void operator()(const CertificateAtMessage&) {}
    void operator()(const PaymentMessage&) {}
    void operator()(const FraudMessage&) {}
    void operator()(const AskBlocksMessage&) {}
    void operator()(const BlocksMessage&) {}
  };
  std::visit(Visitor{*this, event.from}, event.message);
}

// --- awards ---

void Farmer::on_award(const NodeKey& from, const Signed& message) {
  auto award = decode_award(message.body);
  if (!award) return refuse(from, Hash{}, "bad_message", award.error().message);
  Hash about = rename_id<Hash>(award->award);
  auto known = offers_.find(award->offer);
  if (known == offers_.end() || known->second.offer.requester != from) return refuse(from, about, "unknown_offer", "say the offer first");
  const Offer& offer = known->second.offer;
  if (leases_.count(award->award)) { emit(Send{from, AcceptMessage{Accept{award->award}}}); return; }
  if (award->farmer != options_.key->key() || award->task != offer.task) return refuse(from, about, "not_for_us", "");
  if (!verify_body(from, award_domain, message)) return refuse(from, about, "bad_signature", "award");
  if (std::string reason = why_decline(offer); !reason.empty()) {
    refuse(from, about, reason, problem_of(offer, reason));
    return reason == "owed_too_much" ? bid_anew(known->second, award->offer) : void();
  }
  if (!runtime_ready(offer)) return refuse(from, about, "preparing_runtime", "it was here and made room for another");
  if (!will_work_for(known->second, award->price_micro)) return refuse(from, about, "price_too_low", "we ask " + format_credits(ask_for(offer)) + " for a unit");
  for (UnitNumber u : award->units)
    if (u >= offer.units) return refuse(from, about, "no_such_unit", std::to_string(u));
  for (const auto& [id, lease] : leases_)
    if (lease.offer.task == offer.task && lease.offer.requester == from)
      for (UnitNumber u : award->units)
        if (lease.units.count(u)) return refuse(from, about, "leased_already", std::to_string(u));

  if (leases_.size() >= max_leases) return refuse(from, about, "busy", "too many leases are held here");
  // The task may be here for another's offer that told the truth.
  if (auto task = tasks_.find(offer.task); task != tasks_.end() && task->second.contradicts(offer))
    return refuse(from, about, "offer_mismatch", "the offer's units, resources or runtime are not the task's");

  auto amount = checked_multiply(award->price_micro, static_cast<Micro>(award->units.size()));
  auto hold = decode_block(award->hold);
  if (!hold) return refuse(from, about, "bad_hold", hold.error().message);
  if (!amount || hold->type != BlockType::hold || hold->key != from || hold->counterparty != options_.key->key() || hold->amount != *amount ||
      hold->ref != award_ref(offer.task, award->units, award->award))
    return refuse(from, about, "bad_hold", "the HOLD does not fit the award");
  auto available = checked_add(hold->balance, -hold->held);
  if (!available || *available < -credit_.line_of(from))
    return refuse(from, about, "over_line", "we let this key's chain be at most " + format_credits(credit_.line_of(from)) + " credits below zero; with this award it would stand at " + (available ? format_credits(*available) : "less than can be counted"));
  if (*amount > credit_.room(from, now_)) {
    refuse(from, about, "owed_too_much", "the award asks for " + format_credits(*amount) + "; " + why(credit_.standing(from, now_)));
    return bid_anew(known->second, award->offer);
  }
  if (!verify_block(*hold)) return refuse(from, about, "bad_signature", "HOLD");

  if (auto refusal = audit_refusal(offer, *award, *hold)) {
    emit(Send{from, RefuseMessage{*refusal}});
    return bid_anew(known->second, award->offer);
  }

  Lease lease{offer, award->offer, *award, message, now_ + award->lease_ms, hold->expiry_ms, {}};
  for (UnitNumber u : award->units) lease.units[u] = {};
  credit_.promise(award->award, from, *amount);
  emit(KeepHold{award->award, award->task, award->hold});
  // The offer is kept with the lease: after a crash both are needed to go on.
  Bytes offer_bytes = signed_bytes(known->second.message);
  emit(Save{"lease", Bytes(award->award.view()), std::to_string(offer_bytes.size()) + ":" + offer_bytes + signed_bytes(message)});
  emit(Send{from, AcceptMessage{Accept{award->award}}});
  leases_.emplace(award->award, std::move(lease));
  known->second.leased = true;
  need_task(offer);
}

void Farmer::need_task(const Offer& offer) {
  TaskState& state = tasks_[offer.task].state;
  if (state != TaskState::unknown) return;
  state = TaskState::fetching;
  emit(FetchTask{offer.task, offer.v1_hash, offer.requester, offer.endpoint});
}

void Farmer::on(const HoldBad& event) {
  auto it = leases_.find(event.award);
  if (it == leases_.end()) return;
  refuse(it->second.offer.requester, rename_id<Hash>(event.award), "bad_hold", event.reason);
  drop_lease(event.award, event.reason);
}

void Farmer::on(const TaskReady& event) {
  const KnownTask& task = tasks_[event.task] = {TaskState::ready, unit_count(event.spec), event.spec.array.batch, event.spec.resources, event.spec.runtime};
  // An offer that says less than its task asks for is not worked on.
  std::vector<AwardId> unfit;
  for (const auto& [id, lease] : leases_)
    if (lease.offer.task == event.task && task.contradicts(lease.offer)) unfit.push_back(id);
  for (const AwardId& id : unfit) {
    refuse(leases_.at(id).offer.requester, rename_id<Hash>(id), "offer_mismatch", "the offer's units, resources or runtime are not the task's");
    drop_lease(id, "the offer does not fit its task");
  }
}

void Farmer::on(const TaskLost& event) {
  tasks_[event.task].state = TaskState::unknown;
  std::vector<AwardId> lost;
  for (const auto& [id, lease] : leases_)
    if (lease.offer.task == event.task && waits_for_task(lease)) lost.push_back(id);
  for (const AwardId& id : lost) {
    refuse(leases_.at(id).offer.requester, rename_id<Hash>(id), "task_unavailable", event.reason);
    drop_lease(id, event.reason);
  }
}

// --- votes ---

void Farmer::send_commits() {
  for (const AwardId& id : commits_due_) {
    auto it = leases_.find(id);
    if (it == leases_.end() || !up_.count(it->second.offer.requester)) continue;
    Lease& lease = it->second;
    Commit commit{id, {}};
    for (auto& [number, work] : lease.units) {
      if (!work.commit_due) continue;
      work.commit_due = false;
      commit.units[number] = commitment(lease.offer.task, number, id, options_.key->key(), work.vote);
    }
    if (!commit.units.empty())
      emit(Send{lease.offer.requester, CommitMessage{sign_body(*options_.key, commit_domain, encode(commit))}});
  }
  commits_due_.clear();
}

void Farmer::on_commit_set(const NodeKey& from, const Signed& message) {
  auto set = decode_commit_set(message.body);
  if (!set) return refuse(from, Hash{}, "bad_message", set.error().message);
  auto it = leases_.find(set->award);
  if (it == leases_.end() || it->second.offer.requester != from) return;
  if (!verify_body(from, commit_set_domain, message)) return refuse(from, rename_id<Hash>(set->award), "bad_signature", "commit set");
  Lease& lease = it->second;
  std::vector<UnitNumber> due;
  for (const auto& [number, commits] : set->units) {
    auto work = lease.units.find(number);
    if (work == lease.units.end() || (work->second.step != Step::ran && work->second.step != Step::revealed)) continue;
    // Our own commit must stand in it unchanged, among as many as the offer promised: a vote shown before the others are given could be copied.
    auto own = commits.find(options_.key->key());
    if (static_cast<std::int64_t>(commits.size()) < (lease.offer.adaptive ? 1 : lease.offer.agree) || own == commits.end() || own->second != commitment(lease.offer.task, number, set->award, options_.key->key(), work->second.vote)) {
      refuse(from, rename_id<Hash>(set->award), "commit_missing", "unit " + std::to_string(number));
      continue;
    }
    if (work->second.step == Step::ran) emit(SeedResult{work->second.vote.result});
    work->second.step = Step::revealed;
    due.push_back(number);
  }
  reveal(lease, due);
}

void Farmer::reveal(Lease& lease, const std::vector<UnitNumber>& units) {
  Reveal body{lease.award.award, {}};
  RevealWithExtras beside;
  std::size_t inline_bytes = 0;
  auto flush = [&] {
    if (body.units.empty()) return;
    emit(Send{lease.offer.requester, RevealMessage{sign_body(*options_.key, reveal_domain, encode(body)), beside}});
    body.units.clear();
    beside.extras.clear();
    inline_bytes = 0;
  };
  for (UnitNumber number : units) {
    const UnitWork& work = lease.units.at(number);
    std::size_t size = work.extra.detail.size() + work.extra.stderr_tail.size();
    for (const auto& file : work.extra.files) size += file.path.size() + file.content.size();
    if (body.units.size() >= max_units_per_message || inline_bytes + size > inline_budget_bytes) flush();
    body.units[number] = work.vote;
    beside.extras[number] = work.extra;
    inline_bytes += size;
  }
  flush();
}

// --- the end of an award ---

void Farmer::on_verdict(const NodeKey& from, const Signed& message) {
  auto verdict = decode_verdict(message.body);
  if (!verdict) return refuse(from, Hash{}, "bad_message", verdict.error().message);
  Hash about = rename_id<Hash>(verdict->award);
  if (!verify_body(from, verdict_domain, message)) return refuse(from, about, "bad_signature", "verdict");
  auto block = decode_block(verdict->block);
  if (!block) return refuse(from, about, "bad_block", block.error().message);
  auto it = leases_.find(verdict->award);
  if (block->type == BlockType::debit) {
    if (block->key != from || block->counterparty != options_.key->key() || !verify_block(*block))
      return refuse(from, about, "bad_block", "the DEBIT is not made out to us by its signer");
    // Also without a lease: it may be the repeat of one whose CREDIT was lost; the ledger books a DEBIT once.
    emit(WriteCredit{verdict->award, verdict->block});
  }
  if (it == leases_.end() || it->second.offer.requester != from) return;
  std::int64_t accepted = 0;
  for (const auto& [number, word] : verdict->units) {
    accepted += word == UnitVerdict::accepted;
    auto work = it->second.units.find(number);
    if (word != UnitVerdict::accepted && work != it->second.units.end() && work->second.step == Step::revealed && !voted_elsewhere(work->second.vote.result, verdict->award))
      emit(DropResult{work->second.vote.result});
  }
  const Micro due = it->second.award.price_micro * accepted;
  const Micro paid = block->type == BlockType::debit ? block->amount : 0;
  note(paid < due ? "underpaid" : "verdict", {{"task", to_hex(it->second.offer.task)}, {"requester", to_hex(from)}, {"units", std::to_string(verdict->units.size())},
                                              {"accepted", std::to_string(accepted)}, {"paid_micro", std::to_string(paid)}});
  drop_lease(verdict->award, "");
}

void Farmer::on(const BlockWritten& event) {
  auto block = decode_block(event.block);
  check(block.ok() && block->type == BlockType::credit, "the ledger gave back something else than our CREDIT");
  // A repeat brings the CREDIT that is there already.
  if (const NodeKey& payer = block->counterparty; credit_.book(*block) && credit_.unpaid(event.award, payer) > 0)
    keep_unpaid(event.award, payer, credit_.unpaid(event.award, payer) - block->amount);
  emit(Send{block->counterparty, CreditMessage{Credit{event.award, event.block}}});
  note("earned", {{"from", to_hex(block->counterparty)}, {"amount_micro", std::to_string(block->amount)}, {"balance_micro", std::to_string(block->balance)}});
}

void Farmer::on(const BlockRefused& event) { note("credit_refused", {{"award", to_hex(event.award)}, {"reason", event.reason}}); }

void Farmer::on_done(const NodeKey& from, const Done& done) {
  auto known = offers_.find(done.offer);
  if (known == offers_.end() || known->second.offer.requester != from) return;
  known->second.over = less_in_sight_ = true;
  // Disk is lent for one result of an offer that we worked for: a Done costs nothing to say.
  if (!known->second.leased || known->second.result.value_or(done.result) != done.result) return;
  known->second.result = done.result;
  mirror_asked_[done.result] = from;
  emit(MirrorResult{from, done.result, done.v1_hash, done.bytes, done.certificate, done.certificate_v1});
}

void Farmer::on(const ResultMirrored& event) {
  auto asked = mirror_asked_.find(event.result);
  if (asked == mirror_asked_.end()) return;
  emit(Send{asked->second, MirroredMessage{Mirrored{event.result}}});
  mirror_asked_.erase(asked);
}

void Farmer::on(const Tick&) {
  std::vector<AwardId> over;
  for (const auto& [id, lease] : leases_)
    if (now_ >= ends_ms(lease)) over.push_back(id);
  for (const AwardId& id : over) drop_lease(id, "the lease ended without a verdict");
  give_back_when_paused_too_long();
  less_in_sight_ |= std::erase_if(offers_, [&](const auto& entry) { return now_ >= entry.second.offer.expires_ms; }) > 0;
  retry_runtimes();
  retry_owing();
  retry_audits();
  bid_at_new_prices();
}

/// A requester that is here and whose units were run decides in its own time, as long as the money is put aside.
TimeMs Farmer::ends_ms(const Lease& lease) const {
  const TimeMs end = lease.until_ms + lease_slack_ms;
  return all_ran(lease) && up_.count(lease.offer.requester) ? std::max(end, lease.hold_expiry_ms) : end;
}

/// Two requesters may ask for one task: what one of them rejects, the other may still need.
bool Farmer::voted_elsewhere(const ResultId& result, const AwardId& award) const {
  return std::any_of(leases_.begin(), leases_.end(), [&](const auto& entry) {
    return entry.first != award && std::any_of(entry.second.units.begin(), entry.second.units.end(), [&](const auto& unit) {
      return (unit.second.step == Step::ran || unit.second.step == Step::revealed) && unit.second.vote.result == result;
    });
  });
}

void Farmer::drop_lease(const AwardId& id, const std::string& why) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  for (auto& [number, work] : it->second.units) {
    if (work.step == Step::running) {
      running_.erase(work.job);
      emit(StopUnit{work.job});
    }
    if (work.step != Step::waiting && work.step != Step::running) emit(Erase{"vote", vote_key(id, number)});
  }
  // Votes that were shown are work handed over; until its CREDIT is written, and for good when there is none, it is owed.
  const auto shown = std::count_if(it->second.units.begin(), it->second.units.end(), [](const auto& unit) { return unit.second.step == Step::revealed; });
  if (shown > 0) keep_unpaid(id, it->second.offer.requester, it->second.award.price_micro * shown);
  credit_.end_promise(id);
  credit_changed_ = true;
  if (!why.empty()) note("lease_dropped", {{"task", to_hex(it->second.offer.task)}, {"reason", why}});
  emit(Erase{"lease", Bytes(id.view())});
  leases_.erase(it);
  less_in_sight_ = true;
}

// --- across a restart ---

void Farmer::restore_lease(std::string_view value) {
  std::size_t colon = value.find(':');
  if (colon == std::string_view::npos) return;
  std::size_t size = 0;
  for (char c : value.substr(0, colon)) size = size * 10 + static_cast<std::size_t>(c - '0');
  std::string_view rest = value.substr(colon + 1);
  if (size < 64 || rest.size() < size + 64) return;
  auto unsign = [](std::string_view bytes) {
    Signed message{Bytes(bytes.substr(0, bytes.size() - 64)), {}};
    for (std::size_t i = 0; i < 64; ++i) message.signature[i] = static_cast<std::uint8_t>(bytes[bytes.size() - 64 + i]);
    return message;
  };
  Signed offer_message = unsign(rest.substr(0, size)), award_message = unsign(rest.substr(size));
  auto offer = decode_offer(offer_message.body);
  auto award = decode_award(award_message.body);
  if (!offer || !award) return;
  KnownOffer& known = offers_[award->offer];
  known.offer = *offer;
  known.message = offer_message;
  known.leased = true;
  Lease lease{*offer, award->offer, *award, award_message, 0, 0, {}};
  auto hold = decode_block(award->hold);
  if (!hold) return;
  lease.until_ms = hold->time_ms + award->lease_ms;
  lease.hold_expiry_ms = hold->expiry_ms;
  for (UnitNumber u : award->units) lease.units[u] = {};
  credit_.promise(award->award, offer->requester, hold->amount);
  leases_.emplace(award->award, std::move(lease));
}

void Farmer::restore_vote(std::string_view, std::string_view value) {
  auto message = decode_message(value);
  if (!message || !std::holds_alternative<RevealMessage>(*message)) return;
  const auto& record = std::get<RevealMessage>(*message);
  auto reveal_body = decode_reveal(record.reveal.body);
  if (!reveal_body) return;
  auto lease = leases_.find(reveal_body->award);
  if (lease == leases_.end()) return;
  for (const auto& [number, vote] : reveal_body->units) {
    auto work = lease->second.units.find(number);
    if (work == lease->second.units.end()) continue;
    work->second.step = Step::ran;
    work->second.vote = vote;
    auto extra = record.beside.extras.find(number);
    if (extra != record.beside.extras.end()) work->second.extra = extra->second;
  }
}

// --- small things ---

TimeMs Farmer::next_deadline(TimeMs now) const {
  TimeMs next = now + 60'000;
  for (const auto& [id, lease] : leases_) next = std::min(next, ends_ms(lease));
  if (auto due = gives_back_ms()) next = std::min(next, *due);
  for (const auto& [id, runtime] : runtimes_)
    if (runtime.state == RuntimeState::lost) next = std::min(next, runtime.retry_ms);
  if (!owing_.empty()) next = std::min(next, owing_retry_ms_);
  if (!cut_short_.empty()) next = std::min(next, audits_retry_ms_);
  if (options_.price.cpu_second_micro > 0 && open_offers() > 0) next = std::min(next, reprice_ms_);
  return std::max(next, now + 1);
}

std::string Farmer::why_idle() const {
  if (paused()) return "paused: " + pause_reason_;
  if (!leases_.empty()) return "working";
  if (up_.empty()) return "no other tnode node met yet (looking on the DHT, locally and at --peer addresses)";
  std::map<std::string, int> reasons;
  for (const auto& [id, known] : offers_)
    if (!known.over) ++reasons[!known.declined.empty() ? known.declined : !up_.count(known.offer.requester) ? "requester not reached" : awaits_runtime(known.offer) ? "its runtime is on its way" : "bid, waiting for an award"];
  if (reasons.empty()) return "met " + std::to_string(up_.size()) + " node(s), none offers a task";
  std::string text;
  for (const auto& [reason, times] : reasons) text += (text.empty() ? "" : ", ") + std::to_string(times) + " offer(s): " + reason;
  return text;
}

void Farmer::refuse(const NodeKey& to, const Hash& about, std::string reason, std::string detail) {
  emit(Send{to, RefuseMessage{Refuse{about, std::move(reason), std::move(detail)}}});
}

}  // namespace tnode
