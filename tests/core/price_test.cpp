// What is asked for a unit and what a task may cost: the arithmetic, its bounds, and what raises it.
#include "core/price.h"

#include "core/crypto.h"
#include "tests/catch.h"
#include "tests/sim/random.h"

using namespace tnode;

namespace {

constexpr TimeMs day = 86'400'000, now = 19'800 * day;
NodeKey key_of(int number) { return rename_id<NodeKey>(sha256("key " + std::to_string(number))); }
const TaskId task = rename_id<TaskId>(sha256("task")), other = rename_id<TaskId>(sha256("other"));

Offer offer_of(UnitNumber units, Micro max_price, TimeMs run_ms = 10'000) {
  Offer offer;
  offer.units = units;
  offer.max_price_micro = max_price;
  offer.run_ms = run_ms;
  return offer;
}

}  // namespace

TEST_CASE("a_unit_costs_its_work_at_the_base_price_and_never_less_than_the_least") {
  const AskTerms terms{50, 1000};
  CHECK(ask(terms, {2'000, 0, true}) == 2000);
  CHECK(ask(terms, {2'001, 0, true}) == 2001);  // rounded up
  CHECK(ask(terms, {10, 0, true}) == 50);
  CHECK(ask({50, 0}, {1'000'000, 1000, false}) == 50);  // without a base price nothing else counts
}

TEST_CASE("load_and_strangers_raise_the_price") {
  const AskTerms terms{0, 1000};
  CHECK(ask(terms, {4'000, 1000, true}) == 6000);
  CHECK(ask(terms, {4'000, 500, true}) == 5000);
  CHECK(ask(terms, {4'000, 0, false}) == 5000);
  CHECK(ask(terms, {4'000, 1000, false}) == 7500);
  CHECK(ask(terms, {4'000, 99'000, true}) == 6000);
}

TEST_CASE("no_price_overflows") {
  CHECK(ask({0, max_unit_price_micro}, {std::int64_t{1} << 53, 1000, false}) == max_unit_price_micro);
  Offer offer = offer_of(1'000'000, max_unit_price_micro, TimeMs{1} << 53);
  offer.batch = 10'000'000;
  offer.resources.cpus = 1024;
  offer.agree = 64;
  offer.max_replicas = 64;
  CHECK(limit_of_work_ms(offer) == std::int64_t{1} << 53);
  const Cost cost = cost_of(offer, {{key_of(1), now, max_unit_price_micro, 1, 1, 1000}}, now);
  CHECK_FALSE(cost.low_micro.has_value());
  CHECK_FALSE(cost.likely_micro.has_value());
  CHECK_FALSE(cost.high_micro.has_value());
}

TEST_CASE("work_is_estimated_by_what_the_task_used_and_else_by_what_others_used") {
  WorkEstimate work;
  CHECK(work.of(task, 100'000) == 10'000);  // a tenth of the limit to begin with
  work.ran(task, 100'000, 3'000);
  work.ran(task, 100'000, 5'000);
  CHECK(work.of(task, 100'000) == 4'000);
  CHECK(work.of(task, 2'000) == 2'000);     // never more than the limit
  for (int i = 0; i < 400; ++i) work.ran(task, 100'000, 1'000);
  CHECK(work.of(other, 100'000) <= 2'000);  // others are thought to be like it
  for (int i = 0; i < 400; ++i) work.ran(task, 100'000, 500'000);
  CHECK(work.of(other, 100'000) >= 99'000);
  CHECK(work.of(other, 1) == 1);
  CHECK(work.of(other, 0) == 1);
}

TEST_CASE("without_bids_a_task_costs_up_to_its_limit") {
  const Cost cost = cost_of(offer_of(5, 1'000'000), {}, now);
  CHECK(cost.asks == 0);
  CHECK(cost.low_micro == 0);
  CHECK(cost.likely_micro == 10'000'000);
  CHECK(cost.high_micro == 15'000'000);  // of five votes at most three agree when the first two did not
  Offer strict = offer_of(5, 1'000'000);
  strict.agree = 4;
  CHECK(cost_of(strict, {}, now).high_micro == 20'000'000);
}

TEST_CASE("bids_that_are_known_tell_what_is_likely") {
  const std::vector<AskSeen> seen{{key_of(1), now, 300'000, 10'000, 0, 1000}, {key_of(2), now, 100'000, 10'000, 0, 1000}, {key_of(3), now, 200'000, 10'000, 0, 1000},
                                  {key_of(4), now - 31 * day, 1, 10'000, 0, 1000},  // too long ago
                                  {key_of(5), now, 2'000'000, 10'000, 0, 1000}};    // would not bid
  const Cost cost = cost_of(offer_of(10, 1'000'000), seen, now);
  CHECK(cost.asks == 3);
  CHECK(cost.low_micro == 3'000'000);     // the two cheapest
  CHECK(cost.likely_micro == 4'000'000);  // the median, twice
  CHECK(cost.high_micro == 30'000'000);
  CHECK(cost_of(offer_of(10, 1'000'000), {seen[1]}, now).low_micro == 2'000'000);  // one is known, two are needed
}

TEST_CASE("who_asks_by_cpu_time_asks_more_for_more") {
  const AskSeen flat{key_of(1), now, 100'000, 10'000, 0, 1000}, by_time{key_of(2), now, 100'000, 10'000, 50'000, 1000};
  CHECK(expected_ask(flat, 40'000) == 100'000);
  CHECK(expected_ask(by_time, 40'000) == 400'000);
  CHECK(expected_ask(by_time, 5'000) == 50'000);
}

TEST_CASE("proven_farmers_make_an_adaptive_task_cheaper") {
  std::vector<AskSeen> seen;
  for (int i = 0; i < 4; ++i) seen.push_back({key_of(i), now, 100'000, 10'000, 0, 50});
  Offer offer = offer_of(100, 1'000'000);
  CHECK(cost_of(offer, seen, now).likely_micro == 20'000'000);
  offer.adaptive = true;
  const Cost cost = cost_of(offer, seen, now);
  CHECK(cost.low_micro == 10'000'000);
  CHECK(cost.likely_micro == 10'500'000);
}

TEST_CASE("low_likely_and_high_stand_in_that_order") {
  sim::Random random(3);
  for (int round = 0; round < 3000; ++round) {
    Offer offer = offer_of(static_cast<UnitNumber>(random.between(1, 1000)), random.between(0, 3'000'000), random.between(1, 100'000));
    offer.agree = random.between(1, 5);
    offer.max_replicas = offer.agree + random.between(0, 5);
    offer.adaptive = random.chance(300);
    std::vector<AskSeen> seen;
    for (int i = 0; i < random.between(0, 6); ++i)
      seen.push_back({key_of(i), now - random.between(0, 40) * day, random.between(0, 3'000'000), random.between(1, 100'000), random.chance(500) ? random.between(1, 100) : 0, random.between(50, 1000)});
    const Cost cost = cost_of(offer, seen, now);
    INFO(round << ": " << *cost.low_micro << " " << *cost.likely_micro << " " << *cost.high_micro);
    REQUIRE(*cost.low_micro <= *cost.likely_micro);
    REQUIRE(*cost.likely_micro <= *cost.high_micro);
  }
}

TEST_CASE("a_bid_that_was_seen_is_read_as_it_was_written") {
  const AskSeen seen{key_of(1), now, 123, 456, 789, 1000};
  AskSeen again;
  REQUIRE(decode_ask(seen.farmer.view(), encode_ask(seen), again));
  CHECK(again.farmer == seen.farmer);
  CHECK(again.when_ms == now);
  CHECK(again.price_micro == 123);
  CHECK(again.limit_ms == 456);
  CHECK(again.cpu_second_micro == 789);
  CHECK_FALSE(decode_ask("short", encode_ask(seen), again));
  for (const char* broken : {"", "1 2 3", "1 2 3 4 5", "1 2 3 -4", "1 2 3 x"}) CHECK_FALSE(decode_ask(seen.farmer.view(), broken, again));
}
