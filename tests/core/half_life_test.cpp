// Halving in integers: never up, never to nothing, and the same in many steps as in one.
#include "core/half_life.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

using namespace tnode;

TEST_CASE("an_amount_halves_with_each_half_life") {
  CHECK(faded(1'000'000, 0, 1000) == 1'000'000);
  CHECK(faded(1'000'000, 1000, 1000) == 500'000);
  CHECK(faded(1'000'000, 2000, 1000) == 250'000);
  CHECK(faded(1'000'000'000, 500, 1000) == 707'106'782);  // rounded up
  CHECK(faded(0, 500, 1000) == 0);
  CHECK(faded(7, -5, 1000) == 7);
  CHECK(faded(7, 5, 0) == 7);
}

TEST_CASE("an_amount_never_grows_and_never_quite_vanishes") {
  const std::int64_t amount = GENERATE(std::int64_t{1}, std::int64_t{2}, std::int64_t{999}, std::int64_t{1'000'000}, std::numeric_limits<std::int64_t>::max());
  std::int64_t before = amount;
  for (TimeMs age = 0; age < 80'000; age += 37) {
    const std::int64_t now = faded(amount, age, 1000);
    REQUIRE(now <= before);
    REQUIRE(now >= 1);
    before = now;
  }
  CHECK(before == 1);
  CHECK(faded(amount, std::numeric_limits<TimeMs>::max(), 1) == 1);
}

TEST_CASE("many_small_steps_come_to_one_large_one") {
  const TimeMs half_life = 30LL * 86'400'000;
  std::int64_t stepwise = 1'000'000'000;
  const int steps = 1000;
  for (int i = 0; i < steps; ++i) stepwise = faded(stepwise, half_life / steps, half_life);
  const std::int64_t at_once = faded(1'000'000'000, half_life / steps * steps, half_life);
  CHECK(stepwise >= at_once);               // looking often gains nothing
  CHECK(stepwise - at_once < 1'000'000);    // and costs less than a thousandth
}

TEST_CASE("it_agrees_with_the_formula") {
  for (TimeMs age = 0; age < 10'000'000; age += 123'457) {
    const double exact = 1e12 * std::exp2(-static_cast<double>(age) / 1e6);
    REQUIRE(std::abs(static_cast<double>(faded(1'000'000'000'000, age, 1'000'000)) - exact) <= 1e-5 * exact + 2);
  }
}
