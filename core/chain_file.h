// A chain as a file: all blocks of one key in order, then the halves of others that answer them. What `tnode ledger export` writes and
// anyone can check; docs/blocks.md describes it. Pure.
#pragma once
#include <vector>

#include "core/chain.h"

namespace tnode {

/// What a file of blocks proves of its key, and what it only claims.
struct ChainReport {
  Chain chain;
  std::uint64_t signatures = 0;         ///< checked, of all blocks in the file
  Micro earned_micro = 0, paid_micro = 0;
  std::uint64_t credits = 0, credits_proved = 0;     ///< proved: the payer's DEBIT is in the file
  std::uint64_t debits = 0, debits_receipted = 0;    ///< receipted: the payee's CREDIT is in the file
  Micro unproved_micro = 0;             ///< of the CREDITs without their DEBIT
  std::vector<Block> own, others;

  const NodeKey& key() const { return chain.head()->key; }
};

/// The CREDIT answers that DEBIT: same payment, each names the other's key.
bool halves_fit(const Block& debit, const Block& credit);

/// A block of the chain that was verified before: each block names the one before it, so nothing up to it can have changed.
struct VerifiedMark { std::uint64_t seq = 0; BlockId id; };

/// Replays the chain, checks every signature behind the mark, and joins the halves. `invalid` names the first block that does not hold,
/// or says that the chain no longer leads through the mark.
Result<ChainReport> verify_chain_file(std::string_view file, const std::optional<VerifiedMark>& mark = {});

/// What others earned from the chain's key and did not spend with it: by counterparty, its DEBITs that have a receipt less all its CREDITs,
/// where that is positive.
std::map<NodeKey, Micro> owed_by(const ChainReport& report);

}  // namespace tnode
