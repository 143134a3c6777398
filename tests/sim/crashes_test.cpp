// Processes that die and channels that break, at the worst moment.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

TEST_CASE("a_requester_that_dies_before_its_hold_is_durable_starts_afresh") {
  Village v;
  auto& alice = v.requester();
  v.farmer();
  v.farmer();
  auto& task = alice.offer(task_of_units(2));
  alice.watch_requester = [](const RequesterEffect& effect) { return is<WriteHold>(effect) ? Crash::before_commit : Crash::none; };
  v.run_until([&] { return !alice.running(); }, minute);
  REQUIRE_FALSE(alice.running());
  CHECK(alice.balance().blocks == 1);
  alice.watch_requester = nullptr;
  alice.come_back();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  v.close_books();
}

TEST_CASE("a_requester_that_dies_between_hold_and_award_says_the_award_when_it_is_back") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(2));
  alice.watch_requester = [](const RequesterEffect& effect) { return sends<AwardMessage>(effect) ? Crash::after_commit : Crash::none; };
  v.run_until([&] { return !alice.running(); }, minute);
  REQUIRE_FALSE(alice.running());
  const Micro held = alice.balance().held_micro;
  REQUIRE(held > 0);
  alice.watch_requester = nullptr;
  alice.come_back();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(bob) == 2 * credit_micro);
  CHECK(earned(carol) == 2 * credit_micro);
}

TEST_CASE("a_requester_that_dies_at_any_step_pays_each_farmer_once") {
  // Each kind of effect once, before and after its commit.
  const auto how = GENERATE(Crash::before_commit, Crash::after_commit);
  const int step = GENERATE(range(0, 9));
  auto reached = [step](const RequesterEffect& effect) {
    switch (step) {
      case 0: return sends<OfferMessage>(effect);
      case 1: return sends<AwardMessage>(effect);
      case 2: return sends<CommitSetMessage>(effect);
      case 3: return is<FetchResult>(effect);
      case 4: return is<WriteDebit>(effect);
      case 5: return sends<VerdictMessage>(effect);
      case 6: return is<AssembleResult>(effect);
      case 7: return sends<DoneMessage>(effect);
      default: return is<Finished>(effect);
    }
  };
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  auto& task = alice.offer(task_of_units(3));
  alice.watch_requester = [&](const RequesterEffect& effect) { return reached(effect) ? how : Crash::none; };
  CAPTURE(step, static_cast<int>(how));
  REQUIRE(v.run_until([&] { return !alice.running(); }, 5 * minute));
  alice.watch_requester = nullptr;
  v.run_for(2'000);
  alice.come_back();
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(bob) == 3 * credit_micro);
  CHECK(earned(carol) == 3 * credit_micro);
}

TEST_CASE("a_farmer_that_dies_at_any_step_is_paid_once_or_forfeits") {
  const auto how = GENERATE(Crash::before_commit, Crash::after_commit);
  const int step = GENERATE(range(0, 8));
  auto reached = [step](const FarmerEffect& effect) {
    switch (step) {
      case 0: return sends<BidMessage>(effect);
      case 1: return sends<AcceptMessage>(effect);
      case 2: return is<FetchTask>(effect);
      case 3: return is<RunUnit>(effect);
      case 4: return sends<CommitMessage>(effect);
      case 5: return sends<RevealMessage>(effect);
      case 6: return is<WriteCredit>(effect);
      default: return sends<CreditMessage>(effect);
    }
  };
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  bob.watch_farmer = [&](const FarmerEffect& effect) { return reached(effect) ? how : Crash::none; };
  auto& task = alice.offer(task_of_units(3));
  CAPTURE(step, static_cast<int>(how));
  REQUIRE(v.run_until([&] { return !bob.running(); }, 5 * minute));
  bob.watch_farmer = nullptr;
  v.run_for(2'000);
  bob.come_back();
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(bob) == 3 * credit_micro);
  CHECK(earned(carol) == 3 * credit_micro);
}

TEST_CASE("a_farmer_that_committed_and_stays_away_forfeits") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer(), &dave = v.farmer(Behaviour::honest, 4 * credit_micro);
  bob.watch_farmer = [](const FarmerEffect& effect) { return sends<CommitMessage>(effect) ? Crash::after_commit : Crash::none; };
  carol.watch_farmer = bob.watch_farmer;
  dave.watch_farmer = bob.watch_farmer;
  auto& task = alice.offer(task_of_units(1));
  // Whoever commits first dies and stays away; the others go on.
  REQUIRE(v.run_until([&] { return !bob.running() || !carol.running() || !dave.running(); }, minute));
  for (auto* node : {&bob, &carol, &dave}) node->watch_farmer = nullptr;
  SimNode& gone = !bob.running() ? bob : !carol.running() ? carol : dave;
  REQUIRE(v.ends(task, 5 * minute));
  CHECK(task.done());
  CHECK(earned(gone) == 0);
  gone.come_back();
  v.close_books();  // it is told that its lease is over, and holds nothing
}

TEST_CASE("a_lost_credit_is_said_again_also_after_the_task_is_over") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer();
  // Bob books the DEBIT and dies with the CREDIT unsent; he is back when the task is long over.
  bob.watch_farmer = [](const FarmerEffect& effect) { return is<WriteCredit>(effect) ? Crash::after_commit : Crash::none; };
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK(earned(bob) == credit_micro);
  v.run_for(hour);
  bob.watch_farmer = nullptr;
  bob.come_back();
  v.close_books();
  CHECK(earned(bob) == credit_micro);
}

TEST_CASE("a_farmer_that_was_away_at_the_verdict_is_paid_when_it_is_back") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer();
  bob.watch_farmer = [](const FarmerEffect& effect) { return is<WriteCredit>(effect) ? Crash::before_commit : Crash::none; };
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK(earned(bob) == 0);
  alice.crash(minute);  // what is owed outlives the requester's process, too
  v.run_for(hour);
  bob.watch_farmer = nullptr;
  bob.come_back();
  v.close_books();
  CHECK(earned(bob) == credit_micro);
}

TEST_CASE("a_short_break_of_the_channel_costs_nothing") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::slow), &carol = v.farmer(Behaviour::slow);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.run_until([&] { return bob.farmer()->running() == 1; }, minute));
  v.part(alice, bob);
  v.run_for(4'000);
  v.join(alice, bob);
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK_FALSE(noted(alice, "lost"));
  v.close_books();
  CHECK(earned(bob) == credit_micro);
  CHECK(earned(carol) == credit_micro);
}

TEST_CASE("a_farmer_that_is_gone_for_long_is_replaced_and_told_so_when_it_returns") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::slow), &carol = v.farmer(Behaviour::slow);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.run_until([&] { return bob.farmer()->running() == 1 && carol.farmer()->running() == 1; }, minute));
  v.part(alice, bob);
  auto& dave = v.farmer();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  v.join(alice, bob);
  v.close_books();
  CHECK(earned(bob) == 0);
  CHECK(earned(dave) == credit_micro);
  CHECK(bob.farmer()->idle());
}

TEST_CASE("a_node_can_ask_and_farm_at_once") {
  Village v;
  NodeTerms both;
  auto &alice = v.add(both), &bob = v.add(both), &carol = v.add(both);
  v.acquaint_all();
  std::vector<SimTask*> tasks;
  for (auto* node : {&alice, &bob, &carol}) tasks.push_back(&node->offer(task_of_units(2)));
  for (auto* task : tasks) {
    REQUIRE(v.ends(*task, minute));
    CHECK(task->done());
  }
  v.close_books();
  // Each paid four and earned four.
  for (auto* node : {&alice, &bob, &carol}) CHECK(earned(*node) == 0);
}

TEST_CASE("a_farmer_that_voted_before_it_crashed_needs_the_task_no_more") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  auto& task = alice.offer(task_of_units(1));
  bob.watch_farmer = [](const FarmerEffect& effect) { return sends<CommitMessage>(effect) ? Crash::after_commit : Crash::none; };
  v.farmer(Behaviour::slow);
  REQUIRE(v.run_until([&] { return !bob.running(); }, minute));
  bob.watch_farmer = nullptr;
  Faults nobody_has_the_task;
  nobody_has_the_task.failed_fetch = 1000;
  v.now_fails(nobody_has_the_task);
  bob.come_back();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK_FALSE(noted(bob, "lease_dropped"));
  v.close_books();
  CHECK(earned(bob) == credit_micro);
}

TEST_CASE("an_award_that_was_lost_before_a_crash_is_not_open_again_after_it") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(Behaviour::slow);
  v.farmer(Behaviour::liar);
  auto terms = task_of_units(4);  // leased by twos
  terms.run_ms = minute;
  auto& task = alice.offer(terms);
  // Bob's vote on the first unit is in and disagrees; then he is gone for long enough to lose the rest of that award.
  REQUIRE(v.run_until([&] { return noted(alice, "escalate"); }, 5 * minute));
  v.part(alice, bob);
  REQUIRE(v.run_until([&] { return noted(alice, "lost"); }, minute));
  v.join(alice, bob);
  // He is given the other units anew, and his requester dies.
  const int accepted = sent(bob, AcceptMessage{});
  REQUIRE(v.run_until([&] { return sent(bob, AcceptMessage{}) >= accepted + 3; }, 5 * minute));
  alice.crash(1'000);
  v.run_for(10'000);
  v.farmer();
  v.farmer();
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  v.close_books();
}
