// The bytes, id and signature of one block of every type: chains already written must be readable for ever.
#include "core/chain.h"
#include "tests/golden/golden_file.h"
#include "tests/keys.h"

using namespace tnode;

namespace {

/// A chain in which every type stands once, each block with every field set that its type uses.
std::vector<Block> sample_chain() {
  const KeyPair key = key_of(1), other = key_of(2);
  std::vector<Block> chain;
  auto add = [&](BlockType type, Micro amount, Micro balance, Micro held, const char* ref) {
    Block block;
    block.type = type;
    block.seq = chain.size();
    block.time_ms = 1'700'000'000'000 + static_cast<TimeMs>(chain.size());
    block.key = key.key();
    if (!chain.empty()) block.prev = block_id(chain.back());
    if (*ref) {
      block.counterparty = other.key();
      block.ref = sha256(ref);
      block.evidence = sha256(std::string("evidence of ") + ref);
    }
    block.amount = amount;
    block.balance = balance;
    block.held = held;
    return &chain.emplace_back(block);
  };
  auto seal = [&](Block* block) { sign_block(*block, key); };
  seal(add(BlockType::genesis, 1000 * credit_micro, 0, 0, ""));
  Block* hold = add(BlockType::hold, 5'000'000, 0, 5'000'000, "paid");
  hold->expiry_ms = 1'800'000'000'000;
  seal(hold);
  const BlockId paid = block_id(*hold);
  hold = add(BlockType::hold, 250'000, 0, 5'250'000, "given back");
  seal(hold);
  const BlockId given_back = block_id(*hold);
  Block* debit = add(BlockType::debit, 4'999'999, -4'999'999, 250'000, "paid");
  debit->link = paid;
  seal(debit);
  Block* release = add(BlockType::release, 250'000, -4'999'999, 0, "given back");
  release->link = given_back;
  seal(release);
  Block* credit = add(BlockType::credit, 7'000'000, 2'000'001, 0, "earned");
  credit->link = rename_id<BlockId>(sha256("a DEBIT of another chain"));
  seal(credit);
  seal(add(BlockType::checkpoint, 0, 2'000'001, 0, ""));
  hold = add(BlockType::hold, 1'000'000, 2'000'001, 1'000'000, "open");
  seal(hold);
  const OpenHolds open{{hold->ref, {block_id(*hold), hold->counterparty, hold->amount, 0}}};
  Block* checkpoint = add(BlockType::checkpoint, 0, 2'000'001, 1'000'000, "");
  checkpoint->evidence = open_holds_digest(open);
  seal(checkpoint);
  return chain;
}

}  // namespace

TEST_CASE("bytes_of_known_blocks_never_change") {
  std::ostringstream lines;
  lines << "# type, block id, encoded block (body and signature)\n";
  for (const auto& block : sample_chain()) lines << block_word(block.type) << ' ' << to_hex(block_id(block)) << ' ' << to_hex(encode_block(block)) << '\n';
  compare_with_golden("blocks.txt", lines.str());
}

TEST_CASE("known_blocks_form_a_chain_that_its_rules_accept") {
  const auto chain = sample_chain();
  Chain replayed;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    auto good = replayed.add(chain[i]);
    if (!good) FAIL(good.error().message);
    CHECK(verify_block(chain[i]));
    auto again = decode_block(encode_block(chain[i]));
    REQUIRE(again.ok());
    CHECK(*again == chain[i]);
  }
}

TEST_CASE("a_block_stands_at_the_offsets_that_its_page_says") {
  Block block;
  block.type = BlockType::debit;
  block.seq = 0x0102030405;
  block.time_ms = 0x0a0b;
  block.amount = 1;
  block.balance = -2;
  block.held = 3;
  block.expiry_ms = 4;
  std::uint8_t fill = 0x11;
  for (auto* bytes : {&block.key.bytes, &block.counterparty.bytes, &block.prev.bytes, &block.link.bytes, &block.ref.bytes, &block.evidence.bytes}) {
    bytes->fill(fill);
    fill = static_cast<std::uint8_t>(fill + 0x11);
  }
  block.signature.fill(0x77);
  const Bytes bytes = encode_block(block);
  REQUIRE(bytes.size() == 312);
  auto at = [&](std::size_t offset, std::size_t size) { return to_hex(std::string_view(bytes).substr(offset, size)); };
  auto times = [](const char* hex, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += hex;
    return all;
  };
  CHECK(bytes.substr(0, 8) == "tnodeblk");
  CHECK(at(8, 8) == "0504030201000004");
  CHECK(at(16, 8) == "0b0a000000000000");
  CHECK(at(24, 32) == times("11", 32));   // key
  CHECK(at(56, 32) == times("22", 32));   // counterparty
  CHECK(at(88, 32) == times("33", 32));   // prev
  CHECK(at(120, 32) == times("44", 32));  // link
  CHECK(at(152, 32) == times("55", 32));  // ref
  CHECK(at(184, 32) == times("66", 32));  // evidence
  CHECK(at(216, 8) == "0100000000000000");
  CHECK(at(224, 8) == "feffffffffffffff");
  CHECK(at(232, 8) == "0300000000000000");
  CHECK(at(240, 8) == "0400000000000000");
  CHECK(at(248, 64) == times("77", 64));
}

TEST_CASE("broken_blocks_are_refused") {
  const Bytes whole = encode_block(sample_chain()[1]);
  CHECK_FALSE(decode_block(whole.substr(1)).ok());
  CHECK_FALSE(decode_block(whole + "x").ok());
  auto with = [&](std::size_t at, char byte) {
    Bytes bytes = whole;
    bytes[at] = byte;
    return decode_block(bytes);
  };
  CHECK_FALSE(with(0, 'T').ok());
  CHECK_FALSE(with(15, 0).ok());     // type 0
  CHECK_FALSE(with(15, 7).ok());     // type 7
  CHECK_FALSE(with(223, '\x80').ok());  // a negative amount
  CHECK_FALSE(with(239, '\x80').ok());  // negative held
  for (std::size_t at = 16; at < whole.size(); at += 13) {
    auto block = with(at, static_cast<char>(whole[at] ^ 1));
    if (block) CHECK_FALSE(verify_block(*block));
  }
}

TEST_CASE("each_rule_between_two_blocks_is_enforced") {
  auto chain = sample_chain();
  Block next = chain[2];
  auto broken = [&](const std::string& rule) {
    auto good = check_next_block(&chain[1], next, 0, 1000 * credit_micro);
    REQUIRE_FALSE(good.ok());
    CHECK_THAT(good.error().message, has_text(rule));
  };
  SECTION("seq") { next.seq = 4; broken("seq follows 1"); }
  SECTION("prev") { next.prev = {}; broken("prev"); }
  SECTION("key") { next.key = key_of(9).key(); broken("one key"); }
  SECTION("time") { next.time_ms = 5; broken("backwards"); }
  SECTION("balance") { next.balance = 1; broken("balance is"); }
  SECTION("held") { next.held = 250'000; broken("held is"); }
  SECTION("line") { next.amount = 1000 * credit_micro; next.held = next.amount + 5'000'000; broken("below the line"); }
  SECTION("genesis") { next.type = BlockType::genesis; broken("only the first"); }
  SECTION("pays more than held") {
    next.type = BlockType::debit;
    next.amount = 1;
    broken("pays more");
  }
  SECTION("gives back another amount") {
    next.type = BlockType::release;
    broken("another amount");
  }
}
