// Who may owe this node how much: the farmer's policy. A key may owe what it earned here, what others who earned here vouch for, and its own
// line; all strangers together share one pool, so that a thousand new keys gain no more than one. docs/credit.md has the model and its bound.
// Pure: fed with the own chain's payments, promises and verified chains of others; knows no clock and no store.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/block.h"
#include "core/trust_flow.h"

namespace tnode {

struct CreditTerms {
  Micro line_micro = 1000 * credit_micro;          ///< how far below zero a key's own chain may stand, if it has no line of its own here
  Micro stranger_cap_micro = 1000 * credit_micro;  ///< what all keys without a line may owe together, beyond what was earned
  std::map<NodeKey, Micro> lines;                  ///< what these keys may owe, each by itself; 0: only what it earned
  bool operator==(const CreditTerms&) const = default;
};

/// Why a key may owe what it may owe.
struct Standing {
  bool named = false;           ///< has a line of its own; else it is one of the strangers
  Micro line_micro = 0;
  Micro worked_micro = 0;       ///< we paid it so far: what it did for us
  Micro taken_micro = 0;        ///< what we did for it: paid by owing, or not at all
  Micro unpaid_micro = 0;       ///< of that, handed over and never paid
  Micro claim_micro = 0;        ///< worked − taken, when that is positive: it may have so much done here
  Micro debt_micro = 0;         ///< taken − worked, when that is positive, less what is written off
  Micro written_off_micro = 0;
  Micro promised_micro = 0;     ///< HOLDs of leases that are not settled yet
  std::map<NodeKey, Micro> vouchers;  ///< who earned here and paid it for work elsewhere, and how much each can carry at most
  Micro strangers_micro = 0, stranger_cap_micro = 0;  ///< what strangers owe together, and may
  Micro room_micro = 0;         ///< what it may owe more, now
  bool operator==(const Standing&) const = default;
};
/// In a sentence, for the one who asks for work.
std::string why(const Standing& standing);

class CreditPolicy {
 public:
  explicit CreditPolicy(CreditTerms terms = {}) : terms_(std::move(terms)) {}

  /// An own DEBIT or CREDIT, in the order of the chain; other blocks and repeats are passed over. A CREDIT that is no pay for work that was
  /// leased (`for_work` false) is a gift: nothing was given for it, so nothing is owed. True when it was new.
  bool book(const Block& own, bool for_work = true);
  /// What an award that was accepted may come to, until end_promise.
  void promise(const AwardId& award, const NodeKey& key, Micro amount);
  void end_promise(const AwardId& award);
  Micro promised(const NodeKey& key) const;
  Micro promised_for(const AwardId& award) const;
  /// Work of that award was handed over and is not paid: owed like what was paid by owing, whatever the verdict said, or whoever takes results
  /// and never pays would never owe anything. Said again, it replaces what was said; zero takes it back.
  void unpaid(const AwardId& award, const NodeKey& key, Micro amount, TimeMs since);
  /// What that key has not paid of that award.
  Micro unpaid(const AwardId& award, const NodeKey& key) const;
  /// By its verified chain, `voucher` owes these keys for work; replaces what was known of it. Passed over when most_vouchers are known.
  void vouch(const NodeKey& voucher, std::map<NodeKey, Micro> owed);

  Standing standing(const NodeKey& key, TimeMs now) const;
  Micro room(const NodeKey& key, TimeMs now) const;
  /// Of that room what does not lean on the strangers' pool.
  Micro trusted_room(const NodeKey& key, TimeMs now) const;
  /// How far below zero its own chain may stand.
  Micro line_of(const NodeKey& key) const;
  const CreditTerms& terms() const { return terms_; }
  /// Everyone who dealt with us, or has a line.
  std::set<NodeKey> keys() const;
  /// Those whose chains would tell of others: they earned here, the largest claim first.
  std::vector<NodeKey> vouchers() const;

 private:
  struct Account {
    Micro net = 0;            // worked − taken
    Micro debt = 0;           // of a negative net what is not written off, as of `faded_ms`
    TimeMs faded_ms = 0;
    Micro worked = 0, taken = 0, unpaid = 0;
    Micro promised = 0;
    Micro debt_at(TimeMs now) const;
    /// More of one or the other; negative for what is taken back.
    void add(Micro worked_more, Micro taken_more, TimeMs when);
  };
  struct Unpaid { NodeKey key; Micro amount = 0; };
  /// All demands of a moment, summed up where nothing tells them apart. Kept up to date by each change, counted anew when a minute is over.
  struct Sums {
    TimeMs now = 0;
    Micro strangers = 0;                           // of those who can lean on the pool alone
    Micro beyond_lines = 0;                        // of those who can lean on their lines alone: lent under other terms
    std::map<NodeKey, Micro> leaning;              // of vouchers, and of those who are vouched for
  };
  /// And in their places.
  struct Flow {
    TrustFlow flow;
    std::size_t pool = 0;
    Micro unplaced = 0;                            // lent under other terms, or on a chain that says something else by now
    std::map<NodeKey, std::size_t> supports, debtors;
  };
  Micro claim_left(const NodeKey& key) const;
  Micro before_line(const NodeKey& key, const Account& account, TimeMs now) const;
  Micro demand(const NodeKey& key, const Account& account, TimeMs now) const;
  bool vouched_for(const NodeKey& key) const { return vouched_by_.count(key) != 0; }
  void connect(Flow& flow, std::size_t debtor, const NodeKey& key) const;
  void count(Sums& sums, const NodeKey& key, const Account& account, bool in) const;
  template <class Change>
  void change(const NodeKey& key, Change apply);
  const Sums& sums(TimeMs now) const;
  const Flow& flow(TimeMs now) const;
  Micro room_in(const Flow& flow, const NodeKey& key) const;

  CreditTerms terms_;
  std::map<NodeKey, Account> accounts_;
  std::optional<std::uint64_t> booked_seq_;
  std::map<AwardId, std::pair<NodeKey, Micro>> promises_;
  std::map<AwardId, Unpaid> unpaid_;
  std::map<NodeKey, std::map<NodeKey, Micro>> vouches_;       // by voucher
  std::map<NodeKey, std::set<NodeKey>> vouched_by_;           // who is in a voucher's list
  mutable std::optional<Sums> sums_;
  mutable std::optional<Flow> flow_;                          // of these sums; reset by every change
};

/// What a stranger owes is written off slowly: half of it in so long. Who may repay by work is never written off.
inline constexpr TimeMs write_off_half_life_ms = 30LL * 86'400'000;
inline constexpr TimeMs sums_kept_ms = 60'000;                ///< what fades meanwhile is not lent yet
inline constexpr std::size_t most_vouchers = 256;             ///< whose chains count; the largest claims first
inline constexpr std::size_t most_vouched_by_one = 4'096;

}  // namespace tnode
