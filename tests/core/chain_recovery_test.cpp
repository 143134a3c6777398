// A chain put together again from what others have of it.
#include "core/chain_recovery.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

const KeyPair alice = KeyPair::from_seed({1}), bob = KeyPair::from_seed({2});

/// Two chains that trade, as stores would write them.
struct Books {
  Block& add(const KeyPair& key, BlockType type, const std::string& deal = {}, Micro amount = 0, const Block* answered = nullptr) {
    auto& blocks = key.key() == alice.key() ? alices : bobs;
    const KeyPair& other = key.key() == alice.key() ? bob : alice;
    if (!blocks.empty() && ends_segment(blocks.size()) && type != BlockType::checkpoint) add(key, BlockType::checkpoint);
    Block block;
    block.type = type;
    block.key = key.key();
    block.time_ms = static_cast<TimeMs>(1000 + clock++);
    if (!blocks.empty()) {
      const Block& before = blocks.back();
      block.seq = before.seq + 1;
      block.prev = block_id(before);
      block.balance = before.balance;
      block.held = before.held;
    }
    if (type == BlockType::genesis) block.amount = 1'000'000;
    if (type == BlockType::checkpoint) block.evidence = open_holds_digest(open(blocks));
    if (type == BlockType::checkpoint) block.time_ms = static_cast<TimeMs>(1000 + clock);  // that of the block which follows
    if (!deal.empty()) {
      block.counterparty = other.key();
      block.ref = sha256(deal);
      block.amount = amount;
      if (answered) block.link = block_id(*answered);
      if (type == BlockType::hold) block.held += amount, block.expiry_ms = block.time_ms;
      if (type == BlockType::debit) block.held -= answered->amount, block.balance -= amount, block.time_ms = direct ? answered->time_ms : block.time_ms;
      if (type == BlockType::release) block.held -= amount;
      if (type == BlockType::credit) block.balance += amount;
    }
    sign_block(block, key);
    blocks.push_back(block);
    return blocks.back();
  }
  static OpenHolds open(const std::vector<Block>& blocks) {
    Chain chain;
    for (const Block& block : blocks) check(chain.add(block).ok(), "the books are right");
    return chain.open_holds();
  }
  void pay(const KeyPair& from, const std::string& deal, Micro amount) {
    const KeyPair& to = from.key() == alice.key() ? bob : alice;
    direct = true;
    const Block hold = add(from, BlockType::hold, deal, amount), debit = add(from, BlockType::debit, deal, amount, &hold);
    direct = false;
    add(to, BlockType::credit, deal, amount, &debit);
  }
  void award(const KeyPair& from, const std::string& deal, Micro held, Micro paid) {
    const KeyPair& to = from.key() == alice.key() ? bob : alice;
    const Block hold = add(from, BlockType::hold, deal, held), debit = add(from, BlockType::debit, deal, paid, &hold);
    add(to, BlockType::credit, deal, paid, &debit);
  }
  Books() {
    alices.reserve(5000), bobs.reserve(5000);
    add(alice, BlockType::genesis), add(bob, BlockType::genesis);
  }

  std::vector<Block> alices, bobs;
  std::uint64_t clock = 0;
  bool direct = false;
};

Bytes file_of(const std::vector<Block>& blocks) {
  Bytes all;
  for (const Block& block : blocks) all += encode_block(block);
  return all;
}

/// What Bob has of Alice's chain: what concerned him, in the order of its arrival or any other.
void tell_all(ChainRecovery& recovery, const Books& books) {
  for (auto block = books.alices.rbegin(); block != books.alices.rend(); ++block)
    if (block->type != BlockType::genesis && block->type != BlockType::checkpoint) recovery.add(*block);
  for (const Block& block : books.bobs) recovery.add(block);
}

}  // namespace

TEST_CASE("a_chain_comes_back_from_its_counterparty_and_its_genesis") {
  Books books;
  books.award(alice, "one", 10, 4);
  books.pay(bob, "two", 3);
  const Block hold = books.add(alice, BlockType::hold, "three", 5);
  books.add(alice, BlockType::release, "three", 5, &hold);
  books.add(alice, BlockType::hold, "four", 6);
  ChainRecovery recovery(alice, {}, books.alices.front());
  tell_all(recovery, books);
  CHECK(recovery.blocks_seen() == books.alices.size());
  auto chain = recovery.longer_chain();
  REQUIRE(chain);
  CHECK(chain->own == books.alices);
  CHECK(chain->credits_proved == 1);
  CHECK(chain->debits_receipted == 1);
  CHECK(recovery.blocks_here() == books.alices.size());
  CHECK_FALSE(recovery.longer_chain());
}

TEST_CASE("without_the_genesis_nothing_comes_back") {
  Books books;
  books.award(alice, "one", 10, 4);
  ChainRecovery recovery(alice, {}, std::nullopt);
  tell_all(recovery, books);
  CHECK_FALSE(recovery.longer_chain());
  CHECK(recovery.blocks_seen() == 3);
  recovery.add(books.alices.front());
  CHECK(recovery.longer_chain()->own == books.alices);
}

TEST_CASE("blocks_that_nobody_was_told_of_are_made_again_byte_for_byte") {
  Books books;
  while (books.alices.size() < segment_blocks + 10) books.pay(alice, "payment " + std::to_string(books.alices.size()), 2);
  REQUIRE(books.alices[segment_blocks - 1].type == BlockType::checkpoint);
  ChainRecovery recovery(alice, {}, books.alices.front());
  for (const Block& block : books.alices)
    if (block.type == BlockType::debit) recovery.add(block);  // neither HOLDs nor CHECKPOINTs
  auto chain = recovery.longer_chain();
  REQUIRE(chain);
  CHECK(chain->own == books.alices);
}

TEST_CASE("a_credit_waits_for_the_payment_behind_it") {
  Books books;
  books.award(alice, "one", 10, 4);
  books.pay(bob, "two", 3);
  books.award(alice, "three", 10, 4);
  ChainRecovery recovery(alice, {}, books.alices.front());
  for (const Block& block : books.alices) recovery.add(block);
  CHECK(recovery.longer_chain()->own.size() == 3);
  CHECK_FALSE(recovery.longer_chain());
  // Another's word for it, one that does not fit, and at last the right one.
  Block wrong = books.bobs[2];
  wrong.amount = 4;
  sign_block(wrong, bob);
  recovery.add(wrong);
  CHECK_FALSE(recovery.longer_chain());
  for (const Block& block : books.bobs) recovery.add(block);
  CHECK(recovery.longer_chain()->own == books.alices);
}

TEST_CASE("an_older_store_goes_on_where_it_was") {
  Books books;
  books.award(alice, "one", 10, 4);
  const Bytes older = file_of(books.alices) + encode_block(books.bobs.back());
  books.award(alice, "two", 10, 4);
  ChainRecovery recovery(alice, older, std::nullopt);
  CHECK(recovery.blocks_here() == 3);
  CHECK(recovery.blocks_seen() == 3);
  tell_all(recovery, books);
  auto chain = recovery.longer_chain();
  REQUIRE(chain);
  CHECK(chain->own == books.alices);
  CHECK_FALSE(recovery.parted());
}

TEST_CASE("what_is_forged_or_foreign_is_passed_over") {
  Books books;
  books.award(alice, "one", 10, 4);
  ChainRecovery recovery(alice, {}, books.alices.front());
  Block forged = books.alices[1];
  forged.amount = forged.held = 1;
  recovery.add(forged);
  Block others = books.alices[1];
  others.key = bob.key();
  recovery.add(others);
  CHECK(recovery.blocks_seen() == 1);
  tell_all(recovery, books);
  CHECK(recovery.longer_chain()->own == books.alices);
}

TEST_CASE("two_blocks_at_one_place_are_beyond_mending") {
  Books books, other;
  books.award(alice, "one", 10, 4);
  other.award(alice, "another", 10, 4);
  SECTION("both_are_shown") {
    ChainRecovery recovery(alice, {}, books.alices.front());
    tell_all(recovery, books);
    recovery.add(other.alices[1]);
    CHECK(recovery.parted());
    CHECK_FALSE(recovery.longer_chain());
  }
  SECTION("one_is_here") {
    ChainRecovery recovery(alice, file_of({books.alices[0], books.alices[1]}), std::nullopt);
    recovery.add(other.alices[2]);
    CHECK_FALSE(recovery.longer_chain());
    CHECK(recovery.parted());
  }
}
