// What proves a fraud, and what only looks like one.
#include "core/fraud.h"

#include <algorithm>
#include <limits>

#include "tests/catch.h"
#include "tests/keys.h"

using namespace tnode;

namespace {

const KeyPair cheat = key_of(1), other = key_of(2);

/// A block that is right by itself.
Block block_at(BlockType type, std::uint64_t seq, Micro amount, const char* ref = "") {
  Block block;
  block.type = type;
  block.seq = seq;
  block.time_ms = 1000;
  block.key = cheat.key();
  block.amount = amount;
  if (*ref) {
    block.counterparty = other.key();
    block.ref = sha256(ref);
    if (type != BlockType::hold) block.link = rename_id<BlockId>(sha256(std::string("what ") + ref + " answers"));
  }
  return block;
}
Block after(const Block& before, BlockType type, Micro amount, const char* ref = "") {
  Block block = block_at(type, before.seq + 1, amount, ref);
  block.prev = block_id(before);
  block.balance = before.balance;
  block.held = before.held;
  if (type == BlockType::hold) block.held += amount;
  if (type == BlockType::credit) block.balance += amount;
  return block;
}

void proves(std::vector<Block> blocks, const std::string& rule) {
  std::vector<Bytes> bytes;
  for (Block& block : blocks) {
    sign_block(block, cheat);
    bytes.push_back(encode_block(block));
  }
  for (int order = 0; order < 2; ++order, std::reverse(bytes.begin(), bytes.end())) {
    auto fraud = check_fraud(bytes);
    if (!fraud) FAIL(fraud.error().message);
    CHECK_THAT(fraud->rule, has_text(rule));
    CHECK(fraud->key == cheat.key());
  }
}
void proves_nothing(const std::vector<Block>& blocks) {
  auto rule = contradiction_of(blocks);
  INFO((rule ? *rule : ""));
  CHECK_FALSE(rule.has_value());
}

}  // namespace

TEST_CASE("two_blocks_that_cannot_both_be_honest_are_a_proof") {
  const Block hold = block_at(BlockType::hold, 5, 10, "a");
  proves({hold, block_at(BlockType::hold, 5, 11, "a")}, "two blocks with seq 5");
  proves({hold, block_at(BlockType::checkpoint, 5, 0)}, "two blocks with seq 5");
  proves({hold, block_at(BlockType::hold, 9, 10, "a")}, "two HOLDs for one award");
  proves({block_at(BlockType::debit, 5, 1, "a"), block_at(BlockType::debit, 9, 1, "a")}, "ended one HOLD twice");
  Block otherwise = block_at(BlockType::debit, 9, 1, "a");
  otherwise.link = rename_id<BlockId>(sha256("elsewhere"));
  proves({block_at(BlockType::debit, 5, 1, "a"), otherwise}, "two DEBITs for one award");
  proves({block_at(BlockType::debit, 5, 1, "a"), block_at(BlockType::release, 9, 1, "a")}, "ended one HOLD twice");
  Block credit = block_at(BlockType::credit, 5, 1, "a"), again = block_at(BlockType::credit, 9, 1, "b");
  again.link = credit.link;
  proves({credit, again}, "two CREDITs on one DEBIT");
  proves({credit, [&] { Block b = block_at(BlockType::credit, 9, 1, "a"); b.link = rename_id<BlockId>(sha256("x")); return b; }()}, "two CREDITs for one award");
}

TEST_CASE("neighbours_that_do_not_add_up_are_a_proof") {
  Block hold = block_at(BlockType::hold, 5, 10, "a");
  hold.held = 30;
  auto wrong = [&](BlockType type, Micro amount, const char* ref, auto change) {
    Block block = after(hold, type, amount, ref);
    if (type == BlockType::release) block.held -= amount;
    if (type == BlockType::debit) block.held -= 10, block.balance -= amount;
    proves_nothing({hold, block});
    change(block);
    return block;
  };
  proves({hold, wrong(BlockType::hold, 1, "b", [](Block& b) { b.held += 1; })}, "does not add up");
  proves({hold, wrong(BlockType::credit, 7, "b", [](Block& b) { b.balance += 1; })}, "does not add up");
  proves({hold, wrong(BlockType::debit, 7, "b", [](Block& b) { b.balance += 1; })}, "does not add up");
  proves({hold, wrong(BlockType::debit, 7, "b", [](Block& b) { b.held = 24; })}, "does not add up");
  proves({hold, wrong(BlockType::release, 7, "b", [](Block& b) { b.held -= 1; })}, "does not add up");
  proves({hold, wrong(BlockType::checkpoint, 0, "", [](Block& b) { b.balance = 1; })}, "does not add up");
  proves({hold, wrong(BlockType::checkpoint, 0, "", [](Block& b) { b.prev = {}; })}, "prev");
  proves({hold, wrong(BlockType::checkpoint, 0, "", [](Block& b) { b.time_ms = 1; })}, "dated block 6 before block 5");
}

TEST_CASE("an_end_that_does_not_fit_its_hold_is_a_proof") {
  const Block hold = block_at(BlockType::hold, 5, 10, "a");
  auto end = [&](BlockType type, Micro amount, auto change) {
    Block block = block_at(type, 8, amount, "a");
    block.link = block_id(hold);
    proves_nothing({hold, block});
    change(block);
    return block;
  };
  proves({hold, end(BlockType::release, 10, [](Block& b) { b.amount = 9; })}, "another amount");
  proves({hold, end(BlockType::debit, 10, [](Block& b) { b.amount = 11; })}, "more than it had held");
  proves({hold, end(BlockType::debit, 10, [](Block& b) { b.ref = sha256("b"); })}, "another award or payee");
  proves({hold, end(BlockType::debit, 10, [](Block& b) { b.counterparty = key_of(3).key(); })}, "another award or payee");
  proves({hold, end(BlockType::debit, 10, [](Block& b) { b.seq = 3; })}, "before it was made");
  // Only the three together show that too little was freed.
  Block before = block_at(BlockType::checkpoint, 7, 0);
  before.held = 30;
  Block debit = end(BlockType::debit, 10, [&](Block& b) { b.prev = block_id(before), b.held = 20, b.balance = -10; });
  proves_nothing({before, debit});
  Block small = hold;
  small.amount = 12;
  debit.link = block_id(small);
  proves({before, debit, small}, "does not add up");
}

TEST_CASE("a_broken_floor_is_a_proof") {
  Block genesis = block_at(BlockType::genesis, 0, 100), hold = block_at(BlockType::hold, 50, 10, "a");
  hold.balance = -60;
  hold.held = 40;
  proves_nothing({genesis, hold});
  hold.held = 41;
  proves({genesis, hold}, "below its line");
  hold.balance = std::numeric_limits<Micro>::min();
  proves({genesis, hold}, "below its line");
}

TEST_CASE("what_proves_nothing_is_refused") {
  Block a = block_at(BlockType::hold, 5, 10, "a"), b = block_at(BlockType::hold, 7, 11, "b");
  proves_nothing({a, b});
  sign_block(a, cheat);
  sign_block(b, cheat);
  CHECK_THAT(check_fraud({encode_block(a), encode_block(b)}).error().message, has_text("do not contradict"));
  CHECK_FALSE(check_fraud({encode_block(a), encode_block(a)}).ok());
  CHECK_FALSE(check_fraud({encode_block(a)}).ok());
  CHECK_FALSE(check_fraud({encode_block(a), "short"}).ok());
  CHECK_FALSE(check_fraud({encode_block(a), encode_block(a), encode_block(a), encode_block(a)}).ok());
  Block forged = block_at(BlockType::hold, 5, 11, "a");
  sign_block(forged, other);  // in the name of another: says nothing about it
  CHECK_THAT(check_fraud({encode_block(a), encode_block(forged)}).error().message, has_text("signature"));
  Block stranger = forged;
  stranger.key = other.key(), stranger.counterparty = cheat.key();
  sign_block(stranger, other);
  CHECK_THAT(check_fraud({encode_block(a), encode_block(stranger)}).error().message, has_text("do not contradict"));
}

TEST_CASE("a_later_block_that_is_dated_earlier_is_a_proof") {
  Block early = block_at(BlockType::hold, 3, 1, "a"), late = block_at(BlockType::hold, 9, 1, "b");
  late.time_ms = early.time_ms - 1;
  proves({early, late}, "dated block 9 before block 3");
  late.time_ms = early.time_ms;
  proves_nothing({early, late});
}

TEST_CASE("a_fraud_is_found_among_many_blocks") {
  std::vector<Block> chain{block_at(BlockType::genesis, 0, 1000)};
  for (int i = 0; i < 20; ++i) chain.push_back(after(chain.back(), BlockType::hold, 1, ("award " + std::to_string(i)).c_str()));
  for (Block& block : chain) sign_block(block, cheat);
  CHECK_FALSE(find_fraud(chain));
  auto with = [&](const Block& block) {
    auto blocks = chain;
    blocks.push_back(block);
    sign_block(blocks.back(), cheat);
    auto found = find_fraud(blocks);
    return found && check_fraud({encode_block(found->blocks.front()), encode_block(found->blocks.back())}).ok() ? found->rule : std::string("nothing");
  };
  CHECK_THAT(with(block_at(BlockType::hold, 7, 2, "fork")), has_text("two blocks with seq 7"));
  CHECK_THAT(with(block_at(BlockType::hold, 40, 2, "award 3")), has_text("two HOLDs for one award"));
  Block backdated = block_at(BlockType::hold, 40, 2, "later");
  backdated.time_ms = 999;
  CHECK_THAT(with(backdated), has_text("dated block 40 before block 20"));
  Block wrong = after(chain[20], BlockType::credit, 5, "credit");
  wrong.balance = 6;
  CHECK_THAT(with(wrong), has_text("balance is"));
  Block deep = block_at(BlockType::hold, 40, 5000, "deep");
  deep.held = 5000;
  CHECK_THAT(with(deep), has_text("below its line"));
}
