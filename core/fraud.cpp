#include "core/fraud.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>

#include "core/amount.h"
#include "core/chain_file.h"

namespace tnode {
namespace {

constexpr Micro any_line = std::numeric_limits<Micro>::max();  // only the genesis block says which

bool ends_hold(const Block& block) { return block.type == BlockType::debit || block.type == BlockType::release; }

std::optional<std::string> twins(const Block& a, const Block& b) {
  if (a.seq == b.seq) return "signed two blocks with seq " + std::to_string(a.seq);
  if (a.seq < b.seq && a.time_ms > b.time_ms) return "dated block " + std::to_string(b.seq) + " before block " + std::to_string(a.seq);
  if (ends_hold(a) && ends_hold(b) && a.link == b.link) return "ended one HOLD twice";
  if (a.type != b.type) return std::nullopt;
  if (a.type == BlockType::hold && a.ref == b.ref) return "signed two HOLDs for one award";
  if (a.type == BlockType::debit && a.ref == b.ref) return "signed two DEBITs for one award";
  if (a.type == BlockType::credit && a.link == b.link) return "signed two CREDITs on one DEBIT";
  if (a.type == BlockType::credit && a.ref == b.ref && a.counterparty == b.counterparty) return "signed two CREDITs for one award";
  return std::nullopt;
}

/// `after` follows `before`. Without its HOLD a DEBIT may have ended one of any amount that is enough; the rest must add up.
std::optional<std::string> wrong_step(const Block& before, const Block& after, const Block* hold) {
  if (after.seq != before.seq + 1) return std::nullopt;
  // What is wrong with a first block alone counts as soon as a second one stands on it.
  if (before.seq == 0)
    if (auto first = check_next_block(nullptr, before, 0, any_line); !first) return "signed a chain that begins wrong: " + first.error().message;
  Micro held = after.amount;
  if (after.type == BlockType::debit) held = hold ? hold->amount : std::max(after.amount, checked_add(before.held, -after.held).value_or(0));
  auto good = check_next_block(&before, after, held, any_line);
  if (good) return std::nullopt;
  return "signed a chain that does not add up: " + good.error().message;
}

std::optional<std::string> wrong_end(const Block& hold, const Block& end) {
  if (!ends_hold(end) || end.link != block_id(hold)) return std::nullopt;
  if (hold.type != BlockType::hold) return "ended a block that is no HOLD";
  if (end.seq <= hold.seq) return "ended a HOLD before it was made";
  if (end.ref != hold.ref || end.counterparty != hold.counterparty) return "ended a HOLD for another award or payee";
  if (end.type == BlockType::release && end.amount != hold.amount) return "gave back another amount than it had held";
  if (end.type == BlockType::debit && end.amount > hold.amount) return "paid more than it had held";
  return std::nullopt;
}

std::optional<std::string> below_line(const Block& genesis, const Block& hold) {
  if (genesis.type != BlockType::genesis || hold.type != BlockType::hold) return std::nullopt;
  const auto free = checked_add(hold.balance, -hold.held);
  if (free && *free >= -genesis.amount) return std::nullopt;
  return "went below its line of " + format_credits(genesis.amount) + " credits";
}

/// A CREDIT says what the DEBIT behind it says, whoever wrote that.
std::optional<std::string> false_credit(const Block& answered, const Block& credit) {
  if (credit.type != BlockType::credit || credit.link != block_id(answered) || halves_fit(answered, credit)) return std::nullopt;
  return "booked another payment than it was paid";
}

/// Of two keys, who answers for what they prove together.
const NodeKey& accused_by(const std::vector<Block>& blocks) {
  return blocks.size() == 2 && blocks[0].type == BlockType::credit && blocks[0].link == block_id(blocks[1]) ? blocks[0].key : blocks.back().key;
}

}  // namespace

std::optional<std::string> contradiction_of(const std::vector<Block>& blocks) {
  const bool alone = std::all_of(blocks.begin(), blocks.end(), [&](const Block& each) { return each.key == blocks.front().key; });
  if (!alone && blocks.size() != 2) return std::nullopt;
  for (const Block& a : blocks)
    for (const Block& b : blocks) {
      if (block_id(a) == block_id(b)) continue;
      if (auto rule = false_credit(a, b)) return rule;
      if (!alone) continue;
      if (auto rule = twins(a, b)) return rule;
      if (auto rule = wrong_end(a, b)) return rule;
      if (auto rule = below_line(a, b)) return rule;
      const auto hold = std::find_if(blocks.begin(), blocks.end(), [&](const Block& each) { return each.type == BlockType::hold && block_id(each) == b.link; });
      if (auto rule = wrong_step(a, b, hold == blocks.end() ? nullptr : &*hold)) return rule;
    }
  return std::nullopt;
}

std::optional<Fraud> proof_among(const std::vector<Block>& relatives, const Block& block) {
  auto proof = [&](std::vector<Block> blocks) -> std::optional<Fraud> {
    auto rule = contradiction_of(blocks);
    if (!rule) return std::nullopt;
    const NodeKey key = accused_by(blocks);
    return Fraud{key, *rule, std::move(blocks)};
  };
  for (std::size_t i = 0; i < relatives.size(); ++i)
    if (auto pair = proof({relatives[i], block})) return pair;
  for (std::size_t i = 0; i < relatives.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (auto three = proof({relatives[i], relatives[j], block})) return three;
  return std::nullopt;
}

std::optional<Fraud> find_fraud(const std::vector<Block>& blocks) {
  std::multimap<std::uint64_t, const Block*> by_seq;
  std::multimap<Hash, const Block*> by_ref;
  std::multimap<BlockId, const Block*> by_link;
  std::map<BlockId, const Block*> by_id;
  for (const Block& block : blocks) {
    std::vector<Block> relatives;
    auto take = [&](const auto& map, const auto& key) {
      for (auto [at, end] = map.equal_range(key); at != end; ++at) relatives.push_back(*at->second);
    };
    take(by_seq, block.seq);
    // The nearest on either side: what lies between need not be there, but time only runs one way.
    if (auto later = by_seq.upper_bound(block.seq); later != by_seq.end()) take(by_seq, later->first);
    if (auto at = by_seq.lower_bound(block.seq); at != by_seq.begin()) take(by_seq, std::prev(at)->first);
    if (block.type == BlockType::hold) take(by_seq, std::uint64_t{0});
    if (!block.ref.is_zero()) take(by_ref, block.ref);
    if (!block.link.is_zero()) take(by_link, block.link), take(by_id, block.link);
    take(by_link, block_id(block));
    if (auto proof = proof_among(relatives, block)) return proof;
    by_seq.emplace(block.seq, &block);
    by_ref.emplace(block.ref, &block);
    by_link.emplace(block.link, &block);
    by_id.emplace(block_id(block), &block);
  }
  return std::nullopt;
}

std::optional<Fraud> find_fraud_in(std::string_view file) {
  std::vector<Block> blocks = blocks_in(file);
  std::erase_if(blocks, [](const Block& block) { return !check_block_shape(block) || !verify_block(block); });
  return find_fraud(blocks);
}

Result<Fraud> check_fraud(const std::vector<Bytes>& blocks) {
  if (blocks.size() < 2 || blocks.size() > most_fraud_blocks) return fail(Code::invalid, "a proof has two or three blocks");
  Fraud fraud;
  for (const Bytes& bytes : blocks) {
    auto block = decode_block(bytes);
    if (!block) return block.error();
    if (auto good = check_block_shape(*block); !good) return good.error();
    if (!verify_block(*block)) return fail(Code::invalid, "a signature is wrong");
    fraud.blocks.push_back(std::move(*block));
  }
  auto rule = contradiction_of(fraud.blocks);
  if (!rule) return fail(Code::invalid, "the blocks do not contradict each other");
  fraud.key = accused_by(fraud.blocks);
  fraud.rule = std::move(*rule);
  return fraud;
}

}  // namespace tnode
