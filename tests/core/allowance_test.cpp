#include "core/allowance.h"
#include "tests/catch.h"

using namespace tnode;

TEST_CASE("a_burst_is_allowed_and_then_one_every_so_often") {
  Allowance allowance(3, 100);
  TimeMs now = 1'700'000'000'000;
  CHECK(allowance.untouched(now));
  for (int i = 0; i < 3; ++i) CHECK(allowance.take(now));
  CHECK_FALSE(allowance.take(now));
  CHECK_FALSE(allowance.take(now + 99));
  CHECK(allowance.take(now + 100));
  CHECK_FALSE(allowance.take(now + 100));
  CHECK_FALSE(allowance.untouched(now + 399));
  CHECK(allowance.untouched(now + 400));
  for (int i = 0; i < 3; ++i) CHECK(allowance.take(now + 1'000'000));  // no more is saved up than the burst
  CHECK_FALSE(allowance.take(now + 1'000'000));
  CHECK_FALSE(allowance.take(now));  // a clock that is set back gives nothing
  CHECK(allowance.take(now + 1'000'100));
}
