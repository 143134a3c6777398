// Debts and what they lean on, against the plainest answer there is: the smallest cut over all sets of debtors.
#include "core/trust_flow.h"

#include <algorithm>
#include <map>

#include "tests/catch.h"
#include "tests/sim/random.h"

using namespace tnode;
using tnode::sim::Random;

TEST_CASE("a_debt_finds_room_where_it_may_lean") {
  TrustFlow flow;
  const auto bob = flow.add_support(10), pool = flow.add_support(5);
  const auto carol = flow.add_debtor();
  flow.connect(carol, bob, 7);
  flow.connect(carol, pool, 100);
  CHECK(flow.push(carol, 4) == 4);
  CHECK(flow.push(carol, 100) == 8);  // 7 through bob, 5 of the pool
  CHECK(flow.used(bob) == 7);
  CHECK(flow.used(pool) == 5);
  CHECK(flow.used(carol, bob) == 7);
  CHECK(flow.push(carol, 1) == 0);
}

TEST_CASE("a_debt_moves_aside_for_one_that_can_lean_nowhere_else") {
  TrustFlow flow;
  const auto bob = flow.add_support(10), pool = flow.add_support(10);
  const auto carol = flow.add_debtor(), dave = flow.add_debtor(), erin = flow.add_debtor();
  flow.connect(carol, bob, 10);
  flow.connect(carol, pool, 10);
  flow.connect(dave, pool, 10);
  flow.connect(erin, bob, 10);
  CHECK(flow.push(carol, 10) == 10);
  CHECK(flow.push(dave, 6) == 6);
  CHECK(flow.push(erin, 10) == 4);  // ten and ten are there, twenty are taken
  CHECK(flow.used(bob) == 10);
  CHECK(flow.used(pool) == 10);
}

namespace {

struct Net {
  std::vector<Micro> supports;
  std::vector<Micro> debts;
  std::map<std::pair<std::size_t, std::size_t>, Micro> edges;  // debtor, support
};

/// By the theorem of Ford and Fulkerson: over every set of debtors that are kept, those that are left out pay their debts to the cut, and
/// each support the lesser of its room and what leads to it.
Micro smallest_cut(const Net& net) {
  Micro best = -1;
  for (std::size_t kept = 0; kept < std::size_t{1} << net.debts.size(); ++kept) {
    Micro cut = 0;
    for (std::size_t d = 0; d < net.debts.size(); ++d)
      if (!(kept >> d & 1)) cut += net.debts[d];
    for (std::size_t s = 0; s < net.supports.size(); ++s) {
      Micro leads = 0;
      for (std::size_t d = 0; d < net.debts.size(); ++d)
        if (auto edge = net.edges.find({d, s}); (kept >> d & 1) && edge != net.edges.end()) leads += edge->second;
      cut += std::min(net.supports[s], leads);
    }
    if (best < 0 || cut < best) best = cut;
  }
  return best;
}

}  // namespace

TEST_CASE("what_finds_room_is_the_smallest_cut_in_whatever_order_it_comes") {
  Random random(4711);
  for (int round = 0; round < 3000; ++round) {
    Net net;
    const auto supports = random.between(1, 5), debtors = random.between(1, 7);
    for (int s = 0; s < supports; ++s) net.supports.push_back(random.between(0, 20));
    for (int d = 0; d < debtors; ++d) net.debts.push_back(random.between(0, 20));
    for (std::size_t d = 0; d < net.debts.size(); ++d)
      for (std::size_t s = 0; s < net.supports.size(); ++s)
        if (random.chance(500)) net.edges[{d, s}] = random.between(0, 15);
    TrustFlow flow;
    for (const Micro room : net.supports) (void)flow.add_support(room);
    for (std::size_t d = 0; d < net.debts.size(); ++d) (void)flow.add_debtor();
    for (const auto& [ends, room] : net.edges) flow.connect(ends.first, ends.second, room);
    std::vector<std::size_t> order;
    for (std::size_t d = 0; d < net.debts.size(); ++d) order.push_back(d);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i) - 1))]);
    Micro placed = 0;
    for (const std::size_t d : order) placed += flow.push(d, net.debts[d]);
    REQUIRE(placed == smallest_cut(net));
    Micro leaned = 0;
    for (std::size_t s = 0; s < net.supports.size(); ++s) {
      REQUIRE(flow.used(s) <= net.supports[s]);
      leaned += flow.used(s);
      for (std::size_t d = 0; d < net.debts.size(); ++d) {
        auto edge = net.edges.find({d, s});
        REQUIRE(flow.used(d, s) <= (edge == net.edges.end() ? 0 : edge->second));
      }
    }
    REQUIRE(leaned == placed);
  }
}
