// The laws can fail: nodes with a known bug are caught. A law that catches nothing proves nothing.
#include "tests/catch.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

/// Runs worlds with lossy links and crashing nodes until a law is broken; what it says, or nothing after many worlds.
std::string first_violation(const NodeTerms& requester, const NodeTerms& farmer) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.faults.lost_message = 40;
    options.faults.repeated_message = 40;
    options.faults.crash_before_commit = 40;
    options.faults.crash_after_commit = 20;
    options.faults.max_down_ms = 3'000;
    World world(options);
    SimNode& asks = world.add(requester);
    for (int i = 0; i < 3; ++i) world.add(farmer);
    world.acquaint_all();
    TaskTerms terms;
    terms.units = 3;
    asks.offer(terms);
    try {
      world.run_for(120'000);
      world.heal();
      world.run_for(600'000);
      world.laws().settled();
    } catch (const Violation& violation) {
      return violation.what();
    }
  }
  return {};
}

NodeTerms asking() {
  NodeTerms terms;
  terms.farms = false;
  return terms;
}

}  // namespace

TEST_CASE("nodes_without_a_planted_bug_break_no_law") { CHECK(first_violation(asking(), {}) == ""); }

TEST_CASE("a_ledger_that_forgets_refs_is_caught") {
  NodeTerms farmer;
  farmer.forgets_refs = true;
  CHECK_THAT(first_violation(asking(), farmer), has_text("books a DEBIT twice"));
}

TEST_CASE("votes_that_can_be_guessed_are_caught") {
  NodeTerms farmer;
  farmer.nonce_is_known = true;
  CHECK_THAT(first_violation(asking(), farmer), has_text("hides nothing"));
}

TEST_CASE("a_vote_shown_before_the_others_have_committed_is_caught") {
  NodeTerms farmer;
  farmer.reveals_early = true;
  CHECK_THAT(first_violation(asking(), farmer), has_text("before the commit set"));
}

TEST_CASE("a_requester_that_sends_before_it_syncs_is_caught") {
  NodeTerms requester = asking();
  requester.skips_sync = true;
  CHECK(first_violation(requester, {}) != "");
}

TEST_CASE("a_farmer_that_sends_before_it_syncs_is_caught") {
  NodeTerms farmer;
  farmer.skips_sync = true;
  CHECK(first_violation(asking(), farmer) != "");
}
