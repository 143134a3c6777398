// The farmer, as a pure state machine for all tasks at once: hears offers, bids, accepts awards, has units run, commits,
// reveals, and books what it is paid. No clock, socket, file or hidden randomness.
#pragma once
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "core/credit_policy.h"
#include "core/effects.h"
#include "core/messages.h"
#include "core/price.h"
#include "core/runtime.h"

namespace tnode {

// --- effects that only a farmer has ---
/// Get a task's torrent and payload; answers TaskReady or TaskLost.
struct FetchTask { TaskId task; std::array<std::uint8_t, 20> v1_hash{}; NodeKey holder; std::string endpoint; };
/// Have a runtime ready to run in; answers RuntimeReady or RuntimeLost. `holder` and `peers` may have it. `awarded`: units wait for it, else it is only offered.
struct PrepareRuntime { RuntimeId runtime; NodeKey holder; std::vector<std::string> peers; bool awarded = false; };
/// Fetch and verify the published chain of a requester; answers ChainAudited or AuditFailed.
struct AuditChain { NodeKey key; std::string endpoint; };
/// Run one unit; answers UnitRan. The adapter makes the result's torrent.
struct RunUnit { std::uint64_t job = 0; TaskId task; UnitNumber unit = 0; TimeMs run_ms = 0; std::string warm; };
struct StopUnit { std::uint64_t job = 0; };
/// No more units of this task are in sight: what waits for the next one has nothing to wait for.
struct EndIdle { TaskId task; };
/// Everything that runs stands still, its limits of time too; until ThawUnits.
struct FreezeUnits {};
struct ThawUnits {};
/// Offer a result's torrent to the swarm (its reveal is due).
struct SeedResult { ResultId result; };
/// The results of a lost or dissenting vote need not be kept.
struct DropResult { ResultId result; };
/// Keep a checked HOLD made out to us. One that contradicts what the ledger knows of its author comes back as HoldBad.
struct KeepHold { AwardId award; TaskId task; Bytes block; };
/// Write our CREDIT for a checked DEBIT made out to us; answers BlockWritten, or BlockRefused when it contradicts what is known.
struct WriteCredit { AwardId award; Bytes debit; };
/// Keep the whole result alive; answers ResultMirrored.
struct MirrorResult { NodeKey holder; ResultId result; std::array<std::uint8_t, 20> v1_hash{}; std::int64_t bytes = 0;
                     Hash certificate; std::array<std::uint8_t, 20> certificate_v1{}; };
/// Meet a node that only its offer, passed on by others, told of.
struct Meet { TaskId task; std::array<std::uint8_t, 20> v1_hash{}; std::string endpoint; };

using FarmerEffect = std::variant<Send, Save, Erase, Note, FetchTask, PrepareRuntime, AuditChain, RunUnit, StopUnit, EndIdle, FreezeUnits, ThawUnits, SeedResult, DropResult, KeepHold, WriteCredit, MirrorResult, Meet>;

// --- events (PeerCame, PeerLeft, MessageCame, BlockWritten and Tick are shared with the requester) ---
struct TaskReady { TaskId task; TaskSpec spec; };
struct TaskLost { TaskId task; std::string reason; };
struct RuntimeReady { RuntimeId runtime; };
/// It cannot be had or used here, or is no longer there (`reason` empty).
struct RuntimeLost { RuntimeId runtime; std::string reason; };
struct UnitRan {
  std::uint64_t job = 0;
  bool ran = false;             ///< false: the sandbox could not be had; `problem` says why
  std::string problem;
  ResultId result;
  Outcome outcome;
  Usage usage;
  Extra extra;
};
/// An own DEBIT was written, for work or as a payment: by it the payee may have more done here.
struct WePaid { Bytes block; };
/// A verified chain says what its key owes others for work.
struct ChainVouches { NodeKey key; std::map<NodeKey, Micro> owed; };
/// Its published chain holds, up to where it is public; `unproved_micro` of what it booked is its own word alone.
struct ChainAudited { NodeKey key; std::uint64_t blocks = 0; Micro unproved_micro = 0; std::uint64_t bundles_fetched = 0; };
/// It could not be had, or `disproved`: it does not hold.
struct AuditFailed { NodeKey key; std::string reason; bool disproved = false; };
struct HoldBad { AwardId award; std::string reason; };
struct ResultMirrored { ResultId result; };
/// The user dropped this task into the watch folder: it counts as watched.
struct TaskWatched { TaskId task; };
/// The machine's owner wants it: nothing runs until ResumeWork. A second one only changes the reason.
struct PauseWork { std::string why; };
struct ResumeWork {};
struct Leave {};  ///< no new awards; finish what is accepted

struct FarmerOptions {
  const KeyPair* key = nullptr;
  std::int64_t slots = 1;
  std::int64_t queue_per_slot = 24;    ///< units held per slot: keeps slots busy over a round trip
  AskTerms price;
  enum class AcceptFrom : std::uint8_t { anyone, watched, listed } accept = AcceptFrom::anyone;
  std::set<NodeKey> listed;
  std::int64_t cpus = 1, disk_bytes = 0;  ///< what a task may ask for at most; 0: no bound
  std::int64_t memory_bytes = 0;       ///< what all units that run may have together, their files counted; 0: no bound
  std::string limit_mode, platform;
  bool runtimes = true;                ///< takes tasks that bring a runtime; else only `host`
  Micro audit_above_micro = std::numeric_limits<Micro>::max();  ///< more is promised to a key at once only when its chain was audited
  CreditPolicy credit;                 ///< who may owe us how much, with what our chain says up to the start
  Bytes nonce_secret;                  ///< votes' nonces are derived from it: a restart gives the same ones
};

using FarmerEvent = std::variant<PeerCame, PeerLeft, MessageCame, BlockWritten, BlockRefused, WePaid, ChainVouches, ChainAudited, AuditFailed, KeyCaught, TaskReady, TaskLost, RuntimeReady, RuntimeLost, UnitRan, HoldBad, ResultMirrored, TaskWatched, PauseWork, ResumeWork, Leave, Tick>;

class Farmer {
 public:
  explicit Farmer(FarmerOptions options);
  /// Records of an earlier run, before the first event: "lease" (award id → offer and award) first, then "vote".
  void restore_lease(std::string_view value);
  void restore_vote(std::string_view key, std::string_view value);
  void restore_unpaid(std::string_view key, std::string_view value);  ///< of bucket "unpaid"

  std::vector<FarmerEffect> step(TimeMs now, const std::vector<FarmerEvent>& events);
  TimeMs next_deadline(TimeMs now) const;

  bool idle() const { return leases_.empty(); }
  /// One line on what it waits for.
  std::string why_idle() const;
  std::size_t offers_known() const { return offers_.size(); }
  /// Offers that this farmer could still be awarded units of.
  std::size_t open_offers() const;
  std::size_t running() const { return running_.size(); }
  const CreditPolicy& credit() const { return credit_; }
  bool paused() const { return paused_since_ms_.has_value(); }
  /// An offer that is open, or a lease, is about units of this task that have not run.
  bool in_sight(const TaskId& task) const;
  /// An open lease needs it: whoever keeps runtimes must not let it go.
  bool uses(const RuntimeId& runtime) const;

 private:
  struct KnownOffer {
    Offer offer;
    Signed message;
    bool bid_sent = false;
    Micro asked_micro = 0, asked_before_micro = 0;  // in the last two bids: an award for the older may be on its way
    bool over = false;
    std::optional<Signed> closed;  // the requester's word that it is over
    TimeMs heard_ms = 0;
    bool leased = false;          // we worked for it
    std::optional<ResultId> result;  // what its requester asked us to keep alive
    std::string declined;         // reason word
  };
  enum class Step : std::uint8_t { waiting, running, ran, revealed };
  struct UnitWork {
    Step step = Step::waiting;
    std::uint64_t job = 0;
    Vote vote;
    Extra extra;
    bool commit_due = false;
    int sandbox_failures = 0;
  };
  struct Lease {
    Offer offer;
    OfferId offer_id;
    Award award;
    Signed message;
    TimeMs until_ms = 0;
    TimeMs hold_expiry_ms = 0;
    std::map<UnitNumber, UnitWork> units;
  };
  enum class TaskState : std::uint8_t { unknown, fetching, ready };
  struct KnownTask {
    TaskState state = TaskState::unknown;
    // Of the manifest, once it is ready: what an offer must say too.
    UnitNumber units = 0;
    std::int64_t batch = 1;
    Resources resources;
    std::string runtime;
    bool contradicts(const Offer& offer) const {
      return state == TaskState::ready && (units != offer.units || batch != offer.batch || resources != offer.resources || runtime != offer.runtime);
    }
  };
  enum class RuntimeState : std::uint8_t { unknown, preparing, ready, lost };
  struct Audit {
    bool under_way = false;
    TimeMs ended_ms = 0;               // the last one
    std::string problem;               // why it failed, if it did
    std::optional<TimeMs> verified_ms; // the last one that held
    std::uint64_t blocks = 0;          // that were public then
    Micro unproved_micro = 0;
  };
  struct Runtime { RuntimeState state = RuntimeState::unknown; std::string problem; TimeMs retry_ms = 0; };

  void on(const PeerCame&);
  void on(const PeerLeft&);
  void on(const MessageCame&);
  void on(const BlockWritten&);
  void on(const BlockRefused&);
  void on(const WePaid&);
  void on(const ChainVouches&);
  void on(const ChainAudited&);
  void on(const AuditFailed&);
  void on(const KeyCaught&);
  void on(const TaskReady&);
  void on(const TaskLost&);
  void on(const RuntimeReady&);
  void on(const RuntimeLost&);
  void on(const UnitRan&);
  void on(const HoldBad&);
  void on(const ResultMirrored&);
  void on(const TaskWatched&);
  void on(const PauseWork&);
  void on(const ResumeWork&);
  void on(const Leave&) { leaving_ = true; }
  void on(const Tick&);

  void on_offer(const NodeKey& from, const Signed& message);
  void on_award(const NodeKey& from, const Signed& message);
  void on_commit_set(const NodeKey& from, const Signed& message);
  void on_verdict(const NodeKey& from, const Signed& message);
  void on_done(const NodeKey& from, const Done& done);
  void on_close(const NodeKey& from, const Signed& message);

  std::string why_decline(const Offer& offer) const;
  Micro ask_for(const Offer& offer) const;
  bool will_work_for(const KnownOffer& known, Micro price) const;
  void bid_at_new_prices();
  void answer(KnownOffer& known, const OfferId& id);
  void bid_anew(KnownOffer& known, const OfferId& id);
  void need_task(const Offer& offer);
  bool runtime_ready(const Offer& offer);
  std::string runtime_problem(const Offer& offer) const;
  bool awaits_runtime(const Offer& offer) const;
  std::string problem_of(const Offer& offer, const std::string& reason) const;
  bool needs_no_audit(const NodeKey& key) const;
  Micro unaudited_room(const NodeKey& key, const OfferId* offer) const;
  void want_audit(const Offer& offer, bool at_once);
  std::string audit_problem(const NodeKey& key) const;
  std::int64_t queue_by_audit(const Offer& offer, const OfferId& id, Micro price, std::int64_t queue);
  std::optional<Refuse> audit_refusal(const Offer& offer, const Award& award, const Block& hold);
  void say_again_to(const NodeKey& key);
  void retry_audits();
  void retry_owing();
  void keep_unpaid(const AwardId& award, const NodeKey& key, Micro amount);
  void bid_again(const RuntimeId& runtime);
  void retry_runtimes();
  static bool waits_for_task(const Lease& lease);
  static bool all_ran(const Lease& lease);
  static Bytes vote_key(const AwardId& award, UnitNumber unit);
  std::int64_t slots_for(const Resources& resources) const;
  std::int64_t memory_in_use() const;
  std::int64_t load_per_mille() const;
  void bid_again();
  void give_back_when_paused_too_long();
  std::optional<TimeMs> gives_back_ms() const;
  void start_units();
  void end_idle();
  void send_commits();
  void reveal(Lease& lease, const std::vector<UnitNumber>& units);
  TimeMs ends_ms(const Lease& lease) const;
  void drop_lease(const AwardId& id, const std::string& why);
  bool room_for(const Offer& offer, const NodeKey& from);
  void pass_on_offers(const NodeKey& to);
  bool voted_elsewhere(const ResultId& result, const AwardId& award) const;
  void refuse(const NodeKey& to, const Hash& about, std::string reason, std::string detail);
  template <class E> void emit(E effect) { effects_.emplace_back(std::move(effect)); }
  void note(std::string what, std::vector<std::pair<std::string, std::string>> fields) { emit(Note{std::move(what), std::move(fields)}); }

  FarmerOptions options_;
  TimeMs now_ = 0;
  bool leaving_ = false;
  std::optional<TimeMs> paused_since_ms_;
  std::string pause_reason_;
  std::set<NodeKey> up_, caught_;
  std::map<OfferId, KnownOffer> offers_;
  std::set<TaskId> watched_;
  std::map<TaskId, KnownTask> tasks_;
  std::map<RuntimeId, Runtime> runtimes_;
  std::map<AwardId, Lease> leases_;
  std::map<std::uint64_t, std::pair<AwardId, UnitNumber>> running_;
  std::set<TaskId> ran_;               // tasks that units ran of, until nothing more is in sight
  bool less_in_sight_ = false;         // an offer or a lease is over, or a unit has run
  std::map<ResultId, NodeKey> mirror_asked_;
  std::uint64_t next_job_ = 1;
  WorkEstimate work_;
  TimeMs reprice_ms_ = 0;
  CreditPolicy credit_;
  std::set<OfferId> owing_;            // declined because their requesters may owe us no more
  bool credit_changed_ = false;
  TimeMs owing_retry_ms_ = 0;
  std::map<NodeKey, Audit> audits_;
  std::set<OfferId> cut_short_;        // bid fewer units, or none, for want of an audit
  TimeMs audits_retry_ms_ = 0;
  std::set<AwardId> commits_due_;
  std::vector<FarmerEffect> effects_;
};

inline constexpr std::size_t max_offers_known = 10'000;
inline constexpr std::size_t max_offers_of_one = 256;     ///< of one requester: keys are free, but each needs its own channel to be preferred
inline constexpr std::size_t max_offers_passed_on = 256;  ///< to a node that comes; below swarm's max_backlog_bytes with the largest offers
inline constexpr std::size_t max_leases = 4'096;
inline constexpr int max_sandbox_failures = 3;
inline constexpr TimeMs pause_patience_ms = 120'000;  ///< units that stand still for longer go back to their requesters
inline constexpr TimeMs meet_wait_ms = 30'000;        ///< how long a requester that only its offer told of is counted on
inline constexpr TimeMs runtime_retry_ms = 600'000;  ///< a runtime that could not be had is tried again after this long
inline constexpr TimeMs reprice_every_ms = 10'000;   ///< bids whose price is off by a tenth are made anew
inline constexpr TimeMs owing_retry_every_ms = 60'000;  ///< old debts of strangers fade: who may owe us no more is looked at again
inline constexpr TimeMs audit_kept_ms = 1'800'000;      ///< an audit is good for so long, and is made again in the second half
inline constexpr TimeMs audit_retry_ms = 30'000;        ///< a chain that could not be had is looked for again
inline constexpr std::size_t max_audits_known = 4'096;
inline constexpr TimeMs lease_slack_ms = 30'000;  ///< kept after a lease's end, in case the requester's clock or channel is late

}  // namespace tnode
