// What two nodes say to each other about a task. Values and their canonical bencoded form (docs/wire.md).
// What must convince a third party later (offer, award, commit, commit set, reveal, verdict) carries its author's signature.
#pragma once
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/block.h"
#include "core/crypto.h"
#include "core/execution.h"
#include "core/outcome.h"
#include "core/task.h"
#include "core/types.h"

namespace tnode {

/// A unit's dearest price: times the most units of a task it is still an amount.
inline constexpr Micro max_unit_price_micro = std::numeric_limits<Micro>::max() / (1 << 24);

/// A requester's signed terms for a task.
struct Offer {
  TaskId task;
  std::array<std::uint8_t, 20> v1_hash{};  ///< finds the task's swarm
  NodeKey requester;
  std::string name;                        ///< for people
  std::string endpoint;                    ///< "IP:PORT" where the requester listens, or empty
  UnitNumber units = 1;
  std::int64_t batch = 1;                  ///< indices per unit
  Micro max_price_micro = 0;               ///< per unit
  std::int64_t agree = 2, max_replicas = 5;
  bool adaptive = false;                   ///< a unit may be decided by one farmer alone, of a proven record: nobody knows beforehand which
  TimeMs created_ms = 0, expires_ms = 0;
  TimeMs run_ms = 0;                       ///< one index's wall time
  Resources resources;
  std::string runtime = "host";
  std::vector<std::string> runtime_peers;  ///< "HOST:PORT" of nodes that have the runtime, besides the requester
  std::string warm;                        ///< how the task may be run faster, for farmers that know the word; changes no result
  Hash draw_commitment;                    ///< hash of the seed behind every random choice (section 5)
};

/// A farmer's answer to an offer.
struct Bid {
  OfferId offer;
  Micro price_micro = 0;       ///< per unit
  std::int64_t slots = 1;      ///< units run side by side
  std::int64_t queue = 1;      ///< units held at once, running or waiting
  std::string limit_mode;      ///< how limits are enforced: "cgroup2", "cgroup1", "watchdog"
  std::string platform;        ///< "debian-12/x86_64": what runtime: host means there
  Micro cpu_second_micro = 0;  ///< what a CPU-second is asked for, of which the price follows; 0: it is the same for every unit
};

/// Units leased to one farmer, with the money put aside for them.
struct Award {
  OfferId offer;
  AwardId award;
  TaskId task;
  NodeKey farmer;
  std::vector<UnitNumber> units;  ///< ascending
  Micro price_micro = 0;          ///< per unit
  TimeMs lease_ms = 0;            ///< duration
  Bytes hold;                     ///< encoded HOLD block
};

struct Accept { AwardId award; };

/// For each unit the hash of a vote that is not shown yet.
struct Commit {
  AwardId award;
  std::map<UnitNumber, Hash> units;
};

/// For each unit all the commits that stand: after this, votes are shown.
struct CommitSet {
  AwardId award;
  std::map<UnitNumber, std::map<NodeKey, Hash>> units;
};

/// One farmer's vote on one unit.
struct Vote {
  ResultId result;
  Hash nonce;
  Outcome outcome;
  Usage usage;
};
struct Reveal {
  AwardId award;
  std::map<UnitNumber, Vote> units;
};

/// A small result's files, carried beside the vote; checked by rebuilding the torrent.
struct InlineFile { std::string path; bool executable = false; Bytes content; };
struct Extra {
  std::vector<InlineFile> files;  ///< everything of the bundle, when `inlined`
  bool inlined = false;
  std::array<std::uint8_t, 20> v1_hash{};
  std::string detail;             ///< failure_detail, for people
  std::string stderr_tail;
};
/// A signed reveal and what travels beside it.
struct RevealWithExtras { std::map<UnitNumber, Extra> extras; };

enum class UnitVerdict : std::uint8_t { accepted = 0, dissented = 1, disputed = 2, dropped = 3 };
struct Verdict {
  AwardId award;
  std::map<UnitNumber, UnitVerdict> units;
  Bytes block;  ///< encoded DEBIT, or RELEASE when nothing is paid
};

struct Credit { AwardId award; Bytes block; };

/// A DEBIT outside of any task (core/payment.h), made out to the receiver; answered by a Credit whose award is the block's ref.
struct PaymentNotice { Bytes block; };

/// A proof of fraud (core/fraud.h), handed on to whoever may deal with its author.
struct FraudNotice { std::vector<Bytes> blocks; };

/// What do you have of my own chain, from that seq on? Always answered. Asked on each new channel: who was put back to an earlier state
/// hears of it from his counterparties before he signs anything for them.
struct AskBlocks { std::uint64_t from = 0; };
/// Blocks of the asker's chain by ascending seq, each followed by the answerer's half of that payment; the first of them, when there are more.
struct OwnBlocks { std::vector<Bytes> blocks; };

/// The task is over: where the whole result is, so that farmers can keep it alive.
struct Done {
  OfferId offer;
  ResultId result;
  std::array<std::uint8_t, 20> v1_hash{};
  std::int64_t bytes = 0;
  Hash certificate;                               ///< bundle that proves who agreed; zero when there is none
  std::array<std::uint8_t, 20> certificate_v1{};
};
struct Mirrored { ResultId result; };

/// Anyone may ask a node for the proof of a result; a node that knows none says nothing.
struct AskCertificate { ResultId result; };
struct CertificateAt { ResultId result; Hash certificate; std::array<std::uint8_t, 20> certificate_v1{}; };

/// The requester ends the offer, whatever became of it: leases are void, and nobody passes the offer on any more.
struct Close { OfferId offer; };

/// A named reason why something was not done.
struct Refuse {
  Hash about;            ///< offer or award id
  std::string reason;    ///< one word, documented in docs/wire.md
  std::string detail;
};

/// A signed body: what third parties check.
struct Signed {
  Bytes body;
  Signature signature{};
};

/// Bodies, canonical. Each decode re-encodes and compares.
Bytes encode(const Offer&);
Bytes encode(const Award&);
Bytes encode(const Commit&);
Bytes encode(const CommitSet&);
Bytes encode(const Reveal&);
Bytes encode(const Verdict&);
Bytes encode(const Close&);
Result<Offer> decode_offer(std::string_view body);
Result<Award> decode_award(std::string_view body);
Result<Commit> decode_commit(std::string_view body);
Result<CommitSet> decode_commit_set(std::string_view body);
Result<Reveal> decode_reveal(std::string_view body);
Result<Verdict> decode_verdict(std::string_view body);
Result<Close> decode_close(std::string_view body);

OfferId offer_id(std::string_view offer_body);

/// What a frame of the channel holds.
struct OfferMessage { Signed offer; };
struct BidMessage { Bid bid; };
struct AwardMessage { Signed award; };
struct AcceptMessage { Accept accept; };
struct CommitMessage { Signed commit; };
struct CommitSetMessage { Signed commit_set; };
struct RevealMessage { Signed reveal; RevealWithExtras beside; };
struct VerdictMessage { Signed verdict; };
struct CreditMessage { Credit credit; };
struct PaymentMessage { PaymentNotice payment; };
struct FraudMessage { FraudNotice fraud; };
struct AskBlocksMessage { AskBlocks ask; };
struct BlocksMessage { OwnBlocks blocks; };
struct DoneMessage { Done done; };
struct MirroredMessage { Mirrored mirrored; };
struct CloseMessage { Signed close; };
struct RefuseMessage { Refuse refuse; };
struct AskCertificateMessage { AskCertificate ask; };
struct CertificateAtMessage { CertificateAt at; };
using Message = std::variant<OfferMessage, BidMessage, AwardMessage, AcceptMessage, CommitMessage, CommitSetMessage,
                             RevealMessage, VerdictMessage, CreditMessage, DoneMessage, MirroredMessage, CloseMessage, RefuseMessage, AskCertificateMessage, CertificateAtMessage,
                             PaymentMessage, FraudMessage, AskBlocksMessage, BlocksMessage>;

Bytes encode_message(const Message& message);
/// Canonical or refused.
Result<Message> decode_message(std::string_view frame);

/// Signature domains, one per kind of body.
inline constexpr std::string_view offer_domain = "offer", award_domain = "award", commit_domain = "commit",
                                  commit_set_domain = "commit-set", reveal_domain = "reveal", verdict_domain = "verdict", close_domain = "close";
Signed sign_body(const KeyPair& key, std::string_view domain, Bytes body);
bool verify_body(const NodeKey& key, std::string_view domain, const Signed& signed_body);

/// H(domain, task, unit, award, result, nonce, outcome, key): what a commit shows of a vote.
Hash commitment(const TaskId& task, UnitNumber unit, const AwardId& award, const NodeKey& farmer, const Vote& vote);
/// H(task, units, award): the `ref` of every block of one award.
Hash award_ref(const TaskId& task, const std::vector<UnitNumber>& units, const AwardId& award);

inline constexpr std::size_t max_units_per_award = 64;
inline constexpr std::size_t max_runtime_peers = 4;          ///< each is somebody whom an offer makes every farmer dial
inline constexpr std::size_t max_inline_bytes = 2048;        ///< a larger result is fetched from its swarm
inline constexpr std::size_t max_units_per_message = 16;     ///< keeps a frame with extras below 16 KiB with inline_budget
inline constexpr std::size_t inline_budget_bytes = 8 << 10;  ///< extras in one reveal message
inline constexpr std::size_t max_blocks_per_message = 48;    ///< of 312 bytes: a frame holds no more
inline constexpr std::size_t max_tail_bytes = 1024;          ///< stderr tail in a reveal

}  // namespace tnode
