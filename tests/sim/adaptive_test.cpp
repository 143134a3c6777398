// Farmers of proven record: fewer replicas where the offer allows it, checks at random, and what a liar gains that waited until it was trusted.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

TaskTerms adaptive_task(UnitNumber units) {
  TaskTerms terms = task_of_units(units);
  terms.adaptive = true;
  return terms;
}

std::int64_t replicas(const SimTask& task) { return task.role->counts().replicas; }

}  // namespace

TEST_CASE("proven_farmers_need_fewer_replicas_and_are_checked_all_the_same") {
  Village v;
  auto& alice = v.requester();
  for (int i = 0; i < 3; ++i) v.farmer();
  auto& first = alice.offer(task_of_units(60));
  REQUIRE(v.ends(first));
  CHECK(replicas(first) == 120);
  auto& second = alice.offer(adaptive_task(200));
  REQUIRE(v.ends(second));
  CHECK(second.done());
  WARN("200 units by proven farmers take " << replicas(second) << " replicas instead of 400");
  CHECK(replicas(second) < 230);
  CHECK(replicas(second) > 200);  // some were checked
  // Who asks for a quorum has it, whatever is known of the farmers.
  auto& third = alice.offer(task_of_units(60));
  REQUIRE(v.ends(third));
  CHECK(replicas(third) == 120);
  v.close_books();
}

TEST_CASE("without_a_record_an_adaptive_offer_is_like_any_other") {
  Village v;
  auto& alice = v.requester();
  for (int i = 0; i < 2; ++i) v.farmer();
  auto& task = alice.offer(adaptive_task(5));
  REQUIRE(v.ends(task));
  CHECK(replicas(task) == 10);
}

TEST_CASE("units_that_nobody_checked_prove_nobody") {
  Village v;
  auto& alice = v.requester();
  for (int i = 0; i < 2; ++i) v.farmer();
  auto& alone = alice.offer(task_of_units(40, 1, 1));
  REQUIRE(v.ends(alone));
  auto& task = alice.offer(adaptive_task(9));
  REQUIRE(v.ends(task));
  CHECK(replicas(task) == 18);
}

TEST_CASE("a_farmer_that_lies_once_it_is_trusted_is_caught_by_a_check_and_trusted_no_more") {
  World world(WorldOptions{});
  NodeTerms asks, farms;
  asks.farms = false;
  farms.price_micro = credit_micro / 10;
  auto& alice = world.add(asks);
  std::vector<SimNode*> farmers;
  for (int i = 0; i < 4; ++i) farmers.push_back(&world.add(farms));
  world.acquaint_all();
  auto& first = alice.offer(task_of_units(80));
  REQUIRE(world.run_until([&] { return first.ending.has_value(); }, hour));
  farmers[0]->turn_to(Behaviour::liar);
  auto& second = alice.offer(adaptive_task(1000));
  REQUIRE(world.run_until([&] { return second.ending.has_value(); }, 10 * hour));
  CHECK(second.done());
  UnitNumber wrong = 0;
  for (const auto& [unit, accepted] : second.role->accepted()) wrong += accepted.result != truth(second, unit).result;
  WARN("one of four proven farmers begins to lie: " << wrong << " of 1,000 units are wrong, " << replicas(second) << " replicas");
  // Expected: one check in 20 of its units, until the first that is checked; its window bounds what it holds until then.
  CHECK(wrong < 100);
  CHECK(replicas(second) < 1300);  // and it gets little to do
  // From then on it is checked each time.
  auto& third = alice.offer(adaptive_task(300));
  REQUIRE(world.run_until([&] { return third.ending.has_value(); }, 10 * hour));
  for (const auto& [unit, accepted] : third.role->accepted()) CHECK(accepted.result == truth(third, unit).result);
}

TEST_CASE("a_unit_whose_trusted_farmer_vanishes_begins_anew_with_a_quorum") {
  Village v;
  auto& alice = v.requester();
  auto &bob = v.farmer(), &carol = v.farmer();
  auto& first = alice.offer(task_of_units(60));
  REQUIRE(v.ends(first));
  auto terms = adaptive_task(12);
  terms.run_ms = minute;
  auto& task = alice.offer(terms);
  REQUIRE(v.run_until([&] { return bob.farmer()->running() > 0 && carol.farmer()->running() > 0; }, minute));
  bob.crash();
  auto &dave = v.farmer(), &erin = v.farmer();
  REQUIRE(v.ends(task));
  CHECK(task.done());
  for (const auto& [unit, accepted] : task.role->accepted())
    for (const NodeKey& farmer : accepted.farmers)
      if (farmer == dave.key() || farmer == erin.key()) CHECK(accepted.farmers.size() >= 2);  // nobody new decides alone
}

TEST_CASE("what_one_task_sees_the_next_and_the_one_beside_it_know") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::liar);
  for (int i = 0; i < 3; ++i) v.farmer();
  auto &one = alice.offer(task_of_units(20)), &other = alice.offer(task_of_units(20));
  REQUIRE(v.run_until([&] { return one.ending && other.ending; }, hour));
  Evidence all;
  for (const auto& [place, value] : alice.ledger().records()) {
    EvidenceRow row;
    if (place.first != evidence_bucket || !decode_evidence(place.second, value, row)) continue;
    all.agreed += row.evidence.agreed;
    all.dissented += row.evidence.dissented;
  }
  std::int64_t votes = replicas(one) + replicas(other);
  CHECK(all.agreed + all.dissented == votes);
  CHECK(all.agreed == 80);
}

TEST_CASE("a_trusted_farmer_that_keeps_its_results_to_itself_is_doubted_and_another_is_asked") {
  World world(WorldOptions{});
  NodeTerms asks;
  asks.farms = false;
  auto& alice = world.add(asks);
  std::vector<SimNode*> farmers;
  for (int i = 0; i < 3; ++i) farmers.push_back(&world.add({}));
  world.acquaint_all();
  auto& first = alice.offer(task_of_units(60));
  REQUIRE(world.run_until([&] { return first.ending.has_value(); }, hour));
  farmers[0]->turn_to(Behaviour::withholder);
  auto terms = adaptive_task(40);
  terms.large = true;
  auto& task = alice.offer(terms);
  REQUIRE(world.run_until([&] { return task.ending.has_value(); }, 10 * hour));
  CHECK(task.done());
  CHECK(noted(alice, "doubted"));
}
