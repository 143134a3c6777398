// When the machine's owner counts as working at it.
#include "core/owner_watch.h"

#include "tests/catch.h"

using namespace tnode;

namespace {

/// Samples a second apart.
struct Watched {
  OwnerWatch watch;
  TimeMs now = 1'000'000;
  std::optional<std::string> resting;
  bool works_after(int seconds, std::int64_t others_permille, std::optional<std::int64_t> pressure = {}, std::optional<TimeMs> input_age = {}) {
    for (int i = 0; i < seconds; ++i) resting = watch.step({now += owner_sample_ms, others_permille, pressure, input_age});
    return !resting;
  }
};

constexpr int long_enough = quiet_before_work_ms / owner_sample_ms + 1;

}  // namespace

TEST_CASE("work_begins_after_the_machine_was_idle_for_a_while") {
  Watched w;
  CHECK_FALSE(w.works_after(long_enough - 1, 10));
  CHECK(w.works_after(1, 10));
  CHECK(w.works_after(1'000, 10));
}

TEST_CASE("an_owner_who_works_is_seen_by_the_second_sample_and_one_alone_is_none") {
  Watched w;
  REQUIRE(w.works_after(long_enough, 10));
  CHECK(w.works_after(1, 900));
  CHECK(w.works_after(1, 10));
  CHECK(w.works_after(1, 900));
  CHECK_FALSE(w.works_after(1, 400));
  CHECK(*w.resting == "others use 40 % of this machine's CPUs");
  CHECK_FALSE(w.works_after(long_enough - 1, 10));
  CHECK(w.works_after(1, 10));
}

TEST_CASE("between_the_thresholds_nothing_changes") {
  Watched w;
  CHECK_FALSE(w.works_after(1'000, quiet_permille + 50));
  REQUIRE(w.works_after(long_enough, 10));
  CHECK(w.works_after(1'000, busy_permille - 50));
}

TEST_CASE("whoever_presses_keys_is_there") {
  Watched w;
  REQUIRE(w.works_after(long_enough, 10, {}, input_rest_ms));
  CHECK_FALSE(w.works_after(1, 10, {}, 3'000));
  CHECK(*w.resting == "somebody types at this machine");
  CHECK(w.works_after(long_enough, 10, {}, input_rest_ms));
}

TEST_CASE("pressure_keeps_work_from_beginning_and_never_ends_it") {
  Watched w;
  CHECK_FALSE(w.works_after(1'000, 10, quiet_pressure_permille));
  REQUIRE(w.works_after(long_enough, 10, 0));
  CHECK(w.works_after(1'000, 10, 900));  // it is our own
}
