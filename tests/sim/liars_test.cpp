// Those who lie, those who say nothing, and what they cost the others.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

// --- liars ---

TEST_CASE("a_liar_is_outvoted_and_not_paid") {
  Village v;
  auto &alice = v.requester(), &liar = v.farmer(Behaviour::liar), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(5));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(liar) == 0);
  CHECK(earned(bob) == 5 * credit_micro);
  CHECK(earned(carol) == 5 * credit_micro);
}

TEST_CASE("two_colluders_among_three_win_a_quorum_of_two_and_lose_a_quorum_of_three") {
  const std::int64_t agree = GENERATE(2, 3);
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::colluder);
  v.farmer(Behaviour::colluder);
  for (int i = 0; i < 4; ++i) v.farmer();
  auto& task = alice.offer(task_of_units(12, agree, 7));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  UnitNumber wrong = 0;
  for (const auto& [unit, accepted] : task.role->accepted()) wrong += accepted.result != truth(task, unit).result;
  if (agree == 3) CHECK(wrong == 0);
  v.close_books();
}

TEST_CASE("one_who_puts_a_wrong_ending_beside_the_right_files_dissents") {
  Village v;
  auto &alice = v.requester(), &mislabeller = v.farmer(Behaviour::mislabeller), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(4));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(mislabeller) == 0);
  CHECK(earned(bob) + earned(carol) == 8 * credit_micro);
}

TEST_CASE("a_dispute_pays_nobody") {
  Village v;
  auto &alice = v.requester(), &one = v.farmer(Behaviour::liar), &two = v.farmer(Behaviour::liar), &bob = v.farmer();
  auto& task = alice.offer(task_of_units(1, 2, 3));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.ending == Ending::no_quorum);
  v.close_books();
  for (auto* farmer : {&one, &two, &bob}) CHECK(earned(*farmer) == 0);
  CHECK(alice.balance().held_micro == 0);
}

TEST_CASE("a_vote_changed_after_the_commit_does_not_count") {
  Village v;
  auto &alice = v.requester(), &changer = v.farmer(Behaviour::changer), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(2));
  REQUIRE(v.ends(task, hour));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(changer) == 0);
  CHECK(earned(bob) + earned(carol) == 4 * credit_micro);
}

TEST_CASE("wrong_bytes_beside_a_vote_cost_one_more_fetch") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::bad_inline);
  v.farmer(Behaviour::bad_inline);
  auto& task = alice.offer(task_of_units(2));
  REQUIRE(v.ends(task, 2 * minute));
  CHECK(task.done());
  CHECK(noted(alice, "fetch_failed"));
}

TEST_CASE("votes_without_data_are_not_paid") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::withholder);
  v.farmer(Behaviour::withholder);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, hour));
  CHECK(task.ending == Ending::error);
  v.close_books();
  CHECK(earned(bob) == 0);
}

// --- the silent and the slow ---

TEST_CASE("a_farmer_that_never_answers_costs_one_wait") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::silent, 1);  // the cheapest: likely drawn first
  v.farmer();
  v.farmer();
  auto& task = alice.offer(task_of_units(2));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
}

TEST_CASE("a_farmer_that_falls_asleep_costs_one_lease") {
  Village v;
  auto &alice = v.requester(), &sleeper = v.farmer(Behaviour::sleeper, 1), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(3));
  REQUIRE(v.ends(task, 5 * minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(sleeper) == 0);
  CHECK(earned(bob) == 3 * credit_micro);
  CHECK(earned(carol) == 3 * credit_micro);
}

TEST_CASE("waiting_for_a_silent_replica_costs_the_other_neither_lease_nor_standing") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer(Behaviour::sleeper);
  auto& task = alice.offer(task_of_units(1));
  v.run_for(3 * minute);  // the sleeper's lease ends meanwhile
  REQUIRE_FALSE(task.ending);
  auto& carol = v.farmer();
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  CHECK(sent(bob, CommitMessage{}) == 1);  // he ran it once
  v.close_books();
  CHECK(earned(bob) == credit_micro);
  CHECK(earned(carol) == credit_micro);
}

TEST_CASE("farmers_that_refuse_what_they_bid_for_end_the_task_in_time") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::refuser);
  v.farmer(Behaviour::refuser);
  auto terms = task_of_units(1);
  terms.queue_ms = 5 * minute;
  auto& task = alice.offer(terms);
  REQUIRE(v.ends(task, 2 * hour));
  CHECK(task.ending == Ending::no_quorum);
  v.close_books();
}

TEST_CASE("slow_farmers_are_waited_for") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::slow);
  v.farmer(Behaviour::slow);
  auto terms = task_of_units(4);
  terms.run_ms = 5 * minute;
  auto& task = alice.offer(terms);
  REQUIRE(v.ends(task, hour));
  CHECK(task.done());
  CHECK_FALSE(noted(alice, "lost"));
}

TEST_CASE("many_units_and_few_places_do_not_lock_each_other_out") {
  Village v;
  auto& alice = v.requester();
  v.farmer(Behaviour::sleeper, credit_micro, 2);
  for (std::int64_t slots : {1, 2, 1, 3}) v.farmer(Behaviour::honest, credit_micro, slots);
  auto& task = alice.offer(task_of_units(40, 3, 5));
  REQUIRE(v.ends(task, hour));
  CHECK(task.done());
  v.close_books();
}
