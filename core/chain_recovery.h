// A key's own chain, put together again out of what others have of it: blocks that concerned them, bundles that were published. Pure; no
// signature is made here but those that were made before, byte for byte.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "core/chain_file.h"

namespace tnode {

class ChainRecovery {
 public:
  /// `here`: the own chain as far as it is, and the halves of others, as `ledger export` writes them; empty when there is none.
  /// `genesis`: the first block, where a backup has it.
  ChainRecovery(const KeyPair& key, Bytes here, const std::optional<Block>& genesis);

  /// A block that somebody has: of the own chain, or another's half of a payment. Those that are neither, or not signed, are passed over.
  void add(const Block& block);
  /// The longest chain that can be put together: a whole file, verified. Nothing when it is no longer than before.
  std::optional<ChainReport> longer_chain();
  /// Blocks of the own chain seen anywhere: as many as its chain had at least.
  std::uint64_t blocks_seen() const { return seen_; }
  /// Two blocks at one place, both signed by the own key: nothing can mend that.
  bool parted() const { return parted_; }
  std::uint64_t blocks_here() const { return blocks_; }

 private:
  std::optional<Block> next_block(const Chain& chain) const;
  Block made_again(BlockType type, const Block& before, const Block& next, const OpenHolds& open) const;
  const Block* half_of(const Block& own) const;

  const KeyPair& key_;
  Bytes here_;
  std::uint64_t blocks_ = 0, seen_ = 0;
  std::optional<BlockId> head_;
  std::map<std::uint64_t, Block> later_;   // of the own chain, beyond what is here
  std::multimap<BlockId, Block> halves_;   // of others, by the DEBIT's id: whether one fits is seen when its payment is there
  bool parted_ = false;
};

inline constexpr std::size_t most_halves = 1 << 20;  ///< remembered while their payments are not here

}  // namespace tnode
