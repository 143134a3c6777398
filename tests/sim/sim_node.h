// One simulated node: the real Requester and Farmer driven as the real node drives them, over a ledger and a network that fail.
// A turn: step the roles, book, feed the answers back, commit, and only then let messages leave. A crash loses all that is not durable.
#pragma once
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "core/farmer.h"
#include "core/requester.h"
#include "tests/sim/sim_ledger.h"

namespace tnode::sim {

class World;

enum class Behaviour {
  honest, slow,
  liar,           ///< a wrong answer of its own, always
  sometimes_liar, ///< for a third of the units
  colluder,       ///< the same wrong answer as every other colluder
  mislabeller,    ///< the right files under a wrong exit status
  silent,         ///< bids, then says nothing
  sleeper,        ///< accepts, then says nothing
  no_reveal,      ///< commits, never reveals
  changer,        ///< reveals another vote than it committed
  refuser,        ///< bids, refuses every award
  withholder,     ///< votes right, never gives the data
  bad_inline,     ///< votes right, sends wrong bytes beside the vote
};
/// Those whose wrong votes count, those whose right votes count, and the rest, who only waste time.
bool votes_wrong(Behaviour behaviour);
bool votes_right(Behaviour behaviour);

struct NodeTerms {
  bool farms = true;
  Behaviour behaviour = Behaviour::honest;
  Micro price_micro = credit_micro;   ///< of a unit, at least
  Micro cpu_price_micro = 0;          ///< of a CPU-second
  Micro line_micro = 1000 * credit_micro;
  std::int64_t slots = 1;
  std::int64_t memory_bytes = 0; ///< of all its units together; 0: no bound
  std::string platform = "debian-12/x86_64";
  CreditTerms credit;            ///< who may owe it how much
  Micro audit_above_micro = std::numeric_limits<Micro>::max();
  bool publishes = true;         ///< its chain can be audited
  Micro unproved_micro = 0;      ///< and then shows so much that is its own word alone
  // Planted bugs: the laws must notice each.
  bool forgets_refs = false;     ///< the ledger books a DEBIT again
  bool nonce_is_known = false;   ///< votes can be guessed from their commits
  bool reveals_early = false;    ///< shows its vote beside the commit
  bool skips_sync = false;       ///< messages leave before the records behind them are durable
};

struct TaskTerms {
  UnitNumber units = 1;
  std::int64_t batch = 1, agree = 2, max_replicas = 5;
  bool adaptive = false;
  Micro max_price_micro = 5 * credit_micro;
  TimeMs run_ms = 10'000, queue_ms = 600'000, total_ms = 86'400'000;
  bool fails = false;            ///< the command ends with exit status 1
  bool own_runtime = false;      ///< brings a runtime, the same one for all such tasks
  bool large = false;            ///< results are too large to travel beside the vote
};

/// A task offered by a node: what the requester's record keeps, and the role while the node runs.
struct SimTask {
  TaskTerms terms;
  TaskSpec spec;
  Offer offer;
  Seed draw_seed{};
  std::optional<Ending> ending;  ///< durable
  std::string reason;
  std::unique_ptr<Requester> role;
  std::vector<RequesterEvent> pending;
  TimeMs due_ms = 0;
  bool started = false, gone = false;
  bool done() const { return ending == Ending::done; }
};

class SimNode {
 public:
  SimNode(World& world, const NodeTerms& terms, int number);
  ~SimNode();
  const NodeKey& key() const { return key_.key(); }
  const NodeTerms& terms() const { return terms_; }
  int number() const { return number_; }
  bool honest() const { return terms_.behaviour == Behaviour::honest || terms_.behaviour == Behaviour::slow; }
  bool running() const { return running_; }
  std::uint64_t life() const { return life_; }

  SimTask& offer(const TaskTerms& terms);
  void cancel(SimTask& task);
  const std::vector<std::unique_ptr<SimTask>>& tasks() const { return tasks_; }
  const Farmer* farmer() const { return farmer_.get(); }
  const SimLedger& ledger() const { return *ledger_; }
  Balance balance() const;

  enum class Crash { none, before_commit, after_commit };
  /// Asked for each effect that is carried out; the first answer but `none` ends the node in this turn.
  std::function<Crash(const RequesterEffect&)> watch_requester;
  std::function<Crash(const FarmerEffect&)> watch_farmer;
  /// Ends the node now, between two turns. It starts again by itself only after `come_back` or when `down_ms` is not 0.
  void crash(TimeMs down_ms = 0);
  void start();
  void come_back() { if (!running_) start(); }
  /// From now on it is another.
  void turn_to(Behaviour behaviour) { terms_.behaviour = behaviour; }
  /// The chain of another node was audited: what it owes for work is known from now on, in this life.
  void audit(const SimNode& other);
  /// What the machine's owner does.
  void pause();
  void resume();

  // From the network.
  void peer_came(const NodeKey& key);
  void peer_left(const NodeKey& key);
  void frame_came(const NodeKey& from, const Bytes& frame);

  /// Counts of messages that left, by their place in `Message`.
  const std::map<std::size_t, int>& sent() const { return sent_; }
  bool has_result(const ResultId& result) const { return seeded_.count(result) != 0; }
  /// Tasks that a sandbox may idle for.
  const std::set<TaskId>& warm() const { return warm_; }
  bool has_runtime() const { return !runtimes_.empty(); }
  /// Something else needed the room, if no lease does.
  void let_runtimes_go();
  const std::vector<Note>& notes() const { return notes_; }

 private:
  void hear(FarmerEvent event);
  void hear(SimTask& task, RequesterEvent event);
  void route(const NodeKey& from, const Message& message);
  void take_credit(const NodeKey& from, const Credit& credit);
  void know_evidence(SimTask& task);
  void witness(const Witness& seen);
  void wake();
  void turn();
  bool step_farmer();
  bool step_task(SimTask& task);
  void schedule_next();
  SimLedger& writing();
  /// Runs later, unless the node crashes before.
  void later(TimeMs delay, std::function<void()> action);
  void carry(const Send& effect, bool as_farmer);
  void carry(const Save& effect);
  void carry(const Erase& effect);
  void tell(const Note& note);
  void carry(const FarmerEffect& effect);
  void carry(SimTask& task, const RequesterEffect& effect);
  void written(SimTask& task, const AwardId& award, const Result<Block>& block);
  void audit_chain(const AuditChain& effect);
  void prepare(const PrepareRuntime& effect);
  void run_unit(const RunUnit& effect);
  void work_on(const UnitRan& ran, TimeMs left_ms);
  void freeze();
  void thaw();
  void fetch_result(SimTask& task, const FetchResult& effect);
  std::optional<Message> as_it_behaves(const Message& message);
  void reveal_early(const Bytes& vote_record);

  World& world_;
  NodeTerms terms_;
  int number_;
  KeyPair key_;
  std::unique_ptr<SimLedger> ledger_;
  // Durable: files.
  std::set<ResultId> disk_, seeded_;
  std::vector<std::unique_ptr<SimTask>> tasks_;
  // Of this life.
  bool running_ = false;
  std::uint64_t life_ = 0;
  std::unique_ptr<Farmer> farmer_;
  std::vector<FarmerEvent> farmer_pending_;
  TimeMs farmer_due_ms_ = 0, wake_at_ms_ = 0;
  bool farmer_started_ = false, transaction_ = false, wrote_blocks_ = false, awake_ = false;
  Crash crash_ = Crash::none;
  int hurries_ = 0;
  std::set<NodeKey> peers_;
  std::map<NodeKey, std::map<AwardId, Bytes>> unclaimed_;
  std::set<TaskId> ready_;
  std::set<RuntimeId> runtimes_;  // unpacked
  std::set<TaskId> warm_;
  std::set<std::uint64_t> jobs_;
  bool frozen_ = false;
  std::uint64_t freezes_ = 0;
  std::map<std::uint64_t, std::pair<UnitRan, TimeMs>> at_work_;  ///< what runs, and when it will have run; while frozen, how long it still needs
  std::vector<std::function<void()>> when_durable_, after_commit_;
  // For tests.
  std::map<std::size_t, int> sent_;
  std::vector<Note> notes_;
};

// --- truth: what a run gives, known to the world alone ---

/// The one runtime of this world.
RuntimeId the_runtime();
struct RunOfUnit { ResultId result; Outcome outcome; };
RunOfUnit truth(const SimTask& task, UnitNumber unit);
/// Finds who asks for this task anywhere in the world; tasks are unique to their requester there.
SimTask* task_of(const World& world, const TaskId& id);

}  // namespace tnode::sim
