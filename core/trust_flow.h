// A flow of debts to one node, at most two hops long: who owes it leans on what others earned from it, and on one pool that all strangers
// share. Every debt needs room of its own; what one debt leans on, no other can. Pure, and the same whatever the order of the debts.
#pragma once
#include <cstdint>
#include <vector>

#include "core/types.h"

namespace tnode {

class TrustFlow {
 public:
  /// Something that debts can lean on, up to `room`: what a key earned, or the strangers' pool. Returns its number.
  std::size_t add_support(Micro room);
  /// Somebody who may owe. Returns its number.
  std::size_t add_debtor();
  /// The debtor may lean on that support, with at most `room`.
  void connect(std::size_t debtor, std::size_t support, Micro room);

  /// Finds room for `amount` more of that debtor's debt, moving other debts to other supports where that helps. Returns how much found room.
  Micro push(std::size_t debtor, Micro amount);
  /// What of a support is leaned on.
  Micro used(std::size_t support) const;
  /// How much of a debtor's debt leans on that support.
  Micro used(std::size_t debtor, std::size_t support) const;

 private:
  struct Edge { std::size_t support = 0; Micro room = 0, used = 0; };
  struct Support { Micro room = 0, used = 0; std::vector<std::pair<std::size_t, std::size_t>> edges; };  // debtor, place among its edges
  Micro push_once(std::size_t debtor, Micro amount);

  std::vector<Support> supports_;
  std::vector<std::vector<Edge>> debtors_;
};

}  // namespace tnode
