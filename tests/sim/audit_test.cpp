// A farmer verifies a requester's published chain before it has more than so much promised at once.
#include "core/amount.h"
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

constexpr Micro limit = 2 * credit_micro;  // the farmer's queue is longer: four units of a credit for each of its slots

struct Town : World {
  Town() : World(WorldOptions{}) {}
  SimNode& farmer(Micro price_micro = credit_micro) {
    NodeTerms terms;
    terms.slots = 2;
    terms.price_micro = price_micro;
    terms.audit_above_micro = limit;
    return add(terms);
  }
  SimNode& requester(bool publishes, Micro unproved_micro = 0) {
    NodeTerms terms;
    terms.farms = false;
    terms.publishes = publishes;
    terms.unproved_micro = unproved_micro;
    return add(terms);
  }
};

struct Seen { Micro most_before = 0, most_after = 0; };

/// What was promised to the requester at a time at most, before and after its chain was audited.
template <class Done>
Seen watch(Town& town, const SimNode& farmer, const SimNode& requester, Done done, TimeMs how_long) {
  Seen seen;
  town.run_until([&] {
    bool audited = false;
    for (const auto& note : farmer.notes()) audited = audited || note.what == "audited";
    Micro& most = audited ? seen.most_after : seen.most_before;
    most = std::max(most, farmer.farmer()->credit().promised(requester.key()));
    return done();
  }, how_long);
  return seen;
}

int notes_of(const SimNode& node, const std::string& what) {
  return static_cast<int>(std::count_if(node.notes().begin(), node.notes().end(), [&](const Note& note) { return note.what == what; }));
}

}  // namespace

TEST_CASE("before_much_is_promised_the_requesters_chain_is_audited_once") {
  Town town;
  auto &alice = town.requester(true), &bob = town.farmer();
  town.acquaint_all();
  auto& task = alice.offer(task_of_units(60, 1, 1));
  const Seen seen = watch(town, bob, alice, [&] { return task.done(); }, hour);
  CHECK(task.role->counts().accepted == 60);
  CHECK(seen.most_before <= limit);
  CHECK(seen.most_after > limit);
  CHECK(notes_of(bob, "audited") == 1);
}

TEST_CASE("what_is_below_the_limit_needs_no_audit") {
  Town town;
  auto &alice = town.requester(true), &bob = town.farmer();
  town.acquaint_all();
  auto& task = alice.offer(task_of_units(2, 1, 1));
  REQUIRE(town.run_until([&] { return task.done(); }, hour));
  CHECK(notes_of(bob, "audited") == 0);
}

TEST_CASE("who_publishes_nothing_gets_as_much_at_a_time_as_the_limit_allows") {
  Town town;
  auto &alice = town.requester(false), &bob = town.farmer();
  town.acquaint_all();
  auto &task = alice.offer(task_of_units(30, 1, 1)), &second = alice.offer(task_of_units(30, 1, 1));
  const Seen seen = watch(town, bob, alice, [&] { return task.done() && second.done(); }, 2 * hour);
  CHECK(task.role->counts().accepted + second.role->counts().accepted == 60);
  CHECK(seen.most_before == limit);  // of both tasks together
  CHECK(notes_of(bob, "audited") == 0);
  CHECK(notes_of(bob, "not_audited") >= 1);
}

TEST_CASE("a_unit_that_costs_more_than_the_limit_is_declined_without_an_audit_and_done_with_one") {
  for (const bool publishes : {false, true}) {
    Town town;
    auto& alice = town.requester(publishes);
    town.farmer(3 * credit_micro);
    town.acquaint_all();
    TaskTerms terms = task_of_units(1, 1, 1);
    terms.queue_ms = 60'000;
    auto& task = alice.offer(terms);
    REQUIRE(town.run_until([&] { return task.ending.has_value(); }, hour));
    CHECK(task.done() == publishes);
    std::string said;
    for (const auto& note : alice.notes())
      if (note.what == "refused" && note.fields[1].second == "not_audited") said = note.fields[2].second;
    CHECK_THAT(said, has_text(publishes ? "that is under way" : "no head is published for it"));
  }
}

TEST_CASE("what_a_chain_claims_without_proof_does_not_carry_an_award") {
  Town town;
  auto &alice = town.requester(true, 2000 * credit_micro), &bob = town.farmer(3 * credit_micro);
  town.acquaint_all();
  TaskTerms terms = task_of_units(1, 1, 1);
  terms.queue_ms = 60'000;
  auto& task = alice.offer(terms);
  REQUIRE(town.run_until([&] { return task.ending.has_value(); }, hour));
  CHECK_FALSE(task.done());
  CHECK(earned(bob) == 0);
  bool told = false;
  for (const auto& note : alice.notes()) told = told || (note.what == "lost" && note.fields.back().second.find("2000 credits are claimed and not proved") != std::string::npos);
  CHECK(told);
}

TEST_CASE("an_audit_that_is_old_is_made_again") {
  Town town;
  auto &alice = town.requester(true), &bob = town.farmer();
  town.acquaint_all();
  auto& first = alice.offer(task_of_units(20, 1, 1));
  REQUIRE(town.run_until([&] { return first.done(); }, hour));
  CHECK(notes_of(bob, "audited") == 1);
  town.run_for(audit_kept_ms);
  auto& second = alice.offer(task_of_units(20, 1, 1));
  REQUIRE(town.run_until([&] { return second.done(); }, hour));
  CHECK(notes_of(bob, "audited") == 2);
}
