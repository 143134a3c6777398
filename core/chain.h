// One key's whole chain, replayed block by block: every rule of docs/blocks.md that the chain alone can show.
// Pure. It says nothing about signatures (verify_block) nor about the other halves of payments (core/chain_file.h).
#pragma once
#include <map>
#include <optional>
#include <set>

#include "core/block.h"

namespace tnode {

/// A HOLD that neither a DEBIT nor a RELEASE has ended yet.
struct OpenHold {
  BlockId id;
  NodeKey payee;
  Micro amount = 0;
  TimeMs expiry_ms = 0;
};
/// By ref: what a chain has promised.
using OpenHolds = std::map<Hash, OpenHold>;

/// What a CHECKPOINT's evidence must be: all that is open where it stands; zero when nothing is.
Hash open_holds_digest(const OpenHolds& holds);

/// Blocks are published in segments of so many; the last block of each is a CHECKPOINT, so that a segment closes its own books.
inline constexpr std::uint64_t segment_blocks = 1024;
inline bool ends_segment(std::uint64_t seq) { return seq % segment_blocks == segment_blocks - 1; }

class Chain {
 public:
  /// Takes the next block, or names the rule that it breaks and stays as it was.
  Result<void> add(const Block& block);

  const std::optional<Block>& head() const { return head_; }
  std::uint64_t blocks() const { return head_ ? head_->seq + 1 : 0; }
  Micro line_micro() const { return line_micro_; }
  const OpenHolds& open_holds() const { return open_; }

 private:
  Result<void> check(const Block& block) const;

  std::optional<Block> head_;
  Micro line_micro_ = 0;
  OpenHolds open_;
  std::set<Hash> ended_;                            // refs whose HOLD was ended
  std::set<BlockId> credited_debits_;
  std::set<std::pair<Hash, NodeKey>> credited_refs_;  // with their payers
};

}  // namespace tnode
