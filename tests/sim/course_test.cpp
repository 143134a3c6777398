// The plain course of a task, and those who are too few or too poor for it.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

// --- the plain course ---

TEST_CASE("two_farmers_that_agree_are_paid_their_price_each") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::honest, 1'500'000), &carol = v.farmer(Behaviour::honest, 700'000);
  auto& task = alice.offer(task_of_units(3));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(bob) == 3 * 1'500'000);
  CHECK(earned(carol) == 3 * 700'000);
  CHECK(alice.balance().balance_micro == -3 * 2'200'000);
}

TEST_CASE("a_sandbox_is_kept_between_units_of_a_task_and_not_after_the_last") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  auto &long_one = alice.offer(task_of_units(60, 1)), &short_one = alice.offer(task_of_units(1, 1));
  REQUIRE(v.ends(short_one, minute));
  v.run_for(1'000);
  REQUIRE_FALSE(long_one.ending);
  CHECK(bob.warm() == std::set<TaskId>{long_one.offer.task});
  REQUIRE(v.ends(long_one, hour));
  v.run_for(1'000);
  CHECK(bob.warm().empty());
}

TEST_CASE("a_task_that_fails_is_paid_for_and_says_so") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer();
  auto terms = task_of_units(2);
  terms.fails = true;
  auto& task = alice.offer(terms);
  REQUIRE(v.ends(task, minute));
  CHECK(task.ending == Ending::failed);
  v.close_books();
  CHECK(earned(bob) == 2 * credit_micro);
}

TEST_CASE("a_farmer_that_met_nobody_but_farmers_hears_of_the_task_and_works_on_it") {
  World world(WorldOptions{});
  NodeTerms asks;
  asks.farms = false;
  auto &alice = world.add(asks), &bob = world.add({}), &carol = world.add({});
  world.acquaint(alice, bob);
  world.acquaint(bob, carol);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(world.run_until([&] { return task.done(); }, minute));
  CHECK(carol.balance().balance_micro + bob.balance().balance_micro == 2 * credit_micro);
}

TEST_CASE("an_offer_that_is_over_is_open_to_nobody_near_or_far") {
  World world(WorldOptions{});
  NodeTerms asks, listens;
  asks.farms = false;
  listens.slots = 0;
  auto &alice = world.add(asks), &router = world.add(listens), &bob = world.add({}), &carol = world.add({});
  world.acquaint(alice, router);
  for (auto* farmer : {&bob, &carol}) world.acquaint(router, *farmer);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(world.run_until([&] { return task.done(); }, minute));
  world.run_for(minute);  // the word spreads
  auto& late = world.add({});
  world.acquaint(router, late);
  world.run_for(minute);
  CHECK(late.farmer()->offers_known() == 0);
  for (auto* farmer : {&bob, &carol, &router}) CHECK(farmer->farmer()->open_offers() == 0);
}

TEST_CASE("a_farmer_that_was_away_when_an_offer_ended_learns_of_it_from_others") {
  World world(WorldOptions{});
  NodeTerms asks;
  asks.farms = false;
  auto &alice = world.add(asks), &bob = world.add({}), &carol = world.add({}), &away = world.add({});
  world.acquaint(alice, bob);
  world.acquaint(alice, carol);
  world.acquaint(bob, away);
  auto terms = task_of_units(1);
  terms.run_ms = minute;
  auto& task = alice.offer(terms);
  REQUIRE(world.run_until([&] { return away.farmer()->offers_known() == 1; }, minute));
  world.part(bob, away);
  world.part(alice, away);
  REQUIRE(world.run_until([&] { return task.done(); }, hour));
  world.acquaint(carol, away);
  world.run_for(meet_wait_ms + minute);
  CHECK(away.farmer()->open_offers() == 0);
}

TEST_CASE("large_results_are_fetched_from_those_who_voted_for_them") {
  Village v;
  auto& alice = v.requester();
  v.farmer();
  v.farmer();
  auto terms = task_of_units(4);
  terms.large = true;
  auto& task = alice.offer(terms);
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK(alice.balance().held_micro == 0);
}

// --- too few, too poor, no more ---

TEST_CASE("without_bids_a_task_ends_after_its_queue_time") {
  Village v;
  auto& alice = v.requester();
  auto& task = alice.offer(task_of_units(1));
  REQUIRE_FALSE(v.ends(task, 9 * minute));
  REQUIRE(v.ends(task, 2 * minute));
  CHECK(task.ending == Ending::no_bids);
}

TEST_CASE("with_one_bid_where_two_must_agree_a_task_ends_without_quorum") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, 11 * minute));
  CHECK(task.ending == Ending::no_quorum);
  v.close_books();
  CHECK(earned(bob) == 0);
}

TEST_CASE("two_that_disagree_wait_for_a_third_no_longer_than_the_queue_time") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer(Behaviour::liar);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, 15 * minute));
  CHECK(task.ending == Ending::no_quorum);
  v.close_books();
  CHECK(earned(bob) == 0);
}

TEST_CASE("a_requester_without_credit_is_told_so_and_owes_nothing") {
  Village v;
  auto& alice = v.requester(credit_micro);
  v.farmer();
  v.farmer();
  auto& task = alice.offer(task_of_units(2));
  REQUIRE(v.ends(task, minute));
  CHECK(task.ending == Ending::no_credit);
  CHECK_THAT(task.reason, has_text("not enough credit"));
  v.close_books();
  CHECK(alice.balance().balance_micro == 0);
}

TEST_CASE("credit_for_one_unit_pays_for_one_unit") {
  Village v;
  auto &alice = v.requester(2 * credit_micro), &bob = v.farmer(), &carol = v.farmer();
  auto& rich_enough = alice.offer(task_of_units(1));
  REQUIRE(v.ends(rich_enough, minute));
  CHECK(rich_enough.done());
  auto& too_much = alice.offer(task_of_units(1));
  REQUIRE(v.ends(too_much, minute));
  CHECK(too_much.ending == Ending::no_credit);
  v.close_books();
  CHECK(earned(bob) == credit_micro);
  CHECK(earned(carol) == credit_micro);
}

TEST_CASE("a_bidder_that_can_be_afforded_is_taken_instead_of_one_that_cannot") {
  Village v;
  auto& alice = v.requester(2 * credit_micro);
  v.farmer(Behaviour::honest, 4 * credit_micro);
  auto &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK(earned(bob) + earned(carol) == 2 * credit_micro);
}

TEST_CASE("a_cancelled_task_releases_its_holds_and_its_farmers") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::slow), &carol = v.farmer(Behaviour::slow);
  auto& task = alice.offer(task_of_units(2));
  v.run_until([&] { return alice.balance().held_micro > 0 && bob.farmer()->running() > 0; }, minute);
  REQUIRE(alice.balance().held_micro > 0);
  alice.cancel(task);
  REQUIRE(v.ends(task, 1000));
  CHECK(task.ending == Ending::cancelled);
  CHECK(alice.balance().held_micro == 0);
  v.run_for(1000);
  CHECK(bob.farmer()->idle());
  CHECK(carol.farmer()->idle());
  v.close_books();
  CHECK(earned(bob) == 0);
}

TEST_CASE("what_was_accepted_before_a_cancel_is_paid") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  auto terms = task_of_units(8);
  terms.run_ms = minute;
  auto& task = alice.offer(terms);
  // One unit of awards that have more is accepted and here; nothing was paid for it yet.
  REQUIRE(v.run_until([&] { return task.role->counts().accepted >= 1 && !alice.ledger().records().empty() && alice.balance().balance_micro == 0; }, hour));
  v.run_for(100);
  alice.cancel(task);
  REQUIRE(v.ends(task, 1000));
  CHECK(task.ending == Ending::cancelled);
  v.close_books();  // pays exactly those on the units' records
  CHECK(earned(bob) > 0);
  CHECK(earned(bob) == earned(carol));
}
