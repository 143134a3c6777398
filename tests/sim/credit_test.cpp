// Who may owe an honest farmer how much: new keys by the thousand, rings that pay themselves, requesters that never pay, and newcomers.
// The roles are the real ones; the figures of docs/credit.md come from here and from economy_test.cpp.
#include "core/amount.h"
#include "tests/sim/village.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

constexpr Micro cap = 20 * credit_micro;

/// A world without the real store: it has thousands of nodes, of which a few meet at a time.
struct Town : World {
  Town() : World(WorldOptions{}) {}
  SimNode& farmer() {
    NodeTerms terms;
    terms.credit.stranger_cap_micro = cap;
    terms.slots = 4;
    return add(terms);
  }
  SimNode& requester() {
    NodeTerms terms;
    terms.farms = false;
    return add(terms);
  }
  /// One asks the other for so many units, alone, and leaves; how many it got.
  UnitNumber asks(SimNode& requester, SimNode& farmer, UnitNumber units) {
    TaskTerms terms = task_of_units(units, 1, 1);
    terms.queue_ms = 30'000;
    auto& task = requester.offer(terms);
    join(requester, farmer);
    run_until([&] { return task.ending.has_value(); }, hour);
    const UnitNumber got = task.role->counts().accepted;
    run_for(10'000);
    part(requester, farmer);
    return got;
  }
};

Standing standing(const SimNode& farmer, const SimNode& of, TimeMs now) { return farmer.farmer()->credit().standing(of.key(), now); }

}  // namespace

TEST_CASE("a_thousand_new_keys_gain_no_more_than_one") {
  constexpr UnitNumber wanted = 40;
  UnitNumber one_gains = 0, thousand_gain = 0;
  int served = 0;
  {
    Town town;
    one_gains = town.asks(town.requester(), town.farmer(), wanted);
  }
  {
    Town town;
    auto& farmer = town.farmer();
    for (int i = 0; i < 1000; ++i) {
      const UnitNumber got = town.asks(town.requester(), farmer, wanted);
      thousand_gain += got;
      served += got > 0;
    }
    CHECK(earned(farmer) == static_cast<Micro>(thousand_gain) * credit_micro);
  }
  WARN("with a cap of " << format_credits(cap) << ": one new key gains " << one_gains << " units of 1 credit, 1,000 new keys gain " << thousand_gain << ", " << served << " of them anything");
  CHECK(one_gains * credit_micro <= cap);
  CHECK(one_gains >= 18);  // a little is left over when awards are dealt
  CHECK(thousand_gain * credit_micro <= cap);
}

TEST_CASE("a_refusal_says_why_and_what_would_help") {
  Town town;
  auto &farmer = town.farmer(), &alice = town.requester(), &bob = town.requester();
  town.asks(alice, farmer, 40);
  town.asks(bob, farmer, 1);
  for (const auto& note : bob.notes())
    if (note.what == "refused") {
      CHECK(note.fields[1].second == "owed_too_much");
      CHECK_THAT(note.fields[2].second, has_text("of at most 20 together. Work for us"));
      return;
    }
  FAIL("no refusal reached the stranger");
}

TEST_CASE("a_ring_that_pays_itself_gains_what_one_new_key_gains") {
  Town town;
  auto& farmer = town.farmer();
  // Two keys of one owner trade until one of them is rich by its own chain, and audited.
  NodeTerms generous;
  generous.slots = 8;
  auto &rich = town.add(generous), &poor = town.requester();
  CHECK(town.asks(poor, rich, 300) == 300);
  CHECK(earned(rich) == 300 * credit_micro);
  farmer.audit(poor);
  farmer.audit(rich);
  const UnitNumber rich_gains = town.asks(rich, farmer, 100), poor_gains = town.asks(poor, farmer, 100);
  WARN("a key that its own second key paid 300 credits gains " << rich_gains << " units, the second key then " << poor_gains);
  CHECK((rich_gains + poor_gains) * credit_micro <= cap);
}

TEST_CASE("who_takes_results_and_never_pays_owes_them_all_the_same") {
  Town town;
  auto& farmer = town.farmer();
  UnitNumber handed_over = 0;
  int served = 0;
  for (int i = 0; i < 100; ++i) {
    auto& thief = town.requester();
    // It has the votes, and is never seen again.
    thief.watch_requester = [](const RequesterEffect& effect) { return is<WriteDebit>(effect) ? Crash::before_commit : Crash::none; };
    auto& task = thief.offer(task_of_units(4, 1, 1));
    town.join(thief, farmer);
    town.run_until([&] { return !thief.running() || task.ending.has_value(); }, hour);
    served += !thief.running();
    for (const auto& note : thief.notes()) handed_over += note.what == "accepted";
    town.run_for(10 * minute);  // leases end
    if (thief.running()) thief.crash();
    CHECK(farmer.farmer()->idle());
  }
  WARN("of 100 keys that take results and vanish, " << served << " got any, " << handed_over << " units in all");
  CHECK(served > 0);
  CHECK(handed_over * credit_micro <= cap);
  CHECK(earned(farmer) == 0);
  // The farmer remembers it, also when it starts again.
  farmer.crash();
  farmer.come_back();
  auto& next = town.requester();
  CHECK(standing(farmer, next, town.now()).room_micro < 4 * credit_micro);
}

TEST_CASE("a_payment_that_comes_late_is_owed_once") {
  Town town;
  auto &farmer = town.farmer(), &alice = town.requester();
  auto& task = alice.offer(task_of_units(6, 1, 1));
  alice.watch_requester = [](const RequesterEffect& effect) { return is<WriteDebit>(effect) ? Crash::after_commit : Crash::none; };
  town.join(alice, farmer);
  town.run_until([&] { return !alice.running(); }, hour);
  REQUIRE_FALSE(alice.running());
  town.run_for(hour);
  CHECK(standing(farmer, alice, town.now()).unpaid_micro > 0);
  alice.watch_requester = nullptr;
  alice.come_back();
  REQUIRE(town.run_until([&] { return task.done(); }, hour));
  town.run_for(minute);
  const Standing s = standing(farmer, alice, town.now());
  CHECK(s.taken_micro == earned(farmer));
  CHECK(s.unpaid_micro == 0);
  CHECK(farmer.ledger().records().count({"unpaid", Bytes()}) == 0);
  for (const auto& [place, value] : farmer.ledger().records()) CHECK(place.first != "unpaid");
}

TEST_CASE("a_newcomer_that_works_first_can_always_start_however_full_the_pool_is") {
  Town town;
  auto& farmer = town.farmer();
  town.asks(town.requester(), farmer, 40);  // the pool is taken
  auto &stranger = town.requester(), &newcomer = town.farmer();
  CHECK(town.asks(stranger, farmer, 3) == 0);
  // It works for the farmer, which asks for something itself; then it asks.
  CHECK(town.asks(farmer, newcomer, 7) == 7);
  CHECK(standing(farmer, newcomer, town.now()).claim_micro == 7 * credit_micro);
  CHECK(town.asks(newcomer, farmer, 7) == 7);
  CHECK(town.asks(newcomer, farmer, 1) == 0);
}

TEST_CASE("a_newcomer_that_worked_for_one_who_worked_here_can_start_too") {
  Town town;
  auto &farmer = town.farmer(), &friendly = town.farmer(), &newcomer = town.farmer();
  town.asks(town.requester(), farmer, 40);  // the pool is taken
  CHECK(town.asks(farmer, friendly, 10) == 10);
  CHECK(town.asks(friendly, newcomer, 6) == 6);
  CHECK(town.asks(newcomer, farmer, 1) == 0);  // the farmer does not know
  farmer.audit(friendly);
  town.run_for(1000);
  CHECK(standing(farmer, newcomer, town.now()).vouchers == std::map<NodeKey, Micro>{{friendly.key(), 6 * credit_micro}});
  CHECK(town.asks(newcomer, farmer, 6) == 6);
  CHECK(town.asks(newcomer, farmer, 1) == 0);
  // What the newcomer leaned on is no longer the friend's to use.
  CHECK(town.asks(friendly, farmer, 5) == 4);
}

TEST_CASE("who_could_owe_no_more_is_bid_to_again_when_it_has_worked") {
  Town town;
  auto &farmer = town.farmer(), &alice = town.farmer();
  town.asks(town.requester(), farmer, 40);
  TaskTerms terms = task_of_units(3, 1, 1);
  auto& task = alice.offer(terms);
  town.join(alice, farmer);
  town.run_for(10'000);
  CHECK(task.role->counts().leased == 0);
  auto& wanted = farmer.offer(task_of_units(3, 1, 1));
  REQUIRE(town.run_until([&] { return wanted.done(); }, hour));
  REQUIRE(town.run_until([&] { return task.done(); }, hour));
}
