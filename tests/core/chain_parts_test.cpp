// A chain that is verified in parts: behind a summary it goes on as if all had been replayed, and nothing comes again that may be there once.
#include <random>

#include "core/chain_file.h"
#include "tests/catch.h"
#include "tests/keys.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2), carol = key_of(3);

/// One chain of Alice's that grows by right blocks, and what the others sign for it.
struct Trade {
  Chain chain;
  std::vector<Block> own;
  std::vector<std::optional<Block>> halves;  // at the same places

  Block next(BlockType type) const {
    Block block;
    block.type = type;
    block.key = alice.key();
    if (const auto& head = chain.head()) {
      block.seq = head->seq + 1;
      block.prev = block_id(*head);
      block.balance = head->balance;
      block.held = head->held;
    }
    block.time_ms = 1000 + static_cast<TimeMs>(block.seq);
    return block;
  }
  void add(Block block, std::optional<Block> half = {}) {
    sign_block(block, alice);
    REQUIRE(chain.add(block).ok());
    own.push_back(block);
    halves.push_back(std::move(half));
  }

  Block begun() const {
    Block block = next(BlockType::genesis);
    block.amount = 1'000'000;
    return block;
  }
  Block hold(const KeyPair& payee, const std::string& award, Micro amount) const {
    Block block = next(BlockType::hold);
    block.counterparty = payee.key();
    block.ref = sha256(award);
    block.amount = amount;
    block.held += amount;
    return block;
  }
  Block end(BlockType type, const Hash& ref, Micro amount) const {
    const OpenHold& open = chain.open_holds().at(ref);
    Block block = next(type);
    block.counterparty = open.payee;
    block.ref = ref;
    block.link = open.id;
    block.held -= open.amount;
    block.amount = type == BlockType::release ? open.amount : amount;
    if (type == BlockType::debit) block.balance -= amount;
    return block;
  }
  Block checkpoint() const {
    Block block = next(BlockType::checkpoint);
    block.evidence = open_holds_digest(chain.open_holds());
    return block;
  }
  Block credit(const Block& debit) const {
    Block block = next(BlockType::credit);
    block.counterparty = debit.key;
    block.ref = debit.ref;
    block.link = block_id(debit);
    block.amount = debit.amount;
    block.balance += debit.amount;
    return block;
  }
};

Block debit_by(const KeyPair& payer, const std::string& award, Micro amount) {
  Block block;
  block.type = BlockType::debit;
  block.key = payer.key();
  block.counterparty = alice.key();
  block.seq = 7;
  block.ref = sha256(award);
  block.link = rename_id<BlockId>(sha256("hold of " + award));
  block.amount = amount;
  sign_block(block, payer);
  return block;
}

Block receipt_for(const KeyPair& payee, const Block& debit) {
  Block block;
  block.type = BlockType::credit;
  block.key = payee.key();
  block.counterparty = debit.key;
  block.seq = 9;
  block.ref = debit.ref;
  block.link = block_id(debit);
  block.amount = debit.amount;
  sign_block(block, payee);
  return block;
}

Trade random_trade(std::size_t blocks) {
  Trade trade;
  std::mt19937 dice(1);
  trade.add(trade.begun());
  for (int award = 0; trade.own.size() < blocks; ++award) {
    const KeyPair& other = dice() % 2 ? bob : carol;
    const auto& open = trade.chain.open_holds();
    const auto some = open.empty() ? open.end() : std::next(open.begin(), static_cast<std::ptrdiff_t>(dice() % open.size()));
    switch (dice() % 6) {
      case 0:
      case 1: trade.add(trade.hold(other, "award " + std::to_string(award), 10)); break;
      case 2:
        if (some == open.end()) break;
        trade.add(trade.end(BlockType::release, some->first, 0));
        break;
      case 3: {
        if (some == open.end()) break;
        const KeyPair& payee = some->second.payee == bob.key() ? bob : carol;
        Block debit = trade.end(BlockType::debit, some->first, 7);
        sign_block(debit, alice);
        trade.add(debit, dice() % 4 ? std::optional(receipt_for(payee, debit)) : std::nullopt);
        break;
      }
      case 4: {
        const Block debit = debit_by(other, "work " + std::to_string(award), 5);
        trade.add(trade.credit(debit), dice() % 4 ? std::optional(debit) : std::nullopt);
        break;
      }
      case 5: trade.add(trade.checkpoint()); break;
    }
  }
  return trade;
}

/// Own blocks of a part, and the halves that belong to them.
std::pair<Bytes, Bytes> part_of(const Trade& trade, std::size_t from, std::size_t to) {
  std::pair<Bytes, Bytes> part;
  for (std::size_t at = from; at < to; ++at) {
    part.first += encode_block(trade.own[at]);
    if (trade.halves[at]) part.second += encode_block(*trade.halves[at]);
  }
  return part;
}

/// A verifier that knows of the first `blocks` what was kept of them.
ChainVerifier behind(const Trade& trade, std::size_t blocks) {
  ChainVerifier verifier;
  const auto [own, halves] = part_of(trade, 0, blocks);
  REQUIRE(verifier.add(own, halves).ok());
  auto summary = decode_chain_summary(encode_chain_summary(verifier.summary()));
  REQUIRE(summary.ok());
  return ChainVerifier(std::move(*summary));
}

void expect_refusal(const Trade& trade, Block block, const std::string& why) {
  sign_block(block, alice);
  ChainVerifier verifier = behind(trade, trade.own.size());
  const auto added = verifier.add(encode_block(block), "");
  REQUIRE_FALSE(added.ok());
  CHECK_THAT(added.error().message, has_text(why));
}

}  // namespace

TEST_CASE("a_chain_goes_on_behind_a_summary_as_if_all_had_been_replayed") {
  const Trade trade = random_trade(240);
  const auto [own, halves] = part_of(trade, 0, trade.own.size());
  const auto whole = verify_chain_file(own + halves);
  REQUIRE(whole.ok());
  CHECK(whole->credits_proved > 0);
  CHECK(whole->credits_proved < whole->credits);
  CHECK(whole->debits_receipted > 0);
  CHECK(whole->debits_receipted < whole->debits);
  CHECK(whole->earned_micro - whole->proved_micro == whole->unproved_micro);
  for (std::size_t at = 1; at < trade.own.size(); at += 7) {
    ChainVerifier verifier = behind(trade, at);
    const auto [later, later_halves] = part_of(trade, at, trade.own.size());
    REQUIRE(verifier.add(later, later_halves).ok());
    // Twice summarised is as good as once.
    CHECK(verifier.summary().state.used == ChainVerifier(verifier.summary()).summary().state.used);
    const ChainReport report = std::move(verifier).report();
    CHECK(static_cast<const ChainSums&>(report) == static_cast<const ChainSums&>(*whole));
    CHECK(report.unproved_micro == whole->unproved_micro);
    CHECK(owed_by(report) == owed_by(*whole));
    CHECK(block_id(*report.chain.head()) == block_id(*whole->chain.head()));
    CHECK(report.chain.line_micro() == whole->chain.line_micro());
    CHECK(open_holds_digest(report.chain.open_holds()) == open_holds_digest(whole->chain.open_holds()));
    CHECK(report.first == at);
    CHECK(report.own.size() == trade.own.size() - at);
    CHECK(report.signatures == (later.size() + later_halves.size()) / block_bytes);  // none of what is known
  }
}

TEST_CASE("nothing_comes_again_behind_a_summary") {
  Trade trade;
  trade.add(trade.begun());
  trade.add(trade.hold(bob, "paid", 10));
  Block paid = trade.end(BlockType::debit, sha256("paid"), 7);
  sign_block(paid, alice);
  trade.add(paid);
  trade.add(trade.hold(bob, "open", 20));
  const Block debit = debit_by(carol, "work", 5);
  trade.add(trade.credit(debit), debit);

  expect_refusal(trade, trade.hold(bob, "paid", 10), "holds twice for one award");
  expect_refusal(trade, trade.hold(bob, "open", 10), "holds twice for one award");
  Block again = trade.end(BlockType::debit, sha256("open"), 1);
  again.ref = sha256("paid");
  expect_refusal(trade, again, "its hold was ended before");
  again.ref = sha256("never held");
  expect_refusal(trade, again, "a hold that is not open");
  expect_refusal(trade, trade.credit(debit), "its DEBIT was credited before");
  Block other = debit;
  other.seq = 8;
  expect_refusal(trade, trade.credit(other), "its award was credited before");
  Block empty = trade.checkpoint();
  empty.evidence = {};
  expect_refusal(trade, empty, "digest of the open holds");
  Block more = trade.end(BlockType::debit, sha256("open"), 21);
  expect_refusal(trade, more, "pays more than was held");
  Block below = trade.hold(bob, "new", 1'000'000);
  expect_refusal(trade, below, "below the line");
  Block minted = trade.checkpoint();
  minted.balance += 1;
  expect_refusal(trade, minted, "balance is");

  // All that is right is taken: the other's work again under another name, and what was open ends.
  for (const Block& good : {trade.hold(bob, "new", 1), trade.credit(debit_by(carol, "more work", 5)), trade.end(BlockType::debit, sha256("open"), 20), trade.end(BlockType::release, sha256("open"), 0), trade.checkpoint()}) {
    Block block = good;
    sign_block(block, alice);
    ChainVerifier verifier = behind(trade, trade.own.size());
    CHECK(verifier.add(encode_block(block), "").ok());
  }
  // One award may be credited to each of its payers.
  Block alike = trade.credit(debit_by(bob, "work", 5));
  sign_block(alike, alice);
  CHECK(behind(trade, trade.own.size()).add(encode_block(alike), "").ok());
}

TEST_CASE("a_part_holds_what_belongs_to_it_and_nothing_else") {
  Trade trade;
  trade.add(trade.begun());
  const Block debit = debit_by(carol, "work", 5);
  trade.add(trade.credit(debit));
  trade.add(trade.checkpoint());
  const auto [own, halves] = part_of(trade, 0, 2);
  const Bytes last = encode_block(trade.own[2]);

  CHECK(ChainVerifier().add(own + last, encode_block(debit)).ok());
  CHECK_FALSE(ChainVerifier().add(last, "").ok());                         // not its first block
  CHECK_FALSE(ChainVerifier().add(own + own, "").ok());                    // twice
  CHECK_FALSE(ChainVerifier().add(own.substr(0, own.size() - 1), "").ok());  // cut off
  CHECK_FALSE(ChainVerifier().add(own, "x").ok());
  CHECK_FALSE(ChainVerifier().add(own, encode_block(trade.own[1])).ok());  // its own block is no half
  CHECK_FALSE(ChainVerifier().add(own, encode_block(debit) + encode_block(debit)).ok());
  Block strange = trade.own[2];
  strange.key = bob.key();
  sign_block(strange, bob);
  CHECK_THAT(ChainVerifier().add(own + encode_block(strange), "").error().message, has_text("of another chain"));
  // A half may come with a later part, but not behind a summary: what was claimed there stays claimed.
  ChainVerifier both;
  REQUIRE(both.add(own, "").ok());
  CHECK(both.add(last, encode_block(debit)).ok());
  CHECK_FALSE(behind(trade, 2).add(last, encode_block(debit)).ok());
  // A signature behind the mark counts, one before it does not; the mark's block must be the one that was there.
  Bytes bad = own + last;
  bad[bad.size() - 1] ^= 1;
  const VerifiedMark before{1, block_id(trade.own[1])}, at_end{2, block_id(trade.own[2])};
  CHECK_FALSE(ChainVerifier().add(bad, "", before).ok());
  CHECK(ChainVerifier().add(bad, "", at_end).ok());
  CHECK_FALSE(ChainVerifier().add(own + last, "", VerifiedMark{1, block_id(trade.own[2])}).ok());
}

TEST_CASE("a_summary_that_is_not_whole_is_not_read") {
  const Trade trade = random_trade(40);
  ChainVerifier verifier;
  const auto [own, halves] = part_of(trade, 0, trade.own.size());
  REQUIRE(verifier.add(own, halves).ok());
  const Bytes kept = encode_chain_summary(verifier.summary());
  REQUIRE(decode_chain_summary(kept).ok());
  for (std::size_t size = 0; size < kept.size(); size += 11) CHECK_FALSE(decode_chain_summary(kept.substr(0, size)).ok());
  CHECK_FALSE(decode_chain_summary(kept + "x").ok());
}
