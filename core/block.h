// A block: one signed record in a node's own credit chain. Pure: format, signature and the rules between two neighbours.
#pragma once
#include <vector>

#include "core/crypto.h"
#include "core/types.h"

namespace tnode {

enum class BlockType : std::uint8_t { genesis = 1, hold = 2, release = 3, debit = 4, credit = 5, checkpoint = 6 };
std::string_view block_word(BlockType type);  ///< "genesis", "hold", …

/// Body: 248 bytes. u64/i64 fields little-endian, hashes 32 bytes.
///   magic 8 ("tnodeblk") | type 8 | seq 8 | time 8 (ms) | key 32 | counterparty 32 | prev 32 | link 32 | ref 32
///   | evidence 32 (hash of what justifies the block, or zero) … see docs/blocks.md for offsets | amount 8 | balance 8 | held 8 | expiry 8
/// 8*4 + 32*6 + 8*4 = 256 without folding; `type` and `seq` share one word (type in the top byte) so that the body is 248.
struct Block {
  BlockType type = BlockType::genesis;
  std::uint64_t seq = 0;      ///< 0 for genesis, then by one; below 2^56
  TimeMs time_ms = 0;
  NodeKey key;
  NodeKey counterparty;       ///< zero where there is none
  BlockId prev;               ///< zero for genesis
  BlockId link;               ///< CREDIT: the DEBIT; RELEASE and DEBIT: the HOLD; else zero
  Hash ref;                   ///< H(task, units, award): HOLD, RELEASE, DEBIT and CREDIT of one award share it
  Hash evidence;              ///< hash of the verdict or award that justifies it
  Micro amount = 0;           ///< GENESIS: the line (how far below zero this key may go); HOLD: put aside; RELEASE: given back;
                              ///< DEBIT: paid; CREDIT: received; never negative
  Micro balance = 0;          ///< after this block
  Micro held = 0;             ///< after this block
  TimeMs expiry_ms = 0;       ///< HOLD: when it may be released without the other's leave; else 0
  Signature signature{};
  bool operator==(const Block&) const = default;
};

inline constexpr std::size_t block_body_bytes = 248;
inline constexpr std::size_t block_bytes = block_body_bytes + 64;

Bytes encode_block_body(const Block& block);
Bytes encode_block(const Block& block);
/// Form only (size, magic, type, non-negative amounts): no signature. Use verify_block before trusting it.
Result<Block> decode_block(std::string_view bytes);
BlockId block_id(const Block& block);
bool verify_block(const Block& block);
void sign_block(Block& block, const KeyPair& key);

/// What its type alone demands: which fields are zero, which are not, no dealing with oneself. Names the broken rule.
Result<void> check_block_shape(const Block& block);

/// The rules between a block and the one before it (nullptr for genesis), given the amount of the HOLD that it links to (DEBIT, RELEASE)
/// and the chain's line: seq, prev, key, time not earlier, arithmetic of balance and held, floor. Names the broken rule.
Result<void> check_next_block(const Block* previous, const Block& block, Micro hold_amount, Micro line_micro);

}  // namespace tnode
