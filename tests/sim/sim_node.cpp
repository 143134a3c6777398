#include "tests/sim/sim_node.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/addressee.h"
#include "core/chain_file.h"
#include "tests/sim/story.h"
#include "tests/sim/violation.h"
#include "tests/sim/world.h"

namespace tnode::sim {
namespace {

KeyPair key_pair(std::uint64_t seed, int number) {
  const Hash hash = sha256("node " + std::to_string(seed) + " " + std::to_string(number));
  return KeyPair::from_seed(hash.bytes);
}

/// Any number of slots would do: leases are what is tested, not scheduling.
FarmerOptions farmer_options(const KeyPair& key, const NodeTerms& terms, const std::vector<Block>& chain) {
  FarmerOptions options;
  options.key = &key;
  options.slots = terms.slots;
  options.queue_per_slot = 4;
  options.price = {terms.price_micro, terms.cpu_price_micro};
  options.memory_bytes = terms.memory_bytes;
  options.credit = CreditPolicy(terms.credit);
  options.audit_above_micro = terms.audit_above_micro;
  for (const Block& block : chain) options.credit.book(block);
  options.limit_mode = "cgroup2";
  options.platform = terms.platform;
  if (!terms.nonce_is_known) options.nonce_secret = Bytes(domain_hash("nonce-secret", Bytes(reinterpret_cast<const char*>(key.seed().data()), key.seed().size())).view());
  return options;
}

constexpr TimeMs fetch_stall_ms = 30'000;

}  // namespace

SimNode::SimNode(World& world, const NodeTerms& terms, int number) : world_(world), terms_(terms), number_(number), key_(key_pair(world.options().seed, number)) {
  if (world.options().real_store) ledger_ = std::make_unique<StoreLedger>(key_, terms.line_micro, world.now(), world.folder() + "/" + std::to_string(number) + ".db");
  else ledger_ = std::make_unique<ModelLedger>(key_, terms.line_micro, world.now(), terms.forgets_refs);
}

SimNode::~SimNode() = default;

Balance SimNode::balance() const {
  Balance balance;
  const Block& head = ledger_->chain().back();
  balance.balance_micro = head.balance;
  balance.held_micro = head.held;
  balance.blocks = head.seq + 1;
  return balance;
}

// --- life and death ---

void SimNode::start() {
  running_ = true;
  ++life_;
  world_.trace(*this, "starts");
  const auto& records = ledger_->records();
  auto each = [&](const char* bucket, const std::function<void(const Bytes&, const Bytes&)>& take) {
    for (const auto& [place, value] : records)
      if (place.first == bucket) take(place.second, value);
  };
  each("unclaimed", [&](const Bytes& name, const Bytes& frame) { unclaimed_[*NodeKey::from_bytes(name.substr(0, 32))][*AwardId::from_bytes(name.substr(32))] = frame; });
  if (terms_.farms) {
    farmer_ = std::make_unique<Farmer>(farmer_options(key_, terms_, ledger_->chain()));
    each("lease", [&](const Bytes&, const Bytes& value) { farmer_->restore_lease(value); });
    each("vote", [&](const Bytes& name, const Bytes& value) { farmer_->restore_vote(name, value); });
    each("unpaid", [&](const Bytes& name, const Bytes& value) { farmer_->restore_unpaid(name, value); });
  }
  for (auto& task : tasks_) {
    if (task->ending) continue;
    task->role = std::make_unique<Requester>(RequesterOptions{task->offer, &key_, task->draw_seed, task->terms.queue_ms, task->terms.total_ms});
    each("unit", [&](const Bytes& name, const Bytes& value) { task->role->restore_unit(name, value); });
    each("award", [&](const Bytes&, const Bytes& value) { task->role->restore_award(value); });
    each("paid", [&](const Bytes& name, const Bytes& value) { task->role->restore_paid(name, value); });
    know_evidence(*task);
    task->started = task->gone = false;
  }
  world_.node_came(*this);
  wake();
}

void SimNode::know_evidence(SimTask& task) {
  for (const auto& [place, value] : ledger_->records()) {
    EvidenceRow row;
    if (place.first != evidence_bucket) continue;
    demand(decode_evidence(place.second, value, row), "evidence is read as it was written");
    task.role->know(row);
  }
}

void SimNode::witness(const Witness& seen) {
  EvidenceRow row{seen.farmer, evidence_day(world_.now()), {}};
  const Bytes name = evidence_name(row.key, row.day);
  const auto there = ledger_->records().find({evidence_bucket, name});
  if (there != ledger_->records().end()) demand(decode_evidence(name, there->second, row), "evidence is read as it was written");
  row.evidence.add(seen.sight, seen.units);
  writing().put(evidence_bucket, name, encode_evidence(row.evidence));
  for (auto& each : tasks_) hear(*each, Witnessed{row});
}

void SimNode::crash(TimeMs down_ms) {
  if (!running_) return;
  running_ = false;
  ++life_;
  world_.trace(*this, crash_ == Crash::before_commit ? "crashes before it commits" : crash_ == Crash::after_commit ? "crashes after it committed" : "crashes");
  ledger_->crash();
  ledger_->reopen(world_.now());
  farmer_.reset();
  for (auto& task : tasks_) {
    task->role.reset();
    task->pending.clear();
    if (!ledger_->records().count({"task", Bytes(task->offer.task.view())})) task->ending.reset();
  }
  farmer_pending_.clear();
  peers_.clear();
  unclaimed_.clear();
  ready_.clear();
  jobs_.clear();
  warm_.clear();
  at_work_.clear();
  frozen_ = false;
  if (world_.random().chance(300)) runtimes_.clear();  // half unpacked
  after_commit_.clear();
  when_durable_.clear();
  farmer_started_ = transaction_ = wrote_blocks_ = awake_ = false;
  wake_at_ms_ = 0;
  hurries_ = 0;
  crash_ = Crash::none;
  world_.node_went(*this);
  if (down_ms > 0) world_.after(down_ms, [this, life = life_] { if (life_ == life) come_back(); });
}

void SimNode::later(TimeMs delay, std::function<void()> action) {
  world_.after(delay, [this, life = life_, action = std::move(action)] {
    if (life_ == life) action();
  });
}

// --- what it hears ---

void SimNode::hear(FarmerEvent event) {
  farmer_pending_.push_back(std::move(event));
  wake();
}

void SimNode::hear(SimTask& task, RequesterEvent event) {
  if (!task.role || task.gone) return;
  task.pending.push_back(std::move(event));
  wake();
}

void SimNode::peer_came(const NodeKey& key) {
  peers_.insert(key);
  if (world_.options().trace) world_.trace(*this, "meets " + std::to_string(world_.node(key)->number()));
  if (farmer_) hear(PeerCame{key});
  for (auto& task : tasks_) hear(*task, PeerCame{key});
  if (auto debts = unclaimed_.find(key); debts != unclaimed_.end())
    for (const auto& [award, frame] : debts->second) after_commit_.push_back([this, key, frame = frame] { world_.send(*this, key, frame); });
  wake();
}

void SimNode::peer_left(const NodeKey& key) {
  peers_.erase(key);
  if (world_.options().trace) world_.trace(*this, "loses " + std::to_string(world_.node(key)->number()));
  if (farmer_) hear(PeerLeft{key});
  for (auto& task : tasks_) hear(*task, PeerLeft{key});
}

void SimNode::frame_came(const NodeKey& from, const Bytes& frame) {
  auto message = decode_message(frame);
  demand(message.ok(), "a node understands what a node says: " + (message ? "" : message.error().message));
  wake();
  route(from, *message);
}

void SimNode::route(const NodeKey& from, const Message& message) {
  const Addressee to = addressee_of(message);
  if (auto* credit = std::get_if<CreditMessage>(&message)) take_credit(from, credit->credit);
  if (to.award) {
    for (auto& task : tasks_)
      if (task->role && !task->gone && task->role->owns(*to.award)) return hear(*task, MessageCame{from, message});
    return carry(Send{from, RefuseMessage{Refuse{rename_id<Hash>(*to.award), "lease_over", "no such award is open here"}}}, false);
  }
  if (to.every_requester)
    for (auto& task : tasks_) hear(*task, MessageCame{from, message});
  if (!to.farmer || !farmer_) return;
  if (terms_.behaviour == Behaviour::refuser)
    if (auto* award = std::get_if<AwardMessage>(&message)) {
      auto body = decode_award(award->award.body);
      return carry(Send{from, RefuseMessage{Refuse{rename_id<Hash>(body->award), "busy", "changed my mind"}}}, false);
    }
  hear(MessageCame{from, message});
}

void SimNode::take_credit(const NodeKey& from, const Credit& credit) {
  auto block = decode_block(credit.block);
  demand(block.ok() && block->type == BlockType::credit && block->key == from && block->counterparty == key() && verify_block(*block), "a CREDIT is its sender's, on a DEBIT of ours");
  auto kept = writing().keep_foreign(*block);
  demand(kept.ok(), "an honest CREDIT is kept: " + (kept ? "" : kept.error().message));
  if (auto debts = unclaimed_.find(from); debts != unclaimed_.end()) debts->second.erase(credit.award);
  carry(Erase{"unclaimed", Bytes(from.view()) + Bytes(credit.award.view())});
}

// --- a turn ---

void SimNode::wake() {
  if (awake_ || !running_) return;
  awake_ = true;
  later(world_.random().between(0, 1), [this] { turn(); });
}

void SimNode::turn() {
  awake_ = false;
  for (bool again = true; again;) {
    again = farmer_ && step_farmer();
    for (auto& task : tasks_) again = step_task(*task) || again;
  }
  const Faults& faults = world_.faults();
  if (world_.random().chance(faults.crash_before_commit)) crash_ = Crash::before_commit;
  else if (world_.random().chance(faults.crash_after_commit)) crash_ = Crash::after_commit;
  const TimeMs down = faults.crash_before_commit || faults.crash_after_commit ? world_.random().between(1, faults.max_down_ms) : 0;
  if (crash_ == Crash::before_commit) return crash(down);
  if (transaction_) ledger_->commit();
  transaction_ = false;
  for (auto& each : std::exchange(when_durable_, {})) each();
  if (wrote_blocks_) world_.laws().money();
  wrote_blocks_ = false;
  auto due = std::move(after_commit_);
  after_commit_.clear();
  std::size_t leaving = due.size();
  if (crash_ == Crash::after_commit && leaving > 0) leaving = static_cast<std::size_t>(world_.random().between(0, static_cast<std::int64_t>(leaving) - 1));
  for (std::size_t i = 0; i < leaving; ++i) due[i]();
  if (crash_ == Crash::after_commit) return crash(down);
  schedule_next();
}

void SimNode::schedule_next() {
  TimeMs next = world_.now() + 60'000;
  if (farmer_) next = std::min(next, farmer_->next_deadline(world_.now()));
  for (auto& task : tasks_)
    if (task->role && !task->gone) next = std::min(next, task->role->next_deadline(world_.now()));
  // A deadline that is always now would burn a processor while nothing happens.
  hurries_ = next <= world_.now() + 1 ? hurries_ + 1 : 0;
  demand(hurries_ < 50, "a role asks to be woken at once, again and again");
  if (wake_at_ms_ > world_.now() && wake_at_ms_ <= next) return;
  wake_at_ms_ = next;
  later(next - world_.now(), [this, next] { if (wake_at_ms_ == next) turn(); });
}

SimLedger& SimNode::writing() {
  if (!transaction_) ledger_->begin();
  transaction_ = true;
  return *ledger_;
}

bool SimNode::step_farmer() {
  if (farmer_started_ && farmer_pending_.empty() && world_.now() < farmer_due_ms_) return false;
  farmer_started_ = true;
  auto events = std::move(farmer_pending_);
  farmer_pending_.clear();
  events.push_back(Tick{});
  for (const auto& effect : farmer_->step(world_.now(), events)) carry(effect);
  farmer_due_ms_ = farmer_->next_deadline(world_.now());
  return !farmer_pending_.empty();
}

bool SimNode::step_task(SimTask& task) {
  if (!task.role || task.gone || (task.started && task.pending.empty() && world_.now() < task.due_ms)) return false;
  task.started = true;
  auto events = std::move(task.pending);
  task.pending.clear();
  for (const auto& effect : task.role->step(world_.now(), events)) carry(task, effect);
  task.due_ms = task.role->next_deadline(world_.now());
  return !task.pending.empty();
}

// --- effects ---

void SimNode::carry(const Send& effect, bool as_farmer) {
  auto message = as_farmer ? as_it_behaves(effect.message) : std::optional(effect.message);
  if (!message) return;
  auto leave = [this, to = effect.to, message = *message] {
    ++sent_[message.index()];
    if (world_.options().trace) world_.trace(*this, "-> " + std::to_string(world_.node(to)->number()) + " " + story_of(message));
    world_.laws().message_leaves(*this, to, message);
    world_.send(*this, to, encode_message(message));
  };
  if (terms_.skips_sync) leave();
  else after_commit_.push_back(leave);
}

void SimNode::carry(const Save& effect) {
  if (effect.bucket == "unclaimed") unclaimed_[*NodeKey::from_bytes(effect.key.substr(0, 32))][*AwardId::from_bytes(effect.key.substr(32))] = effect.value;
  writing().put(effect.bucket, effect.key, effect.value);
}

void SimNode::tell(const Note& note) {
  notes_.push_back(note);
  if (world_.options().trace) world_.trace(*this, story_of(note));
}

void SimNode::carry(const Erase& effect) {
  if (effect.bucket == "lease") when_durable_.push_back([this, award = effect.key] { world_.laws().lease_over(award); });
  writing().erase(effect.bucket, effect.key);
}

void SimNode::carry(const FarmerEffect& effect) {
  if (watch_farmer && crash_ == Crash::none) crash_ = watch_farmer(effect);
  if (auto* send = std::get_if<Send>(&effect)) return carry(*send, true);
  if (auto* save = std::get_if<Save>(&effect)) {
    if (terms_.reveals_early && save->bucket == "vote") reveal_early(save->value);
    return carry(*save);
  }
  if (auto* erase = std::get_if<Erase>(&effect)) return carry(*erase);
  if (auto* note = std::get_if<Note>(&effect)) return tell(*note);
  if (auto* run = std::get_if<RunUnit>(&effect)) return run_unit(*run);
  if (auto* stop = std::get_if<StopUnit>(&effect)) {
    // The report of a job that had ended already may still come.
    if (world_.random().chance(800)) jobs_.erase(stop->job);
    return;
  }
  if (auto* end = std::get_if<EndIdle>(&effect)) {
    warm_.erase(end->task);
    return;
  }
  if (std::holds_alternative<FreezeUnits>(effect)) return freeze();
  if (std::holds_alternative<ThawUnits>(effect)) return thaw();
  if (auto* seed = std::get_if<SeedResult>(&effect)) {
    if (terms_.behaviour != Behaviour::withholder && disk_.count(seed->result)) seeded_.insert(seed->result);
    return;
  }
  if (auto* drop = std::get_if<DropResult>(&effect)) {
    seeded_.erase(drop->result);
    return;
  }
  if (auto* fetch = std::get_if<FetchTask>(&effect)) {
    if (ready_.count(fetch->task)) return hear(TaskReady{fetch->task, task_of(world_, fetch->task)->spec});
    const bool lost = world_.random().chance(world_.faults().failed_fetch);
    return later(world_.random().between(1, lost ? 5'000 : 300), [this, task = fetch->task, lost] {
      if (lost) return hear(TaskLost{task, "nobody has it"});
      ready_.insert(task);
      hear(TaskReady{task, task_of(world_, task)->spec});
    });
  }
  if (auto* runtime = std::get_if<PrepareRuntime>(&effect)) return prepare(*runtime);
  if (auto* audit = std::get_if<AuditChain>(&effect)) return audit_chain(*audit);
  if (auto* keep = std::get_if<KeepHold>(&effect)) {
    auto kept = writing().keep_foreign(*decode_block(keep->block));
    if (!kept) hear(HoldBad{keep->award, kept.error().message});
    return;
  }
  if (auto* write = std::get_if<WriteCredit>(&effect)) {
    auto credit = writing().credit_award(*decode_block(write->debit), world_.now());
    wrote_blocks_ = true;
    if (credit) hear(BlockWritten{write->award, encode_block(*credit)});
    else hear(BlockRefused{write->award, credit.error().code, credit.error().message});
    return;
  }
  if (auto* mirror = std::get_if<MirrorResult>(&effect)) return later(world_.random().between(1, 300), [this, result = mirror->result] { hear(ResultMirrored{result}); });
  if (auto* meet = std::get_if<Meet>(&effect)) {
    // The endpoint of an offer leads to its requester.
    SimTask* task = task_of(world_, meet->task);
    later(world_.random().between(1, 200), [this, requester = task->offer.requester] { world_.acquaint(*this, *world_.node(requester)); });
  }
}

/// Whoever publishes has its whole chain published, at once.
void SimNode::audit_chain(const AuditChain& effect) {
  later(world_.random().between(100, 2'000), [this, key = effect.key] {
    const SimNode& other = *world_.node(key);
    if (!other.terms_.publishes) return hear(AuditFailed{key, "no head is published for it"});
    hear(ChainAudited{key, other.ledger_->chain().size(), other.terms_.unproved_micro, 1});
  });
}

void SimNode::prepare(const PrepareRuntime& effect) {
  if (runtimes_.count(effect.runtime)) return hear(RuntimeReady{effect.runtime});
  const bool lost = world_.random().chance(world_.faults().failed_fetch);
  later(world_.random().between(1, 2'000), [this, runtime = effect.runtime, lost] {
    if (lost) return hear(RuntimeLost{runtime, "nobody has it"});
    runtimes_.insert(runtime);
    hear(RuntimeReady{runtime});
    if (world_.random().chance(world_.faults().failed_fetch)) later(world_.random().between(1, 60'000), [this] { let_runtimes_go(); });
  });
}

void SimNode::let_runtimes_go() {
  if (!farmer_) return;
  std::erase_if(runtimes_, [this](const RuntimeId& id) {
    if (farmer_->uses(id)) return false;
    hear(RuntimeLost{id, {}});
    return true;
  });
}

void SimNode::run_unit(const RunUnit& effect) {
  const SimTask& task = *task_of(world_, effect.task);
  if (task.terms.own_runtime && !runtimes_.count(the_runtime())) throw Violation("a unit runs without its runtime");
  const RunOfUnit right = truth(task, effect.unit);
  UnitRan ran;
  ran.job = effect.job;
  ran.ran = true;
  ran.result = right.result;
  ran.outcome = right.outcome;
  const bool lies = terms_.behaviour == Behaviour::liar || terms_.behaviour == Behaviour::colluder || (terms_.behaviour == Behaviour::sometimes_liar && effect.unit % 3 == 0);
  if (lies) ran.result = rename_id<ResultId>(sha256("wrong " + to_hex(effect.task) + std::to_string(effect.unit) + (terms_.behaviour == Behaviour::colluder ? "" : to_hex(key()))));
  if (terms_.behaviour == Behaviour::mislabeller) ran.outcome.exit_code ^= 1;
  world_.bundles[ran.result] = right.outcome;
  const TimeMs longest = effect.run_ms * task.terms.batch;
  const TimeMs takes = terms_.behaviour == Behaviour::slow ? world_.random().between(longest / 2, longest) : world_.random().between(1, longest / 4 + 1);
  ran.usage = {takes, takes, 1 << 20};
  ran.extra.inlined = !task.terms.large && terms_.behaviour != Behaviour::withholder;
  if (ran.extra.inlined) ran.extra.files = {{"out/x", false, terms_.behaviour == Behaviour::bad_inline ? "rubbish" : to_hex(ran.result)}};
  if (ran.outcome.exit_code != 0) ran.extra.stderr_tail = "it failed";
  if (world_.random().chance(world_.faults().failed_fetch / 4)) {
    ran.ran = false;
    ran.problem = "no sandbox today";
  }
  jobs_.insert(effect.job);
  warm_.insert(effect.task);
  if (frozen_) throw Violation("a unit is started on a machine that is paused");
  after_commit_.push_back([this, ran, takes] { work_on(ran, takes); });
}

void SimNode::work_on(const UnitRan& ran, TimeMs left_ms) {
  at_work_[ran.job] = {ran, frozen_ ? left_ms : world_.now() + left_ms};
  if (frozen_) return;
  later(left_ms, [this, job = ran.job, freezes = freezes_] {
    if (freezes != freezes_) return;
    auto [id, work] = *at_work_.find(job);
    at_work_.erase(id);
    if (!jobs_.erase(id)) return;
    disk_.insert(work.first.result);
    hear(work.first);
  });
}

void SimNode::freeze() {
  frozen_ = true;
  ++freezes_;
  for (auto& [job, work] : at_work_) work.second -= world_.now();
}

void SimNode::thaw() {
  frozen_ = false;
  for (auto& [job, work] : std::exchange(at_work_, {})) work_on(work.first, work.second);
}

void SimNode::audit(const SimNode& other) {
  ChainReport report;
  report.own = other.ledger().chain();
  for (const auto& node : world_.nodes())
    for (const Block& block : node->ledger().chain())
      if (block.type == BlockType::credit && block.counterparty == other.key()) report.others.push_back(block);
  if (running_ && farmer_) hear(ChainVouches{other.key(), owed_by(report)});
}

void SimNode::pause() {
  if (running_ && terms_.farms) hear(PauseWork{"the owner is here"});
}

void SimNode::resume() {
  if (running_ && terms_.farms) hear(ResumeWork{});
}

void SimNode::carry(SimTask& task, const RequesterEffect& effect) {
  if (watch_requester && crash_ == Crash::none) crash_ = watch_requester(effect);
  if (auto* send = std::get_if<Send>(&effect)) return carry(*send, false);
  if (auto* save = std::get_if<Save>(&effect)) return carry(*save);
  if (auto* erase = std::get_if<Erase>(&effect)) return carry(*erase);
  if (auto* note = std::get_if<Note>(&effect)) {
    tell(*note);
    return world_.laws().note(*this, task, *note);
  }
  if (auto* hold = std::get_if<WriteHold>(&effect)) return written(task, hold->award, writing().hold(hold->payee, hold->ref, hold->evidence, hold->amount, hold->expiry_ms, world_.now()));
  if (auto* debit = std::get_if<WriteDebit>(&effect)) return written(task, debit->award, writing().debit(debit->ref, debit->evidence, debit->amount, world_.now()));
  if (auto* release = std::get_if<WriteRelease>(&effect)) return written(task, release->award, writing().release(release->ref, release->evidence, world_.now()));
  if (auto* seen = std::get_if<Witness>(&effect)) return witness(*seen);
  if (auto* fetch = std::get_if<FetchResult>(&effect)) return fetch_result(task, *fetch);
  if (std::holds_alternative<AssembleResult>(effect))
    return later(world_.random().between(1, 100), [this, &task] {
      ResultAssembled whole;
      whole.ok = true;
      whole.result = rename_id<ResultId>(sha256("whole " + to_hex(task.offer.task)));
      whole.bytes = 1000;
      hear(task, whole);
    });
  if (auto* finished = std::get_if<Finished>(&effect)) {
    demand(task.pending.empty(), "nothing that the ledger answered is left unheard when a task ends");
    task.gone = true;
    writing().put("task", Bytes(task.offer.task.view()), std::string(ending_word(finished->ending)));
    task.ending = finished->ending;
    task.reason = finished->reason;
  }
}

void SimNode::written(SimTask& task, const AwardId& award, const Result<Block>& block) {
  wrote_blocks_ = true;
  if (block && block->type == BlockType::debit && farmer_) hear(WePaid{encode_block(*block)});
  if (block) hear(task, BlockWritten{award, encode_block(*block)});
  else hear(task, BlockRefused{award, block.error().code, block.error().message});
}

void SimNode::fetch_result(SimTask& task, const FetchResult& effect) {
  // The bundle's manifest must say what the vote says.
  auto labelled_right = [this, effect] { return world_.bundles.at(effect.result) == effect.outcome; };
  auto answer = [this, &task, unit = effect.unit](bool ok, const std::string& reason) { hear(task, ResultFetched{unit, ok, reason}); };
  if (effect.inlined)
    return later(world_.random().between(1, 10), [this, effect, answer, labelled_right] {
      if (effect.inline_files.empty() || effect.inline_files[0].content != to_hex(effect.result)) return answer(false, "the files do not hash to the result");
      disk_.insert(effect.result);
      answer(labelled_right(), "wrong label");
    });
  if (disk_.count(effect.result)) return answer(labelled_right(), "wrong label");
  auto found = [this, result = effect.result] {
    for (const auto& node : world_.nodes())
      if (node->running() && peers_.count(node->key()) && node->has_result(result)) return true;
    return false;
  };
  later(found() ? world_.random().between(1, 500) : fetch_stall_ms, [this, found, effect, answer, labelled_right] {
    if (!found()) return answer(false, "no holder answers");
    disk_.insert(effect.result);
    answer(labelled_right(), "wrong label");
  });
}

// --- offering ---

SimTask& SimNode::offer(const TaskTerms& terms) {
  auto task = std::make_unique<SimTask>();
  task->terms = terms;
  const std::string name = to_hex(key()) + " task " + std::to_string(tasks_.size());
  task->spec.command = {"true"};
  task->spec.array.last = static_cast<std::int64_t>(terms.units) * terms.batch - 1;
  task->spec.array.batch = terms.batch;
  if (terms.own_runtime) task->spec.runtime = runtime_link(the_runtime());
  task->draw_seed = sha256("draw " + name).bytes;
  Offer& offer = task->offer;
  offer.task = rename_id<TaskId>(sha256(name));
  offer.requester = key();
  offer.name = name.substr(60);
  offer.endpoint = "127.0.0.1:1";
  offer.units = terms.units;
  offer.batch = terms.batch;
  offer.max_price_micro = terms.max_price_micro;
  offer.agree = terms.agree;
  offer.max_replicas = terms.max_replicas;
  offer.adaptive = terms.adaptive;
  offer.created_ms = world_.now();
  offer.expires_ms = world_.now() + terms.total_ms;
  offer.run_ms = terms.run_ms;
  offer.runtime = task->spec.runtime;
  offer.draw_commitment = sha256(Bytes(reinterpret_cast<const char*>(task->draw_seed.data()), 32));
  task->role = std::make_unique<Requester>(RequesterOptions{offer, &key_, task->draw_seed, terms.queue_ms, terms.total_ms});
  know_evidence(*task);
  tasks_.push_back(std::move(task));
  for (const NodeKey& peer : peers_) hear(*tasks_.back(), PeerCame{peer});
  wake();
  return *tasks_.back();
}

void SimNode::cancel(SimTask& task) { hear(task, CancelTask{}); }

RuntimeId the_runtime() { return rename_id<RuntimeId>(sha256("the runtime")); }

RunOfUnit truth(const SimTask& task, UnitNumber unit) {
  Outcome outcome;
  outcome.exit_code = task.terms.fails ? 1 : 0;
  return {rename_id<ResultId>(sha256("right " + to_hex(task.offer.task) + std::to_string(unit))), outcome};
}

SimTask* task_of(const World& world, const TaskId& id) {
  for (const auto& node : world.nodes())
    for (const auto& task : node->tasks())
      if (task->offer.task == id) return task.get();
  return nullptr;
}

}  // namespace tnode::sim
