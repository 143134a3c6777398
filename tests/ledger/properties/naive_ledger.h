// What a ledger should do, said as plainly as possible: names, sums and a list of deals. No blocks, hashes, signatures or disks; whoever
// reads it sees that nothing is paid twice. The real store is compared with it operation by operation.
#pragma once
#include <map>
#include <optional>
#include <utility>

#include "core/types.h"

namespace tnode::properties {

/// What an operation comes to: a change, the same as before, or a refusal.
enum class Answer { done, repeated, credit, exists, not_found, invalid };

class NaiveLedger {
 public:
  explicit NaiveLedger(int own, Micro line) : own_(own), line_(line) {}

  Answer hold(int payee, int ref, Micro amount) {
    if (auto there = deals_.find(ref); there != deals_.end()) return there->second.payee == payee && there->second.amount == amount ? Answer::repeated : Answer::exists;
    if (amount < 0 || balance - held - amount < -line_) return Answer::credit;
    if (payee == own_) return Answer::invalid;
    deals_[ref] = {payee, amount, State::open};
    held += amount;
    return Answer::done;
  }
  Answer debit(int ref, Micro amount) {
    auto deal = deals_.find(ref);
    if (deal == deals_.end()) return Answer::not_found;
    if (deal->second.state == State::paid) return Answer::repeated;
    if (deal->second.state == State::released) return Answer::exists;
    if (amount < 0 || amount > deal->second.amount) return Answer::invalid;
    held -= deal->second.amount;
    balance -= amount;
    deal->second.state = State::paid;
    deal->second.paid = amount;
    return Answer::done;
  }
  Answer release(int ref) {
    auto deal = deals_.find(ref);
    if (deal == deals_.end()) return Answer::not_found;
    if (deal->second.state == State::released) return Answer::repeated;
    if (deal->second.state == State::paid) return Answer::exists;
    held -= deal->second.amount;
    deal->second.state = State::released;
    return Answer::done;
  }
  Answer pay(int payee, int ref, Micro amount) {
    if (amount <= 0 || payee == own_) return Answer::invalid;
    const Answer first = hold(payee, ref, amount);
    if (first != Answer::done && first != Answer::repeated) return first;
    return debit(ref, amount);
  }
  /// A payment of `payer` for its deal `ref`.
  Answer credit(int payer, int ref, Micro amount) {
    if (!credited_.insert({{payer, ref}, amount}).second) return Answer::repeated;
    balance += amount;
    return Answer::done;
  }
  std::optional<Micro> paid(int ref) const {
    auto deal = deals_.find(ref);
    return deal != deals_.end() && deal->second.state == State::paid ? std::optional(deal->second.paid) : std::nullopt;
  }
  bool credited(int payer, int ref) const { return credited_.count({payer, ref}) != 0; }
  /// Deals that were paid, with their payees.
  template <class Each>
  void each_paid(Each each) const {
    for (const auto& [ref, deal] : deals_)
      if (deal.state == State::paid) each(ref, deal.payee, deal.paid);
  }

  Micro balance = 0, held = 0;

 private:
  enum class State { open, paid, released };
  struct Deal { int payee = 0; Micro amount = 0; State state = State::open; Micro paid = 0; };
  int own_;
  Micro line_;
  std::map<int, Deal> deals_;
  std::map<std::pair<int, int>, Micro> credited_;
};

}  // namespace tnode::properties
