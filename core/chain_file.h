// A chain as others get it: blocks of one key in order, and the halves of others that answer them. Whole, as `tnode ledger export` writes it,
// or in parts, as it is published; docs/blocks.md describes both. Pure.
#pragma once
#include <vector>

#include "core/chain.h"

namespace tnode {

/// What payments of a chain come to.
struct ChainSums {
  Micro earned_micro = 0, paid_micro = 0;
  std::uint64_t credits = 0, credits_proved = 0;     ///< proved: the payer's DEBIT was there
  std::uint64_t debits = 0, debits_receipted = 0;    ///< receipted: the payee's CREDIT was there
  Micro proved_micro = 0;                            ///< of the CREDITs that are proved
  bool operator==(const ChainSums&) const = default;
};

/// What verified blocks prove of their key, and what it only claims.
struct ChainReport : ChainSums {
  Chain chain;
  std::uint64_t signatures = 0;  ///< checked now, of all blocks
  Micro unproved_micro = 0;      ///< of the CREDITs without their DEBIT
  std::uint64_t first = 0;       ///< seq of the first of `own`
  std::vector<Block> own, others;
  std::map<NodeKey, Micro> owed_before;  ///< by the blocks before `first`: see owed_by; may be negative

  const NodeKey& key() const { return chain.head()->key; }
};

/// The CREDIT answers that DEBIT: same payment, each names the other's key.
bool halves_fit(const Block& debit, const Block& credit);

/// A block of the chain that was verified before: each block names the one before it, so nothing up to it can have changed.
struct VerifiedMark { std::uint64_t seq = 0; BlockId id; };

/// All that is needed of verified blocks to go on behind them: they need not be decoded, hashed or even be there any more. Other halves of their
/// payments are not looked for again. 24 bytes a HOLD, 48 a CREDIT, 40 a counterparty.
struct ChainSummary {
  ChainState state;
  ChainSums sums;
  std::map<NodeKey, Micro> owed;
};
Bytes encode_chain_summary(const ChainSummary& summary);
/// Form only: whoever reads one has written it himself.
Result<ChainSummary> decode_chain_summary(std::string_view bytes);

/// Verifies a chain part by part: each takes as long as its blocks are many, whatever is before them.
class ChainVerifier {
 public:
  ChainVerifier() = default;
  explicit ChainVerifier(ChainSummary before);

  /// Own blocks that follow, and the halves of others to payments among them or among those of earlier parts (not of the summary). Checks every signature
  /// behind the mark, and of each half. `invalid` names the first block that does not hold; then nothing more is to be added.
  Result<void> add(std::string_view own, std::string_view halves, const std::optional<VerifiedMark>& mark = {});
  std::uint64_t blocks() const { return report_.chain.blocks(); }
  /// Of all up to here.
  ChainSummary summary() const;
  ChainReport report() &&;

 private:
  Result<void> add_own(const Block& block, const std::optional<VerifiedMark>& mark);
  Result<void> add_half(const Block& block);

  ChainReport report_;
  std::map<BlockId, std::size_t> payments_;  // places of own DEBITs by their id, of own CREDITs by the DEBIT's
  std::set<BlockId> joined_;
};

/// The blocks that stand behind one another in these bytes; what is none is passed over. Nothing of them is checked.
std::vector<Block> blocks_in(std::string_view bytes);

/// The whole blocks that a file begins with and that have the key of its first: the chain itself, before the halves of others.
std::string_view own_part(std::string_view file);

/// Replays a whole chain: ChainVerifier over a file as `ledger export` writes it. `invalid` also when the chain no longer leads through the mark.
Result<ChainReport> verify_chain_file(std::string_view file, const std::optional<VerifiedMark>& mark = {});

/// What others earned from the chain's key and did not spend with it: by counterparty, its DEBITs that have a receipt less all its CREDITs,
/// where that is positive.
std::map<NodeKey, Micro> owed_by(const ChainReport& report);

}  // namespace tnode
