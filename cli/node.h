// One node at work: a loop in the calling thread that hears swarm, executor and users, steps the roles, makes their records durable,
// and only then lets messages go. Everything is wired here; nothing is decided here.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/peer_limits.h"
#include "cli/results.h"
#include "core/effects.h"
#include "core/payment.h"
#include "core/requester.h"
#include "executor/executor.h"
#include "ledger/store.h"
#include "swarm/swarm.h"

namespace tnode {

class ChainPublisher;
class FarmerRole;
class OwnChain;
class RequesterRole;

TimeMs wall_clock_ms();

struct NodeOptions {
  Home home;
  SwarmOptions swarm;  ///< data_dir and key_seed are filled in
};

class Node {
 public:
  /// Opens key, store and swarm. `executor` (for farmers) was started before: it forks, and must come before any thread.
  static Result<std::unique_ptr<Node>> start(NodeOptions options, std::unique_ptr<Executor> executor);
  ~Node();

  void add(std::unique_ptr<FarmerRole> role);
  void add(std::unique_ptr<RequesterRole> role);
  /// Runs until leave() was called; may be run again. `io` when the store can no longer be written: nothing was promised since.
  Result<void> run();
  /// From inside the loop.
  void leave() { leaving_ = true; }
  /// For long jobs of workers, which may then end early.
  bool leaving() const { return leaving_; }

  /// Has `action` run in the loop's thread. From any thread.
  void post(std::function<void()> action);
  /// Runs `job` in a worker thread; what it returns runs in the loop afterwards.
  void work(std::function<std::function<void()>()> job);
  /// Runs `action` in the loop after `delay_ms`.
  void later(TimeMs delay_ms, std::function<void()> action);

  // For roles, inside the loop.
  TimeMs now() const { return now_; }
  const Home& home() const { return options_.home; }
  const KeyPair& key() const { return *key_; }
  Swarm& swarm() { return *swarm_; }
  const Swarm& swarm() const { return *swarm_; }
  Executor* executor() { return executor_.get(); }
  /// Reads need no transaction; writes go through writing(), which opens the drain's one transaction.
  const Store& store() const { return *store_; }
  Store& writing();
  /// Carried out after the drain's records are durable, in order.
  void after_commit(std::function<void()> action) { after_commit_.push_back(std::move(action)); }
  void carry(const Send& effect);
  void carry(const Save& effect);
  void carry(const Erase& effect);
  /// Ends the node: its records can no longer be kept.
  void give_up(Error error) { if (!fatal_) fatal_ = std::move(error); }
  /// Seeds a bundle, and when old clients should have it too its v1-only twin, made beside the loop.
  enum class Twin { no, yes };
  void offer(const StoredBundle& bundle, Twin twin);
  /// From now on whoever asks for the proof of `result` is told of this bundle.
  void remember_certificate(const ResultId& result, const Torrent& certificate);
  /// Pays outside of a task and tells the payee, now or when it is met. Asked for twice, it is paid once.
  Result<Block> pay(const Payment& payment);
  /// A proof that another process of this home found.
  void take_proof(const Fraud& fraud);
  /// Adds to the day's row about a farmer; every task of this node hears the row.
  void witness(const Witness& seen);
  /// An own DEBIT was written: its payee may have more done here.
  void we_paid(const Block& debit);
  /// Who wants to know when a torrent is here or lost; once, by v2 hash.
  using FetchEnd = std::function<void(const FetchDone*, const std::string& problem)>;
  void fetch(FetchTorrent request, FetchEnd end, std::function<void(const FetchProgress&)> progress = {});
  const std::vector<std::unique_ptr<RequesterRole>>& requesters() const { return requesters_; }
  FarmerRole* farmer() { return farmer_.get(); }
  OwnChain& own_chain() { return *own_chain_; }
  /// Those that a channel is open with.
  const std::vector<NodeKey>& peers_up() const { return peers_up_; }
  /// Called after every drain; for displays.
  void on_drained(std::function<void()> action) { drained_ = std::move(action); }
  /// Swarm problems and the like: one line for the log.
  void on_problem(std::function<void(const std::string&)> action) { problem_ = std::move(action); }
  void on_unreachable(std::function<void(const PeerUnreachable&)> action) { unreachable_ = std::move(action); }

 private:
  Node() = default;
  Result<void> drain(std::vector<std::function<void()>> actions);
  void on(const SwarmEvent& event);
  void on(const PeerUp& event);
  void on(const PeerDown& event);
  void on(const MessageIn& event);
  void on(const FetchDone& event);
  void on(const FetchFailed& event);
  void on(const FetchProgress& event);
  void on(const ItemPublished& event);
  void on(const ItemFound& event);
  void on(const SwarmProblem& event);
  void on(const PeerUnreachable& event);
  void route(const NodeKey& from, const Message& message);
  void take(const NodeKey& from, const Message& message);  // what the node itself is asked or told
  void take_credit(const NodeKey& from, const Credit& credit);
  void take_payment(const NodeKey& from, const PaymentNotice& notice);
  void take_fraud(const NodeKey& from, const FraudNotice& notice);
  void say_unclaimed_to(const NodeKey& peer);
  void say_unclaimed();
  void refuse_false_proof(const NodeKey& from, const std::string& problem);
  bool tell_frauds();
  void tell_frauds_to(const NodeKey& peer);
  void hear_caught(const NodeKey& key, const std::string& rule);
  void answer_about_certificate(const NodeKey& from, const ResultId& result);
  TimeMs next_deadline() const;
  void work_loop();

  NodeOptions options_;
  std::optional<KeyPair> key_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<FarmerRole> farmer_;
  std::unique_ptr<ChainPublisher> publisher_;
  std::unique_ptr<OwnChain> own_chain_;
  std::vector<std::unique_ptr<RequesterRole>> requesters_;
  std::vector<NodeKey> peers_up_;
  PeerLimits limits_;
  std::map<NodeKey, std::string> caught_;  // keys that are refused, and why
  std::map<NodeKey, std::map<AwardId, Bytes>> unclaimed_;  // DEBITs whose CREDIT was not seen: frames to say again
  struct Waiting { FetchEnd end; std::function<void(const FetchProgress&)> progress; };
  std::map<Hash, std::vector<Waiting>> fetches_;
  std::multimap<TimeMs, std::function<void()>> timers_;
  std::function<void()> drained_;
  std::function<void(const std::string&)> problem_;
  std::function<void(const PeerUnreachable&)> unreachable_;

  TimeMs now_ = 0;
  std::atomic<bool> leaving_ = false;
  bool transaction_ = false;
  std::optional<Error> fatal_;
  std::vector<std::function<void()>> after_commit_;

  std::mutex mutex_;
  std::condition_variable changed_, work_changed_;
  std::vector<std::function<void()>> inbox_;
  std::deque<std::function<std::function<void()>()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
  std::unique_ptr<Swarm> swarm_;  // last: it stops first
};

/// Why a payment that another process asked for was not made, by its ref.
inline constexpr const char* payment_refused_bucket = "payment_refused";
/// Keys that handed over proofs that prove nothing, and what was wrong with them.
inline constexpr const char* false_proof_bucket = "false_proof";
/// Proofs told to a peer that comes, at most; and keys that others may have us remember.
inline constexpr std::size_t most_frauds_told = 64, most_caught = 100'000;
inline constexpr TimeMs unclaimed_again_ms = 20'000;
inline constexpr std::size_t most_unclaimed_said = 48;  ///< below what a payee takes at once, see peer_limits.h
/// Which task a payment is for, by the ref of its blocks.
inline constexpr const char* task_of_ref_bucket = "task_of_ref";

}  // namespace tnode
