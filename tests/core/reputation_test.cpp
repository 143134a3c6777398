// From rows of evidence to figures: what raises them, what lowers them, how they fade.
#include "core/reputation.h"

#include "core/crypto.h"
#include "tests/catch.h"
#include "tests/sim/random.h"

using namespace tnode;

namespace {

constexpr TimeMs day = 86'400'000, now = 19'800 * day + 12'345'678;
constexpr EvidenceDay today = 19'800;

Evidence seen(std::int64_t agreed, std::int64_t dissented = 0, std::int64_t timed_out = 0, std::int64_t no_show = 0) {
  Evidence e;
  e.add(Sight::dissented, dissented);
  e.add(Sight::agreed, agreed);
  e.add(Sight::timed_out, timed_out);
  e.add(Sight::no_show, no_show);
  return e;
}

}  // namespace

TEST_CASE("a_key_that_was_never_seen_has_the_benefit_of_the_doubt") {
  const Reputation r = reputation_of({}, now);
  CHECK(r == Reputation{});
  CHECK(r.level == Level::newcomer);
  CHECK(check_chance(r) == 1000);
}

TEST_CASE("success_counts_everything_it_was_given_and_quality_only_votes") {
  const Reputation r = reputation_of({{today, seen(18, 2, 3, 5)}}, now);
  CHECK(r.success == 666);   // 20 of 30, with two presumed good ones
  CHECK(r.quality == 909);   // 20 of 22
  CHECK(r.agreed == 18);
  CHECK(r.consistency == 1000);  // one day does not differ from itself
  CHECK(r.trend == 0);
}

TEST_CASE("unchecked_units_are_delivered_and_prove_nothing") {
  Evidence e;
  e.add(Sight::unchecked, 500);
  const Reputation r = reputation_of({{today, e}}, now);
  CHECK(r.success == 1000);
  CHECK(r.agreed == 0);
  CHECK(r.in_a_row == 0);
  CHECK(r.level == Level::known);
  CHECK(check_chance(r) == 1000);
}

TEST_CASE("ten_agreed_in_a_row_prove_a_farmer_and_one_dissent_ends_it") {
  CHECK(reputation_of({{today, seen(9)}}, now).level == Level::known);
  Reputation r = reputation_of({{today, seen(10)}}, now);
  CHECK(r.level == Level::proven);
  CHECK(check_chance(r) == 100);
  CHECK(check_chance(reputation_of({{today, seen(15)}}, now)) == 66);
  CHECK(check_chance(reputation_of({{today, seen(1000)}}, now)) == 50);

  Evidence e = seen(1000);
  e.add(Sight::dissented, 1);
  r = reputation_of({{today, e}}, now);
  CHECK(r.in_a_row == 0);
  CHECK(r.level == Level::known);
  CHECK(check_chance(r) == 1000);
  e.add(Sight::agreed, 12);
  CHECK(reputation_of({{today, e}}, now).in_a_row == 12);
  // Rows add up across days; a dissent ends what was before it.
  CHECK(reputation_of({{today - 1, seen(6)}, {today, seen(6)}}, now).in_a_row == 11);  // yesterday's have faded a little
  CHECK(reputation_of({{today - 1, seen(50)}, {today, seen(3, 1)}}, now).in_a_row == 3);
}

TEST_CASE("evidence_fades_by_half_in_a_month_and_so_does_proof") {
  const EvidenceRows rows{{today, seen(16)}};
  CHECK(reputation_of(rows, now).in_a_row == 16);
  CHECK(reputation_of(rows, now + 30 * day).in_a_row == 8);
  CHECK(reputation_of(rows, now + 30 * day).level == Level::known);
  CHECK(reputation_of(rows, now + 60 * day).level == Level::newcomer);
  // An old lie weighs less than a new one.
  CHECK(reputation_of({{today - 90, seen(0, 8)}, {today, seen(8)}}, now).quality > reputation_of({{today - 1, seen(0, 8)}, {today, seen(8)}}, now).quality);
  // A row of tomorrow, by a clock that was set back, counts as today's.
  CHECK(reputation_of({{today + 3, seen(16)}}, now).in_a_row == 16);
}

TEST_CASE("liars_and_those_who_do_not_deliver_are_doubtful") {
  CHECK(reputation_of({{today, seen(3, 3)}}, now).level == Level::doubtful);
  CHECK(reputation_of({{today, seen(0, 1)}}, now).level == Level::doubtful);
  CHECK(reputation_of({{today, seen(5, 0, 3, 5)}}, now).level == Level::doubtful);
  CHECK(reputation_of({{today, seen(0, 0, 1, 1)}}, now).level == Level::newcomer);
}

TEST_CASE("consistency_and_trend_tell_a_steady_farmer_from_one_that_changed") {
  EvidenceRows steady, moody, fallen;
  for (EvidenceDay d = today - 20; d <= today; ++d) {
    steady[d] = seen(9, 0, 1);
    moody[d] = d % 2 ? seen(10) : seen(0, 0, 10);
    fallen[d] = d > today - 7 ? seen(0, 0, 10) : seen(10);
  }
  CHECK(reputation_of(steady, now).consistency >= 990);
  CHECK(reputation_of(steady, now).trend == 0);
  CHECK(reputation_of(moody, now).consistency < 50);
  CHECK(reputation_of(fallen, now).trend == -1000);
  CHECK(reputation_of({{today - 20, seen(0, 0, 10)}, {today, seen(10)}}, now).trend == 1000);
  CHECK(reputation_of({{today - 20, seen(4)}, {today, seen(0, 0, 10)}}, now).trend == 0);  // four units are no past
}

TEST_CASE("the_draw_prefers_a_good_record_and_a_low_price_and_forgets_nobody") {
  const auto weight = [](const Evidence& e, Micro price = 500'000) { return draw_weight(reputation_of({{today, e}}, now), price, 1'000'000); };
  CHECK(weight(seen(48)) > 3 * weight(seen(0)));
  CHECK(weight(seen(480)) == weight(seen(48)));
  CHECK(weight(seen(0)) > 4 * weight(seen(0, 1)));
  CHECK(weight(seen(0)) > 2 * weight(seen(0, 0, 1)));
  CHECK(weight(seen(0, 1'000'000)) >= 1);
  CHECK(9 * weight(seen(48), 0) == 16 * weight(seen(48), 1'000'000));
  CHECK(draw_weight({}, 0, 0) > 0);
}

TEST_CASE("a_row_is_read_as_it_was_written_and_anything_else_is_not") {
  Evidence e = seen(3, 1, 4, 1);
  e.add(Sight::unchecked, 59);
  const NodeKey key = rename_id<NodeKey>(sha256("key"));
  EvidenceRow row;
  REQUIRE(decode_evidence(evidence_name(key, today), encode_evidence(e), row));
  CHECK(row.key == key);
  CHECK(row.day == today);
  CHECK(row.evidence == e);
  CHECK(encode_evidence(e) == "3 3 59 1 4 1");
  CHECK_FALSE(decode_evidence("short", encode_evidence(e), row));
  for (const char* broken : {"", "1 2 3", "1 2 3 4 5 6 7", "1 2 3 4 5 -6", "1 2 3 4 5 x", "9999999999999 2 3 4 5 6"}) CHECK_FALSE(decode_evidence(evidence_name(key, today), broken, row));
}

TEST_CASE("figures_stay_in_their_bounds_whatever_was_seen") {
  sim::Random random(5);
  for (int round = 0; round < 2000; ++round) {
    EvidenceRows rows;
    const auto days = random.between(0, 30);
    for (int d = 0; d < days; ++d) {
      Evidence& e = rows[today - random.between(0, 400)];
      for (int i = 0; i < 5; ++i) e.add(static_cast<Sight>(random.between(0, 4)), random.chance(50) ? std::int64_t{1} << 40 : random.between(0, 100));
    }
    const Reputation r = reputation_of(rows, now);
    for (const std::int64_t share : {r.success, r.quality, r.consistency}) {
      REQUIRE(share >= 0);
      REQUIRE(share <= 1000);
    }
    REQUIRE(r.trend >= -1000);
    REQUIRE(r.trend <= 1000);
    REQUIRE(r.in_a_row <= r.agreed);
    REQUIRE(check_chance(r) >= fewest_checks);
    REQUIRE(draw_weight(r, random.between(0, 1000), 1000) >= 1);
    REQUIRE(draw_weight(r, 0, 1000) <= 1024);
  }
}
