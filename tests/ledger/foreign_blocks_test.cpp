// Blocks of others: which are kept, and which prove that their author cheats.
#include "tests/ledger/store_fixture.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2);

Block bobs(BlockType type, std::uint64_t seq, Micro amount) {
  Block block;
  block.type = type;
  block.seq = seq;
  block.key = bob.key();
  block.counterparty = alice.key();
  block.ref = hash_of(std::to_string(seq));
  if (type == BlockType::debit || type == BlockType::release || type == BlockType::credit) block.link = rename_id<BlockId>(hash_of("what it answers"));
  block.amount = block.held = amount;
  return block;
}
Block as_signed(Block block) {
  sign_block(block, bob);
  return block;
}

}  // namespace

TEST_CASE("a_forked_chain_of_another_key_is_noticed_and_both_halves_kept") {
  StoreFixture f;
  auto a = f.open(alice);
  const Block one = as_signed(bobs(BlockType::hold, 7, 1)), other = as_signed(bobs(BlockType::hold, 7, 2));
  committed(*a, [&] {
    REQUIRE(a->keep_foreign(one).ok());
    REQUIRE(a->keep_foreign(one).ok());
    CHECK(a->frauds().empty());
    auto forked = a->keep_foreign(other);
    REQUIRE(forked.error().code == Code::invalid);
    CHECK_THAT(forked.error().message, has_text("two blocks with seq 7"));
  });
  CHECK(a->find_block(block_id(one)).value() == one);
  CHECK(a->find_block(block_id(other)).value() == other);
  REQUIRE(a->frauds().size() == 1);
  CHECK(a->frauds()[0].blocks == std::vector<Block>{one, other});
  CHECK(a->fraud_of(bob.key())->rule == "signed two blocks with seq 7");
  CHECK(a->take_newly_caught() == std::vector<NodeKey>{bob.key()});
  CHECK(a->take_newly_caught().empty());
  CHECK(a->known_of(bob.key()).forked);
  CHECK_FALSE(a->known_of(key_of(9).key()).forked);
  SECTION("new promises of that key are refused, what it owes is taken") {
    committed(*a, [&] {
      CHECK(a->keep_foreign(as_signed(bobs(BlockType::hold, 9, 1))).error().code == Code::refused);
      good(a->credit(as_signed(bobs(BlockType::debit, 20, 3)), 1));
    });
  }
  SECTION("also after a restart") {
    a.reset();
    a = f.open(alice);
    committed(*a, [&] { CHECK(a->keep_foreign(as_signed(bobs(BlockType::hold, 9, 1))).error().code == Code::refused); });
  }
}

TEST_CASE("neighbours_that_do_not_add_up_are_noticed_in_either_order") {
  StoreFixture f;
  auto a = f.open(alice);
  Block first = as_signed(bobs(BlockType::hold, 3, 5)), next = bobs(BlockType::hold, 4, 2);
  next.prev = block_id(first);
  next.held = 7;
  SECTION("a chain that adds up is kept") {
    committed(*a, [&] {
      REQUIRE(a->keep_foreign(as_signed(next)).ok());
      REQUIRE(a->keep_foreign(first).ok());
    });
    return;
  }
  SECTION("held is wrong") { next.held = 2; }
  SECTION("prev is another block") { next.prev = {}; }
  SECTION("the balance changed by itself") { next.balance = 100; }
  next = as_signed(next);
  const bool forwards = GENERATE(true, false);
  committed(*a, [&] {
    REQUIRE(a->keep_foreign(forwards ? first : next).ok());
    auto clash = a->keep_foreign(forwards ? next : first);
    REQUIRE_FALSE(clash.ok());
    CHECK_THAT(clash.error().message, has_text("does not add up"));
  });
  CHECK(a->frauds().size() == 1);
}

TEST_CASE("two_holds_for_one_award_are_a_fraud") {
  StoreFixture f;
  auto a = f.open(alice);
  Block twice = bobs(BlockType::hold, 30, 1);
  twice.ref = hash_of("7");
  committed(*a, [&] {
    REQUIRE(a->keep_foreign(as_signed(bobs(BlockType::hold, 7, 1))).ok());
    CHECK_THAT(a->keep_foreign(as_signed(twice)).error().message, has_text("two HOLDs"));
  });
}

TEST_CASE("two_credits_on_one_debit_are_a_fraud_and_the_first_stands") {
  StoreFixture f;
  auto a = f.open(alice);
  Block debit;
  committed(*a, [&] {
    good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
    debit = good(a->debit(hash_of("award"), {}, 5, 1));
  });
  Block credit = bobs(BlockType::credit, 1, 5);
  credit.held = 0;
  credit.balance = 5;
  credit.ref = debit.ref;
  credit.link = block_id(debit);
  Block again = credit;
  again.seq = 9;
  committed(*a, [&] {
    REQUIRE(a->keep_foreign(as_signed(credit)).ok());
    CHECK_THAT(a->keep_foreign(as_signed(again)).error().message, has_text("two CREDITs"));
  });
  CHECK(a->balance().unclaimed_out_micro == 0);
}

TEST_CASE("only_blocks_that_concern_us_are_kept") {
  StoreFixture f;
  auto a = f.open(alice);
  REQUIRE(a->begin().ok());
  Block block = bobs(BlockType::hold, 7, 1);
  SECTION("a hold, debit or release to us is") {
    auto type = GENERATE(BlockType::hold, BlockType::debit, BlockType::release);
    REQUIRE(a->keep_foreign(as_signed(bobs(type, 7, 1))).ok());
  }
  SECTION("a hold to another is not") {
    block.counterparty = key_of(9).key();
    CHECK_THAT(a->keep_foreign(as_signed(block)).error().message, has_text("not made out to this node"));
  }
  SECTION("a checkpoint is not") { CHECK_FALSE(a->keep_foreign(as_signed(bobs(BlockType::checkpoint, 7, 0))).ok()); }
  SECTION("an unsigned block is not") { CHECK_THAT(a->keep_foreign(block).error().message, has_text("signature")); }
  SECTION("a credit on nothing is not") { CHECK_THAT(a->keep_foreign(as_signed(bobs(BlockType::credit, 7, 1))).error().message, has_text("does not fit")); }
  SECTION("our own block is not") { CHECK_FALSE(a->keep_foreign(a->history(0, 1).front()).ok()); }
  a->rollback();
}

TEST_CASE("a_credit_must_say_what_the_debit_says") {
  StoreFixture f;
  auto a = f.open(alice);
  Block debit;
  committed(*a, [&] {
    good(a->hold(bob.key(), hash_of("award"), {}, 5, 0, 1));
    debit = good(a->debit(hash_of("award"), {}, 5, 1));
  });
  Block credit = bobs(BlockType::credit, 1, 5);
  credit.ref = debit.ref;
  credit.link = block_id(debit);
  std::string why = "booked another payment";
  SECTION("another amount") { credit.amount = 6; }
  SECTION("another award") { credit.ref = hash_of("other"); }
  SECTION("another debit") { credit.link = rename_id<BlockId>(hash_of("another")), why = "does not fit"; }
  committed(*a, [&] { CHECK_THAT(a->keep_foreign(as_signed(credit)).error().message, has_text(why)); });
  CHECK(a->balance().unclaimed_out_micro == 5);
}

TEST_CASE("evidence_about_strangers_is_kept_and_owes_us_nothing") {
  StoreFixture f;
  auto a = f.open(alice);
  Block to_carol = bobs(BlockType::debit, 7, 5);
  to_carol.counterparty = key_of(3).key();
  to_carol = as_signed(to_carol);
  Block fork = to_carol;
  fork.amount = 6;
  committed(*a, [&] {
    CHECK(good(a->keep_chain_block(to_carol)));
    CHECK_FALSE(good(a->keep_chain_block(to_carol)));
    CHECK(a->balance().unclaimed_micro == 0);
    CHECK_THAT(a->keep_chain_block(as_signed(fork)).error().message, has_text("two blocks with seq 7"));
    CHECK_FALSE(a->keep_chain_block(a->history(0, 1).front()).ok());
    CHECK_FALSE(a->keep_chain_block(bobs(BlockType::debit, 8, 5)).ok());  // not signed
  });
  CHECK(a->frauds().size() == 1);
}
