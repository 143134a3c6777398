// Tasks that bring their runtime, and farmers whose own systems differ.
#include <algorithm>

#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

SimNode& farmer_on(Village& v, const std::string& platform) {
  NodeTerms terms;
  terms.platform = platform;
  SimNode& node = v.add(terms);
  v.acquaint_all();
  return node;
}

TaskTerms with_runtime(UnitNumber units) {
  TaskTerms terms = task_of_units(units);
  terms.own_runtime = true;
  return terms;
}

/// For each accepted unit: on how many different platforms it was computed.
std::vector<std::size_t> platforms_of_units(const Village& v, const SimNode& requester) {
  std::vector<std::size_t> counts;
  for (const auto& note : requester.notes()) {
    if (note.what != "accepted") continue;
    std::set<std::string> platforms;
    for (const auto& [name, value] : note.fields)
      if (name == "farmers")
        for (const auto& node : v.nodes())
          if (value.find(to_hex(node->key())) != std::string::npos) platforms.insert(node->terms().platform);
    counts.push_back(platforms.size());
  }
  return counts;
}

}  // namespace

TEST_CASE("a_farmer_has_the_runtime_before_it_bids") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer();
  v.farmer();
  bool bid_without = false;
  bob.watch_farmer = [&](const FarmerEffect& effect) {
    bid_without = bid_without || (sends<BidMessage>(effect) && !bob.has_runtime());
    return Crash::none;
  };
  auto& task = alice.offer(with_runtime(3));
  REQUIRE(v.ends(task, minute));
  CHECK(task.done());
  CHECK_FALSE(bid_without);
  CHECK(noted(bob, "runtime_ready"));
  v.close_books();
}

TEST_CASE("a_runtime_that_made_room_is_prepared_again_for_the_next_task") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  auto& first = alice.offer(with_runtime(1));
  REQUIRE(v.ends(first, minute));
  v.run_for(5 * minute);  // the leases are over
  for (SimNode* node : {&bob, &carol}) node->let_runtimes_go();
  CHECK_FALSE(bob.has_runtime());
  auto& second = alice.offer(with_runtime(1));
  REQUIRE(v.ends(second, minute));
  CHECK(second.done());
}

TEST_CASE("a_farmer_that_lost_its_runtime_between_bid_and_award_refuses_and_comes_back") {
  Village v;
  auto &alice = v.requester(), &bob = v.farmer(), &carol = v.farmer();
  bool once = false;
  alice.watch_requester = [&](const RequesterEffect& effect) {
    if (!once && sends<AwardMessage>(effect)) {
      once = true;
      for (SimNode* node : {&bob, &carol}) node->let_runtimes_go();
    }
    return Crash::none;
  };
  auto& task = alice.offer(with_runtime(1));
  REQUIRE(v.ends(task, 5 * minute));
  CHECK(task.done());
}

TEST_CASE("a_runtime_that_cannot_be_had_is_said_and_tried_again_later") {
  WorldOptions options;
  options.faults.failed_fetch = 1000;
  World world(options);
  NodeTerms asks;
  asks.farms = false;
  auto &alice = world.add(asks), &bob = world.add({}), &carol = world.add({});
  for (SimNode* node : {&bob, &carol}) world.acquaint(alice, *node);
  auto terms = with_runtime(1);
  terms.queue_ms = hour;
  auto& task = alice.offer(terms);
  REQUIRE(world.run_until([&] { return noted(alice, "refused") && noted(bob, "runtime_lost"); }, minute));
  CHECK(bob.farmer()->why_idle().find("no_runtime") != std::string::npos);
  world.heal();
  REQUIRE(world.run_until([&] { return task.ending.has_value(); }, hour));
  CHECK(task.done());
}

TEST_CASE("like_is_paired_with_like_where_tasks_run_in_the_farmers_own_system") {
  Village v;
  auto& alice = v.requester();
  for (int i = 0; i < 3; ++i) {
    farmer_on(v, "debian-12/x86_64");
    farmer_on(v, "debian-13/x86_64");
  }
  farmer_on(v, "arch/aarch64");  // has no like: nothing to do
  auto& task = alice.offer(task_of_units(30));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  const auto counts = platforms_of_units(v, alice);
  REQUIRE(counts.size() == 30);
  for (std::size_t count : counts) CHECK(count == 1);
}

TEST_CASE("farmers_without_their_like_are_paired_all_the_same") {
  Village v;
  auto& alice = v.requester();
  farmer_on(v, "debian-12/x86_64");
  farmer_on(v, "debian-13/x86_64");
  auto& task = alice.offer(task_of_units(4));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
}

TEST_CASE("with_a_runtime_the_distribution_divides_nobody") {
  Village v;
  auto& alice = v.requester();
  farmer_on(v, "debian-12/x86_64");
  farmer_on(v, "debian-12/x86_64");
  farmer_on(v, "debian-13/x86_64");
  auto& task = alice.offer(with_runtime(30));
  REQUIRE(v.ends(task, 10 * minute));
  CHECK(task.done());
  const auto counts = platforms_of_units(v, alice);
  REQUIRE(counts.size() == 30);
  CHECK(std::count(counts.begin(), counts.end(), 2) > 0);
}
