// The rules of the own chain: what may be written, and that writing it twice is writing it once.
#include "tests/ledger/store_fixture.h"

using namespace tnode;

namespace {
const KeyPair alice = key_of(1), bob = key_of(2), carol = key_of(3);
}

TEST_CASE("paying_moves_credits_and_the_sum_stays_zero") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> debit, credit;
  committed(*a, [&] { good(a->hold(bob.key(), hash_of("award"), hash_of("offer"), 3 * credit_micro, 9000, 2000)); });
  REQUIRE(a->balance().held_micro == 3 * credit_micro);
  committed(*a, [&] { debit = good(a->debit(hash_of("award"), hash_of("verdict"), 2 * credit_micro, 3000)); });
  REQUIRE(a->balance().balance_micro == -2 * credit_micro);
  REQUIRE(a->balance().held_micro == 0);
  REQUIRE(a->balance().unclaimed_out_micro == 2 * credit_micro);

  committed(*b, [&] { REQUIRE(b->keep_foreign(*debit).ok()); });
  REQUIRE(b->balance().unclaimed_micro == 2 * credit_micro);
  committed(*b, [&] { credit = good(b->credit(*debit, 4000)); });
  REQUIRE(b->balance().balance_micro == 2 * credit_micro);
  REQUIRE(b->balance().unclaimed_micro == 0);
  REQUIRE(b->known_of(alice.key()).paid_to_us_micro == 2 * credit_micro);
  REQUIRE(b->known_of(carol.key()).paid_to_us_micro == 0);

  committed(*a, [&] { REQUIRE(a->keep_foreign(*credit).ok()); });
  REQUIRE(a->balance().unclaimed_out_micro == 0);
}

TEST_CASE("blocks_say_what_happened_and_link_to_what_they_answer") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> hold, debit, credit;
  committed(*a, [&] {
    hold = good(a->hold(bob.key(), hash_of("award"), hash_of("offer"), 5, 9000, 2000));
    debit = good(a->debit(hash_of("award"), hash_of("verdict"), 3, 1500));
  });
  committed(*b, [&] { credit = good(b->credit(*debit, 4000)); });
  CHECK(hold->expiry_ms == 9000);
  CHECK(hold->evidence == hash_of("offer"));
  CHECK(debit->link == block_id(*hold));
  CHECK(debit->time_ms == 2000);  // a clock set back does not run backwards in the chain
  CHECK(debit->counterparty == bob.key());
  CHECK(credit->link == block_id(*debit));
  CHECK(credit->ref == debit->ref);
  CHECK(credit->counterparty == alice.key());
  for (const auto& block : {*hold, *debit, *credit}) CHECK(verify_block(block));
  auto chain = a->history(0, 10);
  REQUIRE(chain.size() == 3);
  CHECK(chain[0].type == BlockType::genesis);
  CHECK(chain[0].amount == 10 * credit_micro);
  CHECK(chain[2] == *debit);
  CHECK(a->history(1, 1).front() == *hold);
  CHECK(a->balance().head == block_id(*debit));
  CHECK(a->find_block(block_id(*hold)).value() == *hold);
  CHECK(b->find_block(block_id(*debit)).value() == *debit);
  CHECK_FALSE(b->find_block(block_id(*hold)).has_value());
}

TEST_CASE("every_step_done_twice_counts_once") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> debit;
  committed(*a, [&] {
    auto hold = good(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1));
    CHECK(good(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 2)) == hold);
    debit = good(a->debit(hash_of("award"), {}, credit_micro, 3));
    CHECK(good(a->debit(hash_of("award"), {}, credit_micro, 4)) == *debit);
    CHECK(a->release(hash_of("award"), {}, 5).error().code == Code::exists);
    CHECK(good(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 6)) == hold);
  });
  committed(*b, [&] {
    auto credit = good(b->credit(*debit, 6));
    CHECK(good(b->credit(*debit, 7)) == credit);
  });
  CHECK(a->balance().blocks == 3);
  CHECK(b->balance().blocks == 2);
}

TEST_CASE("a_repeat_that_says_something_else_is_refused") {
  StoreFixture f;
  auto a = f.open(alice);
  committed(*a, [&] {
    good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
    CHECK(a->hold(carol.key(), hash_of("award"), {}, 5, 0, 1).error().code == Code::exists);
    CHECK(a->hold(bob.key(), hash_of("award"), {}, 6, 0, 1).error().code == Code::exists);
  });
}

TEST_CASE("a_released_hold_is_free_again_and_cannot_be_paid") {
  StoreFixture f;
  auto a = f.open(alice);
  committed(*a, [&] {
    good(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1));
    auto release = good(a->release(hash_of("award"), {}, 2));
    CHECK(good(a->release(hash_of("award"), {}, 3)) == release);
    CHECK(a->debit(hash_of("award"), {}, credit_micro, 3).error().code == Code::exists);
  });
  CHECK(a->balance().held_micro == 0);
  CHECK(a->balance().balance_micro == 0);
  CHECK(a->balance().blocks == 3);
}

TEST_CASE("nobody_goes_below_the_line_nor_pays_more_than_was_held") {
  StoreFixture f;
  auto a = f.open(alice);
  REQUIRE(a->begin().ok());
  good(a->hold(bob.key(), hash_of("all"), {}, 10 * credit_micro, 0, 1));
  auto more = a->hold(bob.key(), hash_of("more"), {}, 1, 0, 1);
  REQUIRE(more.error().code == Code::credit);
  CHECK_THAT(more.error().message, has_text("not enough credit"));
  CHECK(a->debit(hash_of("all"), {}, 10 * credit_micro + 1, 2).error().code == Code::invalid);
  CHECK(a->debit(hash_of("all"), {}, -1, 2).error().code == Code::invalid);
  CHECK(a->hold(bob.key(), hash_of("less"), {}, -5, 0, 1).error().code == Code::credit);
  CHECK(a->hold(bob.key(), hash_of("huge"), {}, std::numeric_limits<Micro>::max(), 0, 1).error().code == Code::credit);
  CHECK(a->debit(hash_of("none"), {}, 0, 2).error().code == Code::not_found);
  CHECK(a->release(hash_of("none"), {}, 2).error().code == Code::not_found);
  a->rollback();
  CHECK(a->balance().held_micro == 0);
  CHECK(a->balance().blocks == 1);
}

TEST_CASE("what_others_pay_can_be_spent") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> debit;
  committed(*b, [&] {
    good(b->hold(alice.key(), hash_of("x"), {}, 4 * credit_micro, 0, 1));
    debit = good(b->debit(hash_of("x"), {}, 4 * credit_micro, 1));
  });
  committed(*a, [&] {
    good(a->credit(*debit, 1));
    good(a->hold(carol.key(), hash_of("y"), {}, 14 * credit_micro, 0, 1));
    CHECK(a->hold(carol.key(), hash_of("z"), {}, 1, 0, 1).error().code == Code::credit);
  });
}

TEST_CASE("only_a_debit_made_out_to_us_and_signed_is_credited") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> hold, debit;
  committed(*a, [&] {
    hold = good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
    debit = good(a->debit(hash_of("award"), {}, 5, 1));
  });
  auto c = f.open(carol);
  committed(*c, [&] { CHECK(c->credit(*debit, 1).error().code == Code::invalid); });
  committed(*b, [&] {
    CHECK(b->credit(*hold, 1).error().code == Code::invalid);
    Block forged = *debit;
    forged.amount = 6;
    CHECK_THAT(b->credit(forged, 1).error().message, has_text("signature"));
    Block negative = *debit;
    negative.amount = -6;
    sign_block(negative, alice);
    CHECK(b->credit(negative, 1).error().code == Code::invalid);
    good(b->credit(*debit, 1));
  });
  CHECK(b->balance().balance_micro == 5);
}

TEST_CASE("gifts_of_paper_money_keep_nobody_from_being_paid_for_work") {
  StoreFixture f;
  constexpr Micro all = std::numeric_limits<Micro>::max();
  auto rich = f.options(alice);
  rich.line_micro = all;  // it says so itself
  auto a = good(Store::open(rich, 1000));
  auto b = f.open(bob);
  std::vector<Block> gifts;
  Block hold, wage;
  committed(*a, [&] {
    for (const auto& [name, amount] : {std::pair{"too much", all / 2}, {"just so", all / 2}, {"one more", Micro{1}}}) gifts.push_back(good(a->pay(bob.key(), hash_of(name), amount, 1)));
  });
  // More than 64 bits can count together, so the largest is written by hand.
  gifts[0].amount = all;
  sign_block(gifts[0], alice);
  const KeyPair honest = key_of(9);
  auto c = f.open(honest);
  committed(*c, [&] {
    hold = good(c->hold(bob.key(), hash_of("work"), {}, 7, 0, 1));
    wage = good(c->debit(hash_of("work"), {}, 7, 1));
  });
  committed(*b, [&] {
    REQUIRE(b->keep_foreign(hold).ok());
    CHECK(b->credit(gifts[0], 1).error().code == Code::refused);
    good(b->credit(gifts[1], 1));
    good(b->credit(gifts[1], 1));
    CHECK(b->credit(gifts[2], 1).error().code == Code::refused);
    good(b->credit_award(wage, 1));
  });
  CHECK(b->balance().balance_micro == all / 2 + 7);
  CHECK(b->balance().unclaimed_micro == 0);
}

TEST_CASE("an_award_is_credited_only_as_its_hold_promised") {
  StoreFixture f;
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> hold, debit, loose;
  committed(*a, [&] {
    hold = good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
    debit = good(a->debit(hash_of("award"), {}, 5, 1));
    loose = good(a->pay(bob.key(), hash_of("gift"), 3, 1));
  });
  auto refused = [&](const Block& block) { return b->credit_award(block, 1).error().code; };
  committed(*b, [&] {
    CHECK(refused(*debit) == Code::refused);  // nothing is known of its HOLD
    REQUIRE(b->keep_foreign(*hold).ok());
    Block more = *debit, other = *debit, of_another = *debit, not_ours = *debit;
    more.amount = 6;
    other.ref = hash_of("another award");
    of_another.key = carol.key();
    not_ours.counterparty = carol.key();
    sign_block(more, alice), sign_block(other, alice), sign_block(of_another, carol), sign_block(not_ours, alice);
    for (const Block& block : {more, other, of_another, not_ours, *loose}) CHECK(refused(block) == Code::refused);
    CHECK(b->frauds().empty());
    good(b->credit_award(*debit, 1));
    good(b->credit_award(*debit, 1));
    good(b->credit(*loose, 1));  // outside of a task nothing is promised before
  });
  CHECK(b->balance().balance_micro == 8);
}

TEST_CASE("an_award_is_credited_once_also_when_two_debits_are_signed_for_it") {
  StoreFixture f;
  auto b = f.open(bob);
  Block debit;
  debit.type = BlockType::debit;
  debit.seq = 7;
  debit.key = alice.key();
  debit.counterparty = bob.key();
  debit.ref = hash_of("award");
  debit.link = rename_id<BlockId>(hash_of("its hold"));
  debit.amount = 5;
  Block again = debit;
  again.seq = 20;
  sign_block(debit, alice);
  sign_block(again, alice);
  committed(*b, [&] {
    good(b->credit(debit, 1));
    CHECK_THAT(b->credit(again, 1).error().message, has_text("ended one HOLD twice"));
    // Another payer may use the same words for its own award.
    Block others = debit;
    others.key = carol.key();
    sign_block(others, carol);
    good(b->credit(others, 1));
  });
  CHECK(b->balance().balance_micro == 10);
}

TEST_CASE("records_are_kept_by_bucket_and_key") {
  StoreFixture f;
  auto a = f.open(alice);
  const std::string odd("\0\xff key", 6);
  committed(*a, [&] {
    REQUIRE(a->put("unit", odd, "one").ok());
    REQUIRE(a->put("unit", odd, "two").ok());
    REQUIRE(a->put("unit", "b", "").ok());
    REQUIRE(a->put("award", odd, "other").ok());
    REQUIRE(a->erase("award", "nothing").ok());
  });
  CHECK(a->get("unit", odd).value() == "two");
  CHECK(a->get("unit", "b").value().empty());
  CHECK_FALSE(a->get("unit", "c").has_value());
  std::vector<std::string> seen;
  a->scan("unit", [&](std::string_view key, std::string_view value) { seen.push_back(std::string(key) + "=" + std::string(value)); });
  CHECK(seen == std::vector<std::string>{odd + "=two", "b="});
  committed(*a, [&] { REQUIRE(a->erase("unit", odd).ok()); });
  CHECK_FALSE(a->get("unit", odd).has_value());
  CHECK(a->get("award", odd).value() == "other");
}

TEST_CASE("a_rollback_takes_blocks_and_records_back") {
  StoreFixture f;
  auto a = f.open(alice);
  REQUIRE(a->begin().ok());
  good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
  REQUIRE(a->put("b", "k", "v").ok());
  a->rollback();
  CHECK(a->balance().blocks == 1);
  CHECK_FALSE(a->get("b", "k").has_value());
  committed(*a, [&] { CHECK(good(a->hold(bob.key(), hash_of("other"), {}, 5, 0, 1)).seq == 1); });
}

TEST_CASE("each_segment_ends_with_a_checkpoint_of_what_is_open") {
  StoreFixture f;
  auto a = f.open(alice);
  committed(*a, [&] { good(a->hold(bob.key(), hash_of("stays open"), {}, 3, 0, 1)); });
  for (std::uint64_t i = 0; a->balance().blocks < 2 * segment_blocks + 3; ++i) {
    const Hash ref = hash_of(std::to_string(i));
    REQUIRE(a->begin().ok());
    good(a->hold(bob.key(), ref, {}, 1, 0, 1));
    good(a->release(ref, {}, 1));
    if (i % 7 == 0) a->rollback();  // what was taken back is not open either
    else REQUIRE(a->commit().ok());
  }
  for (const Block& block : a->history(0, 2 * segment_blocks)) REQUIRE((block.type == BlockType::checkpoint) == ends_segment(block.seq));
  a.reset();
  a = f.open(alice);
  CHECK(a->open_holds().size() == 1);
  CHECK(a->balance().held_micro == 3);
}

TEST_CASE("a_payment_outside_of_a_task_is_a_hold_and_its_debit") {
  StoreFixture f;
  auto a = f.open(alice);
  committed(*a, [&] {
    auto debit = good(a->pay(bob.key(), hash_of("gift"), 4, 1));
    CHECK(good(a->pay(bob.key(), hash_of("gift"), 4, 2)) == debit);
    CHECK(a->debit_of(hash_of("gift")) == debit);
    CHECK_FALSE(a->half_of(debit).has_value());
    CHECK(a->pay(bob.key(), hash_of("nothing"), 0, 1).error().code == Code::invalid);
    CHECK(a->pay(alice.key(), hash_of("self"), 1, 1).error().code == Code::invalid);
    CHECK(a->pay(bob.key(), hash_of("much"), 11 * credit_micro, 1).error().code == Code::credit);
  });
  CHECK(a->balance().balance_micro == -4);
  CHECK(a->balance().blocks == 3);
}

TEST_CASE("a_writer_is_seen_from_other_processes_and_not_disturbed_by_being_looked_for") {
  StoreFixture f;
  const std::string path = f.options(alice).path;
  CHECK_FALSE(Store::has_writer(path));
  {
    auto a = f.open(alice);
    CHECK(Store::has_writer(path));
    auto options = f.options(alice);
    CHECK(Store::open(options, 1).error().code == Code::unavailable);
    CHECK(Store::has_writer(path));  // the one that was refused let go of nothing that it did not have
  }
  CHECK_FALSE(Store::has_writer(path));
}
