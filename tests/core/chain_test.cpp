// The rules of one whole chain, and of the file that it travels in.
#include <limits>

#include "core/chain_file.h"
#include "core/forecast.h"
#include "core/fraud.h"
#include "core/payment.h"
#include "tests/catch.h"
#include "tests/keys.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2), carol = key_of(3);

/// Writes blocks that follow the last one, right unless a test changes them before they are signed.
struct Writer {
  const KeyPair& key;
  std::vector<Block> blocks;

  Block next(BlockType type, Micro amount = 0, const char* ref = "", Micro hold = 0) {
    Block block;
    block.type = type;
    block.key = key.key();
    if (!blocks.empty()) {
      block.seq = blocks.back().seq + 1;
      block.prev = block_id(blocks.back());
      block.balance = blocks.back().balance;
      block.held = blocks.back().held;
    }
    block.time_ms = 1000 + static_cast<TimeMs>(block.seq);
    block.amount = amount;
    if (*ref) {
      block.ref = sha256(ref);
      block.counterparty = (&key == &alice ? bob : alice).key();
      for (const Block& each : blocks)
        if (each.type == BlockType::hold && each.ref == block.ref) block.link = block_id(each);
    }
    if (type == BlockType::hold) block.held += amount, block.link = {};
    if (type == BlockType::release) block.held -= amount;
    if (type == BlockType::debit) block.held -= hold, block.balance -= amount;
    if (type == BlockType::credit) block.balance += amount;
    return block;
  }
  const Block& add(Block block) {
    sign_block(block, key);
    return blocks.emplace_back(block);
  }
};

Bytes file_of(const std::vector<Block>& own, const std::vector<Block>& others = {}) {
  Bytes file;
  for (const auto* part : {&own, &others})
    for (const Block& block : *part) file += encode_block(block);
  return file;
}

void expect_refusal(const Writer& writer, const Block& block, const std::string& why) {
  Chain chain;
  for (const Block& each : writer.blocks) REQUIRE(chain.add(each).ok());
  auto added = chain.add(block);
  REQUIRE_FALSE(added.ok());
  CHECK_THAT(added.error().message, has_text(why));
  CHECK(chain.blocks() == writer.blocks.size());
}

}  // namespace

TEST_CASE("every_broken_rule_of_a_chain_is_named") {
  Writer w{alice, {}};
  w.add(w.next(BlockType::genesis, 100));
  w.add(w.next(BlockType::hold, 40, "open"));
  w.add(w.next(BlockType::hold, 10, "paid"));
  w.add(w.next(BlockType::debit, 7, "paid", 10));
  Block credit = w.next(BlockType::credit, 5, "earned");
  credit.link = rename_id<BlockId>(sha256("a DEBIT"));
  w.add(credit);
  Chain chain;
  for (const Block& block : w.blocks) REQUIRE(chain.add(block).ok());
  CHECK(chain.open_holds().size() == 1);
  CHECK(chain.line_micro() == 100);

  Block block = w.next(BlockType::release, 40, "open");
  std::string why;
  SECTION("a second genesis") { block = w.next(BlockType::genesis, 1), why = "only the first block"; }
  SECTION("an ended hold is ended again") { block = w.next(BlockType::debit, 1, "paid", 10), why = "ended before"; }
  SECTION("an ended award is held again") { block = w.next(BlockType::hold, 1, "paid"), why = "holds twice"; }
  SECTION("an open award is held again") { block = w.next(BlockType::hold, 1, "open"), why = "holds twice"; }
  SECTION("a hold that never was") { block = w.next(BlockType::debit, 1, "never", 1), block.link = rename_id<BlockId>(sha256("no hold")), why = "not open"; }
  SECTION("another hold's link") { block.link = block_id(w.blocks[2]), why = "another block than the hold"; }
  SECTION("another payee") { block.counterparty = carol.key(), why = "counterparty"; }
  SECTION("less given back than held") { block.amount = 39, why = "another amount"; }
  SECTION("more paid than held") { block = w.next(BlockType::debit, 41, "open", 40), why = "more than was held"; }
  SECTION("held is wrong") { block.held += 1, why = "held is"; }
  SECTION("the balance is wrong") { block.balance += 1, why = "balance is"; }
  SECTION("below the line") { block = w.next(BlockType::hold, 59, "deep"), why = "below the line"; }
  SECTION("a debit credited twice") { block = w.next(BlockType::credit, 5, "other"), block.link = credit.link, why = "credited before"; }
  SECTION("an award credited twice") { block = w.next(BlockType::credit, 5, "earned"), block.link = rename_id<BlockId>(sha256("another DEBIT")), why = "credited before"; }
  SECTION("a checkpoint of something else") { block = w.next(BlockType::checkpoint), why = "digest of the open holds"; }
  SECTION("a place left out") { block.seq += 1, why = "seq follows"; }
  SECTION("another past") { block.prev = block_id(w.blocks[0]), why = "prev is not"; }
  SECTION("time runs backwards") { block.time_ms = 0, why = "backwards"; }
  SECTION("another key") { block.key = bob.key(), block.counterparty = alice.key(), why = "counterparty is not the hold's"; }
  SECTION("no counterparty") { block.counterparty = {}, why = "needs a counterparty"; }
  SECTION("oneself") { block.counterparty = alice.key(), why = "oneself"; }
  SECTION("no ref") { block.ref = {}, why = "needs a ref"; }
  SECTION("no link") { block.link = {}, why = "must link"; }
  SECTION("an expiry") { block.expiry_ms = 1, why = "only a hold expires"; }
  if (!why.empty()) return expect_refusal(w, block, why);
  CHECK(chain.add(block).ok());  // without any of these it is right
  CHECK(open_holds_digest(chain.open_holds()).is_zero());
}

TEST_CASE("a_checkpoint_says_what_is_open_where_it_stands") {
  Writer w{alice, {}};
  w.add(w.next(BlockType::genesis, 100));
  w.add(w.next(BlockType::hold, 40, "open"));
  Chain chain;
  for (const Block& block : w.blocks) REQUIRE(chain.add(block).ok());
  Block checkpoint = w.next(BlockType::checkpoint);
  checkpoint.evidence = open_holds_digest(chain.open_holds());
  CHECK(chain.add(checkpoint).ok());
  CHECK(ends_segment(1023));
  CHECK_FALSE(ends_segment(1024));
}

TEST_CASE("a_file_tells_what_is_proved_from_what_is_claimed") {
  Writer a{alice, {}}, b{bob, {}};
  a.add(a.next(BlockType::genesis, 100));
  a.add(a.next(BlockType::hold, 10, "award"));
  const Block debit = a.add(a.next(BlockType::debit, 7, "award", 10));
  b.add(b.next(BlockType::genesis, 100));
  Block booked = b.next(BlockType::credit, 7, "award");
  booked.link = block_id(debit);
  const Block credit = b.add(booked);

  auto alone = verify_chain_file(file_of(b.blocks));
  REQUIRE(alone.ok());
  CHECK(alone->unproved_micro == 7);
  CHECK(alone->credits_proved == 0);
  auto proved = verify_chain_file(file_of(b.blocks, {debit}));
  REQUIRE(proved.ok());
  CHECK(proved->unproved_micro == 0);
  CHECK(proved->credits_proved == 1);
  CHECK(proved->earned_micro == 7);
  CHECK(proved->signatures == 3);
  auto receipt = verify_chain_file(file_of(a.blocks, {credit}));
  REQUIRE(receipt.ok());
  CHECK(receipt->debits_receipted == 1);
  CHECK(receipt->paid_micro == 7);

  SECTION("what is no half of its payments does not belong there") {
    CHECK_FALSE(verify_chain_file(file_of(a.blocks, {b.blocks[0]})).ok());
    CHECK_FALSE(verify_chain_file(file_of(b.blocks, {debit, debit})).ok());
    Block more = debit;
    more.amount = 8;
    sign_block(more, alice);
    CHECK_FALSE(verify_chain_file(file_of(b.blocks, {more})).ok());
  }
  SECTION("every signature counts") {
    auto blocks = a.blocks;
    blocks[1].signature[3] ^= 1;
    CHECK_THAT(verify_chain_file(file_of(blocks)).error().message, has_text("hold block 1"));
    Block unsigned_half = debit;
    unsigned_half.signature = {};
    CHECK_THAT(verify_chain_file(file_of(b.blocks, {unsigned_half})).error().message, has_text("signature"));
  }
}

TEST_CASE("a_forecast_follows_the_pace_of_its_window") {
  Writer w{alice, {}};
  w.add(w.next(BlockType::genesis, 100));
  w.add(w.next(BlockType::hold, 30, "a"));
  w.add(w.next(BlockType::debit, 20, "a", 30));
  ForecastInput input{-20, 10, 100, 5, {{sha256("open"), {{}, bob.key(), 10, 9000}}}, w.blocks, 1000};
  Forecast f = forecast(input, 2000, 10'000);
  CHECK(f.free_micro == 70);
  CHECK(f.low_micro == -30);
  CHECK(f.high_micro == -15);
  CHECK(f.spent_micro == 20);
  CHECK(f.window_ms == 1000);  // the chain is no older
  CHECK(f.holds_end_ms == 9000);
  REQUIRE(f.exhausted_ms.has_value());
  CHECK(*f.exhausted_ms == 2000 + 70 * 1000 / 20);
  f = forecast(input, 900'000, 1000);  // long ago: nothing was spent lately
  CHECK(f.spent_micro == 0);
  CHECK_FALSE(f.exhausted_ms.has_value());
  input.line_micro = std::numeric_limits<Micro>::max();
  input.balance_micro = std::numeric_limits<Micro>::max();
  CHECK(forecast(input, 2000, 10'000).free_micro == std::numeric_limits<Micro>::max());
}

TEST_CASE("payments_that_differ_in_anything_have_other_refs") {
  const Payment payment{alice.key(), bob.key(), 5, sha256("one")};
  const Hash ref = payment_ref(payment);
  CHECK(payment_ref(payment) == ref);
  auto changed = [&](auto change) {
    Payment other = payment;
    change(other);
    return payment_ref(other);
  };
  CHECK(changed([](Payment& p) { p.payer = carol.key(); }) != ref);
  CHECK(changed([](Payment& p) { p.payee = carol.key(); }) != ref);
  CHECK(changed([](Payment& p) { p.amount = 6; }) != ref);
  CHECK(changed([](Payment& p) { p.nonce = sha256("two"); }) != ref);
}

TEST_CASE("numbers_at_their_limits_are_counted_or_refused") {
  constexpr Micro most = std::numeric_limits<Micro>::max();
  Writer a{alice, {}};
  a.add(a.next(BlockType::genesis, most));
  a.add(a.next(BlockType::hold, most, "all"));
  Block more = a.next(BlockType::hold, 1, "more");
  more.held = most;  // what it would be cannot be written
  expect_refusal(a, more, "overflow");
  a.add(a.next(BlockType::debit, most, "all", most));
  Block below = a.next(BlockType::hold, 2, "below");
  expect_refusal(a, below, "below the line");

  SECTION("more is not earned than can be summed up") {
    for (const char* work : {"one", "two"}) {
      Block credit = a.next(BlockType::credit, most, work);
      credit.link = rename_id<BlockId>(sha256(work));
      a.add(credit);
    }
    CHECK(a.blocks.back().balance == most);
    CHECK_THAT(verify_chain_file(file_of(a.blocks)).error().message, has_text("more than can be counted"));
    Block over = a.next(BlockType::credit, 1, "three");
    over.link = rename_id<BlockId>(sha256("three"));
    over.balance = std::numeric_limits<Micro>::min();
    expect_refusal(a, over, "overflow");
  }
  SECTION("time stands still at its end") {
    Block late = a.next(BlockType::checkpoint);
    late.time_ms = std::numeric_limits<TimeMs>::max();
    a.add(late);
    expect_refusal(a, a.next(BlockType::checkpoint), "time runs backwards");
    Block as_late = a.next(BlockType::checkpoint);
    as_late.time_ms = late.time_ms;
    a.add(as_late);
    CHECK(verify_chain_file(file_of(a.blocks)).ok());
  }
  SECTION("behind the last place there is none") {
    Block last = a.next(BlockType::checkpoint), wrapped = last;
    last.seq = (std::uint64_t{1} << 56) - 1;
    wrapped.seq = last.seq + 1;
    wrapped.prev = block_id(last);
    auto read = decode_block(encode_block(wrapped));
    REQUIRE(read.ok());
    CHECK(read->seq == 0);
    CHECK_FALSE(check_next_block(&last, *read, 0, most).ok());
    CHECK_FALSE(contradiction_of({last, *read}).has_value());  // a first block that is none proves nothing alone
  }
}
