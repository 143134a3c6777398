// The machine's owner comes and goes: units stand still, go on, or go back to who asked for them.
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

constexpr std::int64_t unit_memory = (512LL << 20) + (256LL << 20);  // what a task asks for that says nothing

/// How many units run at once at most, as seen after every step.
std::size_t most_running(Village& v, const SimNode& node, const SimTask& task) {
  std::size_t most = 0;
  v.run_until([&] {
    most = std::max(most, node.farmer()->running());
    return task.ending.has_value();
  }, hour);
  return most;
}

}  // namespace

TEST_CASE("a_short_pause_delays_a_unit_and_costs_nothing_else") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  auto& task = alice.offer(task_of_units(1, 1));
  REQUIRE(v.run_until([&] { return bob.farmer()->running() == 1; }, minute));
  bob.pause();
  v.run_for(minute);
  REQUIRE_FALSE(task.ending);
  CHECK(bob.farmer()->running() == 1);
  CHECK(bob.farmer()->why_idle() == "paused: the owner is here");
  bob.resume();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK(noted(bob, "paused"));
  CHECK(noted(bob, "continued"));
  v.close_books();
  CHECK(earned(bob) == credit_micro);
}

TEST_CASE("units_of_a_farmer_that_is_paused_for_long_go_to_others") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  auto& task = alice.offer(task_of_units(4, 1));
  REQUIRE(v.run_until([&] { return bob.farmer()->running() == 1; }, minute));
  bob.pause();
  auto& carol = v.farmer(Behaviour::honest, 2 * credit_micro);
  REQUIRE(v.ends(task, pause_patience_ms + minute));
  CHECK(task.done());
  CHECK(bob.farmer()->idle());
  v.close_books();
  CHECK(earned(carol) >= 2 * credit_micro);
  CHECK(alice.balance().held_micro == 0);
}

TEST_CASE("a_paused_farmer_takes_its_bid_back_and_bids_again_when_work_continues") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  bob.pause();
  v.run_for(1'000);
  auto& task = alice.offer(task_of_units(1, 1));
  v.run_for(10'000);
  REQUIRE_FALSE(task.ending);
  REQUIRE(task.role->explain(v.now()).size() == 1);
  CHECK(task.role->explain(v.now()).front().second.find("paused") != std::string::npos);
  bob.resume();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
}

TEST_CASE("a_farmer_that_voted_shows_its_vote_while_paused") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer(Behaviour::slow);
  auto& task = alice.offer(task_of_units(1));
  REQUIRE(v.run_until([&] { return noted(bob, "ran"); }, minute));
  bob.pause();
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  v.close_books();
  CHECK(earned(bob) == credit_micro);
  CHECK(earned(carol) == credit_micro);
}

TEST_CASE("no_more_units_run_than_fit_into_memory") {
  for (const std::int64_t fit : {1, 2, 5}) {
    Village v;
    auto& alice = v.requester();
    NodeTerms terms;
    terms.slots = 3;
    terms.memory_bytes = fit * unit_memory + unit_memory / 2;
    auto& bob = v.add(terms);
    v.acquaint_all();
    auto& task = alice.offer(task_of_units(12, 1));
    CHECK(most_running(v, bob, task) == static_cast<std::size_t>(std::min<std::int64_t>(fit, 3)));
    CHECK(task.done());
  }
}

TEST_CASE("a_task_that_does_not_fit_into_memory_is_declined") {
  Village v;
  auto& alice = v.requester();
  NodeTerms terms;
  terms.memory_bytes = unit_memory - 1;
  auto& bob = v.add(terms);
  v.acquaint_all();
  auto& task = alice.offer(task_of_units(1, 1));
  v.run_for(minute);
  CHECK_FALSE(task.ending);
  CHECK(noted(bob, "declined"));
  CHECK(bob.farmer()->why_idle() == "1 offer(s): too_much_memory");
}
