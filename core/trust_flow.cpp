#include "core/trust_flow.h"

#include <algorithm>
#include <deque>

#include "core/check.h"

namespace tnode {

std::size_t TrustFlow::add_support(Micro room) {
  check(room >= 0, "room is not negative");
  supports_.push_back({room, 0, {}});
  return supports_.size() - 1;
}

std::size_t TrustFlow::add_debtor() {
  debtors_.emplace_back();
  return debtors_.size() - 1;
}

void TrustFlow::connect(std::size_t debtor, std::size_t support, Micro room) {
  check(room >= 0, "room is not negative");
  supports_[support].edges.emplace_back(debtor, debtors_[debtor].size());
  debtors_[debtor].push_back({support, room, 0});
}

Micro TrustFlow::push(std::size_t debtor, Micro amount) {
  Micro found = 0;
  while (found < amount) {
    const Micro more = push_once(debtor, amount - found);
    if (more == 0) break;
    found += more;
  }
  return found;
}

/// The shortest way with room left (Edmonds and Karp, 1972): from the debtor to a support, from a support that is full to a debtor who leans
/// on it and could lean elsewhere, and so on.
Micro TrustFlow::push_once(std::size_t debtor, Micro amount) {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  struct Step { std::size_t debtor = none, edge = none; };
  std::vector<Step> to_support(supports_.size());      // the edge by which a support was reached
  std::vector<Step> to_debtor(debtors_.size());        // the edge of that debtor whose debt would be moved away
  std::vector<bool> seen(debtors_.size());
  std::deque<std::size_t> next{debtor};
  seen[debtor] = true;
  while (!next.empty()) {
    const std::size_t at = next.front();
    next.pop_front();
    for (std::size_t e = 0; e < debtors_[at].size(); ++e) {
      const Edge& edge = debtors_[at][e];
      if (edge.used >= edge.room || to_support[edge.support].debtor != none) continue;
      to_support[edge.support] = {at, e};
      const Support& support = supports_[edge.support];
      if (support.used < support.room) {
        // Back along the way: how much fits, then move it.
        Micro fits = std::min(amount, support.room - support.used);
        auto along = [&](auto&& each) {
          for (std::size_t s = edge.support;;) {
            const Step in = to_support[s];
            each(debtors_[in.debtor][in.edge], true);
            if (in.debtor == debtor) return;
            Edge& moved = debtors_[in.debtor][to_debtor[in.debtor].edge];
            each(moved, false);
            s = moved.support;
          }
        };
        along([&](Edge& each, bool forward) { fits = std::min(fits, forward ? each.room - each.used : each.used); });
        along([&](Edge& each, bool forward) { each.used += forward ? fits : -fits; });
        supports_[edge.support].used += fits;
        return fits;
      }
      for (const auto& [other, place] : support.edges) {
        if (seen[other] || debtors_[other][place].used == 0) continue;
        seen[other] = true;
        to_debtor[other] = {other, place};
        next.push_back(other);
      }
    }
  }
  return 0;
}

Micro TrustFlow::used(std::size_t support) const { return supports_[support].used; }

Micro TrustFlow::used(std::size_t debtor, std::size_t support) const {
  Micro sum = 0;
  for (const Edge& edge : debtors_[debtor])
    if (edge.support == support) sum += edge.used;
  return sum;
}

}  // namespace tnode
