#include "core/chain_recovery.h"

#include "core/amount.h"

namespace tnode {
namespace {

/// The DEBIT of a payment, from either half.
BlockId debit_of(const Block& half) { return half.type == BlockType::debit ? block_id(half) : half.link; }

}  // namespace

ChainRecovery::ChainRecovery(const KeyPair& key, Bytes here, const std::optional<Block>& genesis) : key_(key), here_(std::move(here)) {
  for (std::size_t at = 0; at < here_.size(); at += block_bytes) {
    auto block = decode_block(std::string_view(here_).substr(at, block_bytes));
    check(block.ok(), "the own store exports whole blocks");
    if (block->key != key_.key()) {
      here_.resize(at);  // the halves follow: they are kept by themselves, and written behind whatever comes
      break;
    }
    head_ = block_id(*block);
    blocks_ = block->seq + 1;
  }
  seen_ = blocks_;
  if (genesis) add(*genesis);
}

void ChainRecovery::add(const Block& block) {
  if (!check_block_shape(block)) return;
  if (block.key != key_.key()) {
    const bool half = (block.type == BlockType::debit || block.type == BlockType::credit) && block.counterparty == key_.key();
    if (half && halves_.size() < most_halves && verify_block(block)) halves_.emplace(debit_of(block), block);
    return;
  }
  if (block.seq < blocks_ || !verify_block(block)) return;
  auto [there, fresh] = later_.emplace(block.seq, block);
  if (!fresh && block_id(there->second) != block_id(block)) parted_ = true;
  seen_ = std::max(seen_, block.seq + 1);
}

const Block* ChainRecovery::half_of(const Block& own) const {
  const bool debit = own.type == BlockType::debit;
  if (!debit && own.type != BlockType::credit) return nullptr;
  for (auto [at, end] = halves_.equal_range(debit_of(own)); at != end; ++at)
    if (debit ? halves_fit(own, at->second) : halves_fit(at->second, own)) return &at->second;
  return nullptr;
}

/// The block behind the chain's head. Two kinds may be in nobody's hands: a CHECKPOINT concerns nobody, and of a payment outside of a task the
/// payee gets the DEBIT alone. What they say is known; they are made again, and were the same ones if the block behind them names them.
std::optional<Block> ChainRecovery::next_block(const Chain& chain) const {
  auto there = later_.find(chain.blocks());
  if (there != later_.end()) return there->second;
  if (!chain.head()) return std::nullopt;
  std::vector<BlockType> lost{BlockType::hold};
  if (ends_segment(chain.blocks())) lost = {BlockType::checkpoint};
  for (std::size_t gap = 1; gap <= 2; ++gap) {
    if (auto known = later_.find(chain.blocks() + gap); known != later_.end() && lost.size() == gap) {
      std::vector<Block> made;
      for (BlockType type : lost) made.push_back(made_again(type, made.empty() ? *chain.head() : made.back(), known->second, chain.open_holds()));
      if (known->second.prev == block_id(made.back())) return made.front();
    }
    if (lost.front() == BlockType::checkpoint) lost.push_back(BlockType::hold);
  }
  return std::nullopt;
}

Block ChainRecovery::made_again(BlockType type, const Block& before, const Block& next, const OpenHolds& open) const {
  Block block;
  block.type = type;
  block.key = key_.key();
  block.seq = before.seq + 1;
  block.prev = block_id(before);
  block.time_ms = next.time_ms;
  block.balance = before.balance;
  block.held = before.held;
  if (type == BlockType::checkpoint) {
    block.evidence = open_holds_digest(open);
  } else {
    block.counterparty = next.counterparty;
    block.ref = next.ref;
    block.amount = next.amount;
    block.expiry_ms = next.time_ms;
    block.held = checked_add(block.held, block.amount).value_or(0);
  }
  sign_block(block, key_);
  return block;
}

std::optional<ChainReport> ChainRecovery::longer_chain() {
  if (parted_ || seen_ == blocks_) return std::nullopt;
  Chain chain;
  for (std::size_t at = 0; at < here_.size(); at += block_bytes)
    if (!chain.add(*decode_block(std::string_view(here_).substr(at, block_bytes)))) return std::nullopt;
  Bytes longer = here_, halves;
  for (auto block = next_block(chain); block; block = next_block(chain)) {
    // What it was paid for is part of a chain: without the DEBIT the CREDIT waits, and all that follows.
    const Block* half = half_of(*block);
    if (block->type == BlockType::credit && !half) break;
    if (!chain.add(*block)) {
      parted_ = true;
      return std::nullopt;
    }
    longer += encode_block(*block);
    if (half) halves += encode_block(*half);
  }
  if (chain.blocks() == blocks_) return std::nullopt;
  const VerifiedMark mark{blocks_ == 0 ? 0 : blocks_ - 1, head_.value_or(BlockId{})};
  auto report = verify_chain_file(longer + halves, blocks_ == 0 ? std::nullopt : std::optional(mark));
  if (!report) return std::nullopt;
  here_ = longer;
  blocks_ = chain.blocks();
  head_ = block_id(*chain.head());
  later_.erase(later_.begin(), later_.lower_bound(blocks_));
  return std::move(*report);
}

}  // namespace tnode
