// Stories about one thing each: stop, crash, lie, and what must come of it. Many were first found by a seed.
#include "tests/catch.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

constexpr TimeMs minute = 60'000, hour = 60 * minute;
using Crash = SimNode::Crash;

/// A world without faults, in which everybody knows everybody.
struct Village : World {
  explicit Village(std::uint64_t seed = 1) : World(WorldOptions{seed, {}, false, true}) {}
  SimNode& requester(Micro line_micro = 1000 * credit_micro) {
    NodeTerms terms;
    terms.farms = false;
    terms.line_micro = line_micro;
    return added(terms);
  }
  SimNode& farmer(Behaviour behaviour = Behaviour::honest, Micro price_micro = credit_micro, std::int64_t slots = 1) {
    NodeTerms terms;
    terms.behaviour = behaviour;
    terms.price_micro = price_micro;
    terms.slots = slots;
    return added(terms);
  }
  bool ends(const SimTask& task, TimeMs limit = hour) {
    return run_until([&] { return task.ending.has_value(); }, limit);
  }
  /// Time for what is still on its way, then the books.
  void close_books() {
    run_for(5 * minute);
    laws().settled();
  }

 private:
  SimNode& added(const NodeTerms& terms) {
    SimNode& node = add(terms);
    acquaint_all();
    return node;
  }
};

TaskTerms task_of_units(UnitNumber units, std::int64_t agree = 2, std::int64_t max_replicas = 5) {
  TaskTerms terms;
  terms.units = units;
  terms.agree = agree;
  terms.max_replicas = max_replicas;
  return terms;
}

Micro earned(const SimNode& node) { return node.balance().balance_micro; }

int sent(const SimNode& node, const Message& kind) {
  auto count = node.sent().find(kind.index());
  return count == node.sent().end() ? 0 : count->second;
}

template <class Effect, class Any>
bool is(const Any& effect) { return std::holds_alternative<Effect>(effect); }

template <class Kind, class Any>
bool sends(const Any& effect) {
  const auto* send = std::get_if<Send>(&effect);
  return send && std::holds_alternative<Kind>(send->message);
}

bool noted(const SimNode& node, const std::string& what) {
  for (const auto& note : node.notes())
    if (note.what == what) return true;
  return false;
}

}  // namespace

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

// --- crashes ---

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
