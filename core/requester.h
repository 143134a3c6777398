// The requester of one task, as a pure state machine: events in, effects out. No clock, socket, file or hidden randomness.
// It leases units to bidders, collects commits and reveals, decides by quorum, pays once per award, and ends.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "core/effects.h"
#include "core/messages.h"
#include "core/quorum.h"
#include "core/reputation.h"

namespace tnode {

// --- effects that only a requester has ---
struct WriteHold { AwardId award; NodeKey payee; Hash ref; Hash evidence; Micro amount = 0; TimeMs expiry_ms = 0; };
struct WriteDebit { AwardId award; Hash ref; Hash evidence; Micro amount = 0; };
struct WriteRelease { AwardId award; Hash ref; Hash evidence; };
/// Get an accepted unit's files: from `inline_files` when given, else from the swarm, starting with `holders`.
struct FetchResult { UnitNumber unit = 0; ResultId result; Outcome outcome; std::array<std::uint8_t, 20> v1_hash{}; std::vector<NodeKey> holders;
                     bool inlined = false; std::vector<InlineFile> inline_files; };
/// What became of units that a farmer was given: evidence, kept by the day; answers Witnessed.
struct Witness { NodeKey farmer; Sight sight = Sight::agreed; std::int64_t units = 1; };
/// All units are in: merge them into the whole result.
struct AssembleResult {};
enum class Ending : std::uint8_t { done, failed, no_quorum, timeout, no_bids, no_credit, cancelled, error };
std::string_view ending_word(Ending ending);
/// The task is over.
struct Finished { Ending ending = Ending::done; std::string reason; };

using RequesterEffect = std::variant<Send, Save, Erase, Note, WriteHold, WriteDebit, WriteRelease, Witness, FetchResult, AssembleResult, Finished>;

// --- events ---
struct ResultFetched { UnitNumber unit = 0; bool ok = false; std::string reason; };
struct ResultAssembled { bool ok = false; bool tasks_fault = false; std::string reason; ResultId result; std::array<std::uint8_t, 20> v1_hash{}; std::int64_t bytes = 0;
                        Hash certificate; std::array<std::uint8_t, 20> certificate_v1{}; };
/// The whole row of a day, whichever task of this node brought what is new in it.
struct Witnessed { EvidenceRow row; };
struct CancelTask {};
using RequesterEvent = std::variant<PeerCame, PeerLeft, MessageCame, BlockWritten, BlockRefused, KeyCaught, Witnessed, ResultFetched, ResultAssembled, CancelTask, Tick>;

struct RequesterOptions {
  Offer offer;                  ///< complete but for nothing: signed by the requester on construction
  const KeyPair* key = nullptr;
  Seed draw_seed{};             ///< hash of it is offer.draw_commitment
  TimeMs queue_ms = 600'000;    ///< longest wait without a usable bid
  TimeMs total_ms = 86'400'000; ///< all of it
};

class Requester {
 public:
  explicit Requester(RequesterOptions options);
  /// Records of an earlier run, before the first event: all of bucket "unit" first, then all of "award". Others' records are passed over.
  void restore_unit(std::string_view key, std::string_view value);
  void restore_award(std::string_view value);
  void restore_paid(std::string_view key, std::string_view value);  ///< of bucket "paid"
  void know(const EvidenceRow& row);

  /// Takes everything that happened since the last step; decides once for all of it.
  std::vector<RequesterEffect> step(TimeMs now, const std::vector<RequesterEvent>& events);
  /// When the next Tick is due at the latest; absent when nothing waits for time.
  TimeMs next_deadline(TimeMs now) const;

  const Offer& offer() const { return offer_; }
  const OfferId& id() const { return id_; }
  const Signed& signed_offer() const { return offer_message_; }
  bool finished() const { return finished_; }
  bool owns(const AwardId& award) const { return awards_.count(award) != 0; }

  struct Counts { UnitNumber units = 0, open = 0, leased = 0, accepted = 0, failed = 0, disputed = 0; Micro paid_micro = 0; std::int64_t replicas = 0; };
  Counts counts() const;
  /// Accepted results by unit, with the signed reveals that agreed: the certificate's raw material.
  struct Accepted { ResultId result; std::array<std::uint8_t, 20> v1_hash{}; Outcome outcome; std::vector<NodeKey> farmers; std::string detail, stderr_tail; };
  std::map<UnitNumber, Accepted> accepted() const;
  /// One of them; null while the unit is not accepted.
  const Accepted* accepted(UnitNumber unit) const;
  /// What each farmer was paid for this offer so far.
  const std::map<NodeKey, Micro>& paid_by_farmer() const { return paid_by_farmer_; }
  /// What units wait for while nobody works on any; empty when somebody does, and once it is over.
  std::string waiting_for() const;
  /// Why it is not moving, farmer by farmer; once it is over, what came of each.
  std::vector<std::pair<NodeKey, std::string>> explain(TimeMs now) const;

 private:
  struct Peer {
    bool up = false;
    bool caught = false;            // cheated with its credits: gets nothing more to do
    TimeMs left_ms = 0;
    bool answered = false;          // a bid or a refusal came
    std::optional<Bid> bid;
    std::string kind;               // of its last bid: what its results may depend on besides the task
    std::string refusal;            // why there is no usable bid
    std::int64_t outstanding = 0;   // units leased and not run: a committed one takes no place in a farmer's queue
    std::int64_t window = 0;        // most that it may hold now: grows while it is quick, so that late comers find work too
    TimeMs paused_until_ms = 0;     // after a refused or lost award
    TimeMs too_dear_until_ms = 0;   // after a HOLD for it was refused
    int strikes = 0;                // awards refused or left to lapse since it last showed a vote
  };
  enum class AwardState : std::uint8_t { holding, sent, accepted, lost, settling, settled };
  struct AwardRecord {
    Award award;
    Signed message;                 // empty until the HOLD is written
    AwardState state = AwardState::holding;
    TimeMs sent_ms = 0, lease_until_ms = 0;
    std::map<UnitNumber, Hash> commits;
    std::set<UnitNumber> asked;     // in a commit set that it has heard, as far as we know
    std::set<UnitNumber> ever_asked;
    int renewals = 0;               // how often a wait began anew because its channel broke
    std::map<UnitNumber, Vote> votes;
    Hash ref;
    bool lost = false;              // its lease ended with votes missing
    std::map<UnitNumber, UnitVerdict> verdict;
  };
  struct CastVote { Vote vote; AwardId award; Signed reveal; Extra extra; };
  enum class UnitState : std::uint8_t { open, accepted, disputed };
  struct Unit {
    UnitState state = UnitState::open;
    std::int64_t want = 0;          // replicas to have
    std::map<NodeKey, AwardId> active;    // leased, no vote yet
    std::map<NodeKey, CastVote> votes;
    Accepted accepted;
    bool fetched = false;
    bool fetching = false;
    int fetch_failures = 0;
    TimeMs fetch_again_ms = 0;
  };

  void on(const PeerCame&);
  void on(const PeerLeft&);
  void on(const MessageCame&);
  void on(const BlockWritten&);
  void on(const BlockRefused&);
  void on(const KeyCaught&);
  void on(const Witnessed& event) { know(event.row); }
  void on(const ResultFetched&);
  void on(const ResultAssembled&);
  void on(const CancelTask&);
  void on(const Tick&) {}

  void on_bid(const NodeKey& from, const Bid& bid);
  void on_accept(const NodeKey& from, const Accept& accept);
  void on_commit(const NodeKey& from, const Signed& message);
  void on_reveal(const NodeKey& from, const RevealMessage& message);
  void on_credit(const NodeKey& from, const Credit& credit);
  void on_refuse(const NodeKey& from, const Refuse& refuse);

  void decide();                       // everything below, in order, once per step
  bool awaited(const AwardRecord& record) const;
  bool lacks_vote(const AwardRecord& record, UnitNumber unit) const;
  bool has_all_votes(const AwardRecord& record) const;
  bool at_work() const;
  void end_leases();
  void decide_units();
  void ask_for_reveals();
  void settle_awards();
  void lease_units();
  void fetch_results();
  void finish_if_over();
  void finish(Ending ending, std::string reason);
  void close();

  /// `sight`: what it says of its farmer, when it says something.
  void lose_award(AwardRecord& record, const std::string& why, TimeMs strike_ms, std::optional<Sight> sight);
  void make_award(const NodeKey& farmer, std::vector<UnitNumber> units);
  bool may_lease_now() const;
  bool usable(const Peer& peer) const;
  std::int64_t capacity(const Peer& peer) const;
  using Kinds = std::map<std::string, std::vector<NodeKey>>;
  using Pool = std::vector<std::pair<NodeKey, std::uint64_t>>;  // bidders and their weights in the draw
  bool deal(Pool pool, std::size_t share, const Kinds& kinds, const std::vector<NodeKey>& undoubted);
  bool fits_kind(const Unit& unit, const NodeKey& farmer, const Kinds& kinds) const;
  static void widen(Peer& peer, TimeMs took_ms);
  std::uint64_t draw(std::uint64_t bound);
  void refuse(const NodeKey& to, const Hash& about, std::string reason, std::string detail);
  void save_award(const AwardRecord& record);
  AwardRecord* award_of(const NodeKey& from, const AwardId& id);
  void witness(const NodeKey& farmer, Sight sight, std::int64_t units = 1);
  void witness_votes(const std::map<NodeKey, ResultId>& votes, const ResultId& accepted);
  const Reputation& reputation(const NodeKey& farmer);
  std::int64_t first_replicas(const NodeKey& farmer);
  void doubt(UnitNumber unit);
  static bool others_may_take(const Unit& unit, const std::vector<NodeKey>& undoubted);
  void reopen(UnitNumber unit);
  template <class E> void emit(E effect) { effects_.emplace_back(std::move(effect)); }
  void note(std::string what, std::vector<std::pair<std::string, std::string>> fields) { emit(Note{std::move(what), std::move(fields)}); }

  Offer offer_;
  Signed offer_message_;
  OfferId id_;
  const KeyPair* key_;
  Seed draw_seed_;
  std::uint64_t draws_ = 0;
  std::uint64_t award_counter_ = 0;
  TimeMs queue_ms_, total_ms_;
  TimeMs now_ = 0;
  TimeMs started_ms_ = 0;              // 0: not started
  TimeMs stalled_since_ms_ = 0;        // 0: something moves
  TimeMs enough_bids_ms_ = 0;          // when `agree` bidders were first there
  bool first_lease_done_ = false;
  TimeMs credit_refused_ms_ = 0;       // when the last HOLD was refused
  std::string credit_problem_;

  std::map<NodeKey, Peer> peers_;
  struct Known { EvidenceRows rows; Reputation reputation; EvidenceDay figured_on = -1; };
  std::map<NodeKey, Known> known_;
  std::vector<Unit> units_;
  std::set<UnitNumber> hungry_;        // open units whose replicas are fewer than wanted
  std::set<UnitNumber> touched_;       // units whose commits or votes changed in this step
  std::map<AwardId, AwardRecord> awards_;
  std::set<AwardId> unsettled_;
  std::map<UnitNumber, Unit*> unfetched_;
  UnitNumber open_units_ = 0, unfetched_count_ = 0;
  Micro paid_micro_ = 0;
  std::map<NodeKey, Micro> paid_by_farmer_;

  bool assembling_ = false, assembled_ = false, finished_ = false;
  std::optional<Finished> closing_;    // how it ends, once every award is settled
  ResultAssembled whole_;
  TimeMs linger_until_ms_ = 0;
  std::set<NodeKey> mirrors_;
  std::set<AwardId> uncredited_;
  std::vector<RequesterEffect> effects_;
};

/// "1 farmer", "2 farmers".
std::string counted(std::int64_t count, const std::string& word);
/// Units as a note shows them: "3", or "0…7 (8)".
std::string units_text(const std::vector<UnitNumber>& units);

// Named waits.
inline constexpr TimeMs bid_window_ms = 40;            ///< after enough bids are in, how long others may still join the first draw
inline constexpr TimeMs accept_wait_ms = 10'000;       ///< an award that is not accepted by then is lost
inline constexpr TimeMs reveal_wait_ms = 30'000;       ///< a farmer that is asked for its votes has at least this long to show them
inline constexpr int max_renewals = 8;                 ///< how often one award's wait may begin anew after a broken channel: who never answers loses its lease
inline constexpr TimeMs absence_grace_ms = 8'000;      ///< a farmer whose channel is gone this long loses its leases
inline constexpr TimeMs fetch_allowance_ms = 120'000;  ///< added to a lease for getting the task
inline constexpr TimeMs quick_award_ms = 500;          ///< a farmer that commits to a whole award within this gets twice as much the next time
inline constexpr TimeMs slow_award_ms = 4'000;         ///< one that takes longer than this gets half as much
inline constexpr std::int64_t units_per_slot = 2;      ///< where the window begins: one to run, one to follow
inline constexpr TimeMs lost_pause_ms = 5'000;         ///< a farmer that lost a lease gets no new one for this long
inline constexpr TimeMs max_pause_ms = 3'600'000;      ///< the longest of these pauses, which grow with each award that comes to nothing
inline constexpr TimeMs linger_ms = 3'000;             ///< after the end: wait for credits and for a mirror of the result
inline constexpr TimeMs credit_retry_ms = 500;         ///< after a HOLD was refused: other awards may free what they held
inline constexpr TimeMs refetch_ms = 1'000;
inline constexpr int max_fetch_failures = 10;
inline constexpr int max_fetch_failures_alone = 3;     ///< of a unit that one farmer decided alone: then another is asked

}  // namespace tnode
