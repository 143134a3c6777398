#include "core/fraud.h"

#include <algorithm>
#include <limits>

#include "core/amount.h"

namespace tnode {
namespace {

constexpr Micro any_line = std::numeric_limits<Micro>::max();  // only the genesis block says which

bool ends_hold(const Block& block) { return block.type == BlockType::debit || block.type == BlockType::release; }

std::optional<std::string> twins(const Block& a, const Block& b) {
  if (a.seq == b.seq) return "signed two blocks with seq " + std::to_string(a.seq);
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
  Micro held = after.amount;
  if (after.type == BlockType::debit) held = hold ? hold->amount : std::max(after.amount, checked_add(before.held, -after.held).value_or(0));
  auto good = check_next_block(&before, after, held, any_line);
  if (good) return std::nullopt;
  return "signed a chain that does not add up: " + good.error().message;
}

std::optional<std::string> wrong_end(const Block& hold, const Block& end) {
  if (hold.type != BlockType::hold || !ends_hold(end) || end.link != block_id(hold)) return std::nullopt;
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

}  // namespace

std::optional<std::string> contradiction_of(const std::vector<Block>& blocks) {
  for (const Block& a : blocks)
    for (const Block& b : blocks) {
      if (a.key != b.key) return std::nullopt;
      if (block_id(a) == block_id(b)) continue;
      if (auto rule = twins(a, b)) return rule;
      if (auto rule = wrong_end(a, b)) return rule;
      if (auto rule = below_line(a, b)) return rule;
      const auto hold = std::find_if(blocks.begin(), blocks.end(), [&](const Block& each) { return each.type == BlockType::hold && block_id(each) == b.link; });
      if (auto rule = wrong_step(a, b, hold == blocks.end() ? nullptr : &*hold)) return rule;
    }
  return std::nullopt;
}

Result<Fraud> check_fraud(const std::vector<Bytes>& blocks) {
  if (blocks.size() < 2 || blocks.size() > most_fraud_blocks) return fail(Code::invalid, "a proof has two or three blocks");
  Fraud fraud;
  for (const Bytes& bytes : blocks) {
    auto block = decode_block(bytes);
    if (!block) return block.error();
    if (auto good = check_block_shape(*block); !good) return good.error();
    if (!verify_block(*block)) return fail(Code::invalid, "a signature is wrong");
    if (!fraud.blocks.empty() && block->key != fraud.key) return fail(Code::invalid, "the blocks are of two keys");
    fraud.key = block->key;
    fraud.blocks.push_back(std::move(*block));
  }
  auto rule = contradiction_of(fraud.blocks);
  if (!rule) return fail(Code::invalid, "the blocks do not contradict each other");
  fraud.rule = std::move(*rule);
  return fraud;
}

}  // namespace tnode
