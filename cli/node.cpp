#include "cli/node.h"

#include <algorithm>
#include <chrono>

#include "cli/chain_publisher.h"
#include "cli/farmer_role.h"
#include "cli/own_chain.h"
#include "cli/requester_role.h"
#include "cli/task_record.h"
#include "core/addressee.h"

namespace tnode {
namespace {

constexpr int worker_threads = 2;  // hashing and copying beside the loop

/// Rows that weigh nothing any more.
void forget_old_evidence(Node& node) {
  std::vector<Bytes> old;
  node.store().scan(evidence_bucket, [&](std::string_view name, std::string_view value) {
    EvidenceRow row;
    if (!decode_evidence(name, value, row) || row.day < evidence_day(wall_clock_ms()) - evidence_kept_days) old.emplace_back(name);
  });
  for (const Bytes& name : old) node.carry(Erase{evidence_bucket, name});
}

}  // namespace

TimeMs wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Result<std::unique_ptr<Node>> Node::start(NodeOptions options, std::unique_ptr<Executor> executor) {
  std::unique_ptr<Node> node(new Node);
  node->options_ = std::move(options);
  node->executor_ = std::move(executor);
  if (auto made = node->home().make(); !made) return made.error();
  auto key = node->home().key();
  if (!key) return key.error();
  node->key_.emplace(std::move(*key));
  auto own = open_own_store(node->home(), *node->key_, wall_clock_ms());
  if (!own) return own.error();
  node->store_ = std::move(own->store);
  node->store_->scan("unclaimed", [&](std::string_view name, std::string_view frame) {
    if (name.size() != 64) return;
    node->unclaimed_[*NodeKey::from_bytes(name.substr(0, 32))][*AwardId::from_bytes(name.substr(32))] = Bytes(frame);
  });
  for (const Fraud& fraud : node->store_->frauds()) node->caught_[fraud.key] = fraud.rule;
  node->store_->scan(false_proof_bucket, [&](std::string_view name, std::string_view why) {
    if (name.size() == 32) node->caught_[*NodeKey::from_bytes(name)] = std::string(why);
  });
  forget_old_evidence(*node);
  node->options_.swarm.data_dir = node->home().dir();
  node->options_.swarm.key_seed = node->key().seed();
  node->now_ = wall_clock_ms();
  Node* self = node.get();
  auto swarm = Swarm::start(node->options_.swarm, [self](SwarmEvent event) { self->post([self, event = std::move(event)] { self->on(event); }); });
  if (!swarm) return swarm.error();
  node->swarm_ = std::move(*swarm);
  for (int i = 0; i < worker_threads; ++i) node->workers_.emplace_back([self] { self->work_loop(); });
  node->own_chain_ = std::make_unique<OwnChain>(*node, *node->store_, std::move(own->mark));
  node->publisher_ = std::make_unique<ChainPublisher>(*node);
  node->later(unclaimed_again_ms, [self] { self->say_unclaimed(); });
  if (node->executor_)
    node->executor_->on_report([self](ExecutionReport report) {
      self->post([self, report = std::move(report)] { if (self->farmer_) self->farmer_->on_report(report); });
    });
  return node;
}

Node::~Node() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_changed_.notify_all();
  for (auto& worker : workers_) worker.join();
  swarm_.reset();
  executor_.reset();
}

void Node::add(std::unique_ptr<FarmerRole> role) {
  farmer_ = std::move(role);
  for (const auto& [key, rule] : caught_) farmer_->hear(KeyCaught{key, rule});
  for (const NodeKey& key : peers_up_) farmer_->hear(PeerCame{key});
}

void Node::add(std::unique_ptr<RequesterRole> role) {
  requesters_.push_back(std::move(role));
  for (const auto& [key, rule] : caught_) requesters_.back()->hear(KeyCaught{key, rule});
  for (const NodeKey& key : peers_up_) requesters_.back()->hear(PeerCame{key});
}

void Node::post(std::function<void()> action) {
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(action));
    if (inbox_.size() > 1) return;
  }
  changed_.notify_one();
}

void Node::work(std::function<std::function<void()>()> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  work_changed_.notify_one();
}

void Node::work_loop() {
  for (;;) {
    std::function<std::function<void()>()> job;
    {
      std::unique_lock lock(mutex_);
      work_changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;  // what was begun is finished, also when the node leaves
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (auto then = job()) post(std::move(then));
  }
}

void Node::later(TimeMs delay_ms, std::function<void()> action) { timers_.emplace(wall_clock_ms() + delay_ms, std::move(action)); }

Store& Node::writing() {
  if (!transaction_) {
    transaction_ = true;
    if (auto begun = store_->begin(); !begun) give_up(begun.error());
  }
  return *store_;
}

TimeMs Node::next_deadline() const {
  TimeMs next = now_ + 60'000;
  if (farmer_) next = std::min(next, farmer_->next_deadline(now_));
  for (const auto& requester : requesters_) next = std::min(next, requester->next_deadline(now_));
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  return next;
}

Result<void> Node::run() {
  leaving_ = false;
  if (auto good = drain({}); !good) return good;
  while (!leaving_) {
    std::vector<std::function<void()>> actions;
    {
      std::unique_lock lock(mutex_);
      const auto until = std::chrono::system_clock::time_point(std::chrono::milliseconds(next_deadline()));
      changed_.wait_until(lock, until, [this] { return !inbox_.empty(); });
      actions.swap(inbox_);
    }
    if (auto good = drain(std::move(actions)); !good) return good;
  }
  return {};
}

Result<void> Node::drain(std::vector<std::function<void()>> actions) {
  now_ = std::max(now_, wall_clock_ms());  // a clock that is set back stands still meanwhile
  for (auto& action : actions) action();
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    auto action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
  for (bool again = true; again && !fatal_;) {
    again = farmer_ && farmer_->step();
    for (auto& requester : requesters_) again = requester->step() || again;
    again = tell_frauds() || again;
  }
  if (!fatal_ && transaction_) {
    if (auto committed = store_->commit(); !committed) give_up(committed.error());
  }
  transaction_ = false;
  if (fatal_) {
    store_->rollback();
    return *fatal_;
  }
  auto due = std::move(after_commit_);
  after_commit_.clear();
  for (auto& action : due) action();
  std::erase_if(requesters_, [](const auto& requester) { return requester->gone(); });
  if (drained_) drained_();
  return {};
}

// --- effects that both roles have ---

void Node::carry(const Send& effect) {
  after_commit([this, to = effect.to, frame = encode_message(effect.message)]() mutable { swarm_->send(to, std::move(frame)); });
}

void Node::carry(const Save& effect) {
  if (effect.bucket == "unclaimed") unclaimed_[*NodeKey::from_bytes(effect.key.substr(0, 32))][*AwardId::from_bytes(effect.key.substr(32))] = effect.value;
  if (auto put = writing().put(effect.bucket, effect.key, effect.value); !put) give_up(put.error());
}

void Node::carry(const Erase& effect) {
  if (auto erased = writing().erase(effect.bucket, effect.key); !erased) give_up(erased.error());
}

void Node::witness(const Witness& seen) {
  EvidenceRow row{seen.farmer, evidence_day(now_), {}};
  const Bytes name = evidence_name(row.key, row.day);
  if (auto value = store_->get(evidence_bucket, name)) (void)decode_evidence(name, *value, row);
  row.evidence.add(seen.sight, seen.units);
  carry(Save{evidence_bucket, name, encode_evidence(row.evidence)});
  for (auto& requester : requesters_) requester->hear(Witnessed{row});
}

void Node::offer(const StoredBundle& bundle, Twin twin) {
  after_commit([this, bundle, twin] {
    swarm_->seed({bundle.torrent.bytes, bundle.parent_dir, true});
    if (twin == Twin::no) return;
    work([this, bundle]() -> std::function<void()> {
      auto bytes = v1_twin_of(bundle);
      if (!bytes) return {};
      return [this, bundle, bytes = std::move(*bytes)] { swarm_->seed({bytes, bundle.parent_dir, true}); };
    });
  });
}

void Node::fetch(FetchTorrent request, FetchEnd end, std::function<void(const FetchProgress&)> progress) {
  fetches_[request.v2_hash].push_back({std::move(end), std::move(progress)});
  after_commit([this, request = std::move(request)]() mutable { swarm_->fetch(std::move(request)); });
}

// --- what the swarm reports ---

void Node::on(const SwarmEvent& event) {
  std::visit([this](const auto& e) { on(e); }, event);
}

void Node::on(const PeerUp& event) {
  peers_up_.push_back(event.key);
  own_chain_->met(event.key);
  if (farmer_) farmer_->hear(PeerCame{event.key});
  for (auto& requester : requesters_) requester->hear(PeerCame{event.key});
  tell_frauds_to(event.key);
  say_unclaimed_to(event.key);
}

void Node::on(const PeerDown& event) {
  std::erase(peers_up_, event.key);
  own_chain_->left(event.key);
  if (farmer_) farmer_->hear(PeerLeft{event.key});
  for (auto& requester : requesters_) requester->hear(PeerLeft{event.key});
}

void Node::on(const MessageIn& event) {
  auto message = decode_message(event.message);
  if (!message) {
    if (!limits_.nonsense(event.from, now_)) return after_commit([this, from = event.from] { swarm_->ban(from); });
    return carry(Send{event.from, RefuseMessage{Refuse{Hash{}, "bad_message", message.error().message}}});
  }
  route(event.from, *message);
}

void Node::route(const NodeKey& from, const Message& message) {
  if (own_chain_->in_doubt() && (std::holds_alternative<CreditMessage>(message) || std::holds_alternative<PaymentMessage>(message)))
    return own_chain_->hold_back([this, from, message] { route(from, message); });
  const Addressee to = addressee_of(message);
  if (to.node) take(from, message);
  if (to.award) {
    for (auto& requester : requesters_)
      if (requester->owns(*to.award)) return requester->hear(MessageCame{from, message});
    return carry(Send{from, RefuseMessage{Refuse{rename_id<Hash>(*to.award), "lease_over", "no such award is open here"}}});
  }
  if (to.every_requester)
    for (auto& requester : requesters_) requester->hear(MessageCame{from, message});
  if (to.farmer && farmer_) farmer_->hear(MessageCame{from, message});
}

void Node::take(const NodeKey& from, const Message& message) {
  if (auto* credit = std::get_if<CreditMessage>(&message)) take_credit(from, credit->credit);
  if (auto* payment = std::get_if<PaymentMessage>(&message)) take_payment(from, payment->payment);
  if (auto* fraud = std::get_if<FraudMessage>(&message)) take_fraud(from, fraud->fraud);
  if (auto* ask = std::get_if<AskCertificateMessage>(&message)) answer_about_certificate(from, ask->ask.result);
  if (auto* ask = std::get_if<AskBlocksMessage>(&message); ask && limits_.ask(from, now_)) own_chain_->answer(from, ask->ask);
  if (auto* blocks = std::get_if<BlocksMessage>(&message)) own_chain_->take(from, blocks->blocks);
}

void Node::remember_certificate(const ResultId& result, const Torrent& certificate) {
  carry(Save{certificate_bucket, Bytes(result.view()), Bytes(certificate.v2_hash.view()) + Bytes(reinterpret_cast<const char*>(certificate.v1_hash.data()), certificate.v1_hash.size())});
}

void Node::answer_about_certificate(const NodeKey& from, const ResultId& result) {
  if (auto at = find_certificate(*store_, result)) carry(Send{from, CertificateAtMessage{*at}});
}

void Node::on(const FetchDone& event) {
  auto it = fetches_.find(event.v2_hash);
  if (it == fetches_.end()) return;
  auto waiting = std::move(it->second);
  fetches_.erase(it);
  for (auto& each : waiting) each.end(&event, {});
}

void Node::on(const FetchFailed& event) {
  auto it = fetches_.find(event.v2_hash);
  if (it == fetches_.end()) return;
  auto waiting = std::move(it->second);
  fetches_.erase(it);
  for (auto& each : waiting) each.end(nullptr, event.reason);
}

void Node::on(const FetchProgress& event) {
  auto it = fetches_.find(event.v2_hash);
  if (it == fetches_.end()) return;
  for (auto& each : it->second)
    if (each.progress) each.progress(event);
}

void Node::on(const PeerUnreachable& event) {
  if (unreachable_) unreachable_(event);
}

void Node::on(const ItemFound& event) {
  own_chain_->heard(event);
  if (farmer_) farmer_->heard(event);
}

void Node::on(const ItemPublished& event) { publisher_->heard(event); }

void Node::on(const SwarmProblem& event) {
  if (problem_) problem_(event.what);
}

}  // namespace tnode
