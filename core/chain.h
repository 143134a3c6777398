// One key's whole chain, replayed block by block: every rule of docs/blocks.md that the chain alone can show.
// Pure. It says nothing about signatures (verify_block) nor about the other halves of payments (core/chain_file.h).
#pragma once
#include <array>
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

/// What may be in a chain once: an award that was held for; a DEBIT, or an award of a payer, that was credited. Part of a hash that names it.
using ChainUse = std::array<std::uint8_t, 24>;

/// What later blocks are checked against: a chain goes on from it without the blocks that made it.
struct ChainState {
  std::optional<Block> head;
  Micro line_micro = 0;
  OpenHolds open;
  Bytes used;  ///< ChainUses, one behind the other, sorted
};

/// Blocks are published in segments of so many; the last block of each is a CHECKPOINT, so that a segment closes its own books.
inline constexpr std::uint64_t segment_blocks = 1024;
inline bool ends_segment(std::uint64_t seq) { return seq % segment_blocks == segment_blocks - 1; }

class Chain {
 public:
  Chain() = default;
  explicit Chain(ChainState before) : state_(std::move(before)) {}

  /// Takes the next block, or names the rule that it breaks and stays as it was.
  Result<void> add(const Block& block);

  const std::optional<Block>& head() const { return state_.head; }
  std::uint64_t blocks() const { return state_.head ? state_.head->seq + 1 : 0; }
  Micro line_micro() const { return state_.line_micro; }
  const OpenHolds& open_holds() const { return state_.open; }
  ChainState state() const;

 private:
  Result<void> check(const Block& block) const;
  bool was_used(const ChainUse& use) const;

  ChainState state_;          // its `used` is of the time before
  std::set<ChainUse> used_;   // since then
};

}  // namespace tnode
