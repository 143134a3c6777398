// What farmers ask for when they ask by CPU time: the estimate, what they measured, their load, and who asks.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

/// A tenth of a unit's limit of 10 s is what a farmer thinks it takes before it ran any: a CPU-second.
constexpr Micro by_the_second = credit_micro / 10;

struct Market : World {
  Market() : World(WorldOptions{}) {}
  SimNode& farmer(Micro least = 0) {
    NodeTerms terms;
    terms.price_micro = least;
    terms.cpu_price_micro = by_the_second;
    return add(terms);
  }
  SimNode& requester() {
    NodeTerms terms;
    terms.farms = false;
    return add(terms);
  }
};

std::vector<Micro> bids(const SimNode& farmer) {
  std::vector<Micro> prices;
  for (const auto& note : farmer.notes())
    if (note.what == "bid") prices.push_back(std::stoll(note.fields[1].second));
  return prices;
}

/// What a unit of each award was paid at most.
std::vector<Micro> promised(const SimNode& requester) {
  std::vector<Micro> amounts;
  for (const Block& block : requester.ledger().chain())
    if (block.type == BlockType::hold) amounts.push_back(block.amount);
  return amounts;
}

}  // namespace

TEST_CASE("a_stranger_is_asked_for_the_estimated_work_and_a_quarter_more") {
  Market m;
  auto &alice = m.requester(), &bob = m.farmer();
  m.acquaint_all();
  auto& task = alice.offer(task_of_units(1, 1, 1));
  REQUIRE(m.run_until([&] { return task.done(); }, hour));
  CHECK(bids(bob).front() == by_the_second * 5 / 4);
  CHECK(promised(alice) == std::vector<Micro>{by_the_second * 5 / 4});
}

TEST_CASE("who_worked_here_is_asked_for_the_work_alone") {
  Market m;
  auto &carol = m.farmer(), &bob = m.farmer(5 * credit_micro);
  m.acquaint_all();
  auto& work = carol.offer(task_of_units(1, 1, 1));  // bob earns five credits from carol
  REQUIRE(m.run_until([&] { return work.done(); }, hour));
  auto& task = bob.offer(task_of_units(1, 1, 1));
  REQUIRE(m.run_until([&] { return task.done(); }, hour));
  CHECK(bids(carol).back() == by_the_second);
}

TEST_CASE("the_least_price_is_asked_for_however_small_the_work") {
  Market m;
  auto &alice = m.requester(), &bob = m.farmer(credit_micro);
  m.acquaint_all();
  auto& task = alice.offer(task_of_units(2, 1, 1));
  REQUIRE(m.run_until([&] { return task.done(); }, hour));
  CHECK(earned(bob) == 2 * credit_micro);
}

TEST_CASE("a_price_follows_what_the_units_really_use_and_what_was_bid_holds") {
  Market m;
  auto &alice = m.requester(), &bob = m.farmer();
  m.acquaint_all();
  auto terms = task_of_units(60, 1, 1);
  terms.run_ms = 100'000;  // thought to take 10 s each; they take up to 25
  auto& task = alice.offer(terms);
  REQUIRE(m.run_until([&] { return task.done(); }, 10 * hour));
  const auto asked = bids(bob);
  REQUIRE(asked.size() > 1);  // said anew as it learns
  CHECK(asked.front() == 10 * by_the_second * 5 / 4);
  CHECK_FALSE(noted(alice, "lost"));  // no award was refused for its price
  const Micro mean = earned(bob) / 60;
  CHECK(mean > by_the_second * 12 * 5 / 4 / 2);
  CHECK(mean < by_the_second * 12 * 5 / 4 * 3);
}

TEST_CASE("a_farmer_with_a_full_queue_asks_more") {
  Market m;
  auto &alice = m.requester(), &bob = m.farmer(), &carol = m.requester();
  m.acquaint_all();
  auto terms = task_of_units(40, 1, 1);
  terms.run_ms = 10 * minute;
  terms.max_price_micro = 50 * credit_micro;
  auto& long_one = alice.offer(terms);
  REQUIRE(m.run_until([&] { return long_one.role->counts().leased >= 1; }, minute));
  auto& task = carol.offer(task_of_units(1, 1, 1));
  REQUIRE(m.run_until([&] { return bids(bob).size() >= 2; }, minute));
  CHECK(bids(bob).back() > by_the_second * 5 / 4);
  CHECK(bids(bob).back() <= by_the_second * 5 / 4 * 3 / 2 + 1);
  (void)task;
}

TEST_CASE("an_offer_below_the_price_is_declined_with_the_price_and_bid_on_when_it_falls") {
  Market m;
  NodeTerms farms;
  farms.price_micro = credit_micro;
  auto &alice = m.add(farms), &bob = m.farmer();
  m.acquaint_all();
  auto terms = task_of_units(1, 1, 1);
  terms.max_price_micro = by_the_second;  // a stranger's price is a quarter more
  auto& task = alice.offer(terms);
  m.run_for(10'000);
  bool told = false;
  for (const auto& note : alice.notes()) told = told || (note.what == "refused" && note.fields[1].second == "price_too_low" && note.fields[2].second == "we ask 0.125 for a unit");
  CHECK(told);
  CHECK(bids(bob).empty());
  // Alice works for bob; then she is no stranger.
  auto& work = bob.offer(task_of_units(1, 1, 1));
  REQUIRE(m.run_until([&] { return work.done(); }, hour));
  REQUIRE(m.run_until([&] { return task.done(); }, hour));
  CHECK(earned(bob) == by_the_second - credit_micro);
}
