// Proofs of fraud: blocks of one key that cannot all be honest. Two of them, or three where the arithmetic needs the HOLD that a DEBIT
// ends; or a CREDIT and what it says it answers, which is another key's. Whoever holds them can convince anyone; nothing else has to be
// believed. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/block.h"

namespace tnode {

/// The rule that the blocks break together, as the end of "the key …"; nothing when all may be honest. In any order. Signatures are the
/// caller's business: see check_fraud.
std::optional<std::string> contradiction_of(const std::vector<Block>& blocks);

/// `key` broke the rule. Of blocks of two keys it is the CREDIT's: it names the other block by its hash, and nobody can change what that says.
struct Fraud {
  NodeKey key;
  std::string rule;
  std::vector<Block> blocks;
};

/// What somebody hands over as a proof: forms, signatures, and a contradiction. `invalid` when it proves nothing: then it is its
/// sender who has to explain himself.
Result<Fraud> check_fraud(const std::vector<Bytes>& blocks);

/// What `block` proves together with one or two of its relatives: blocks of its key at the same or the neighbouring places, or of the same award.
std::optional<Fraud> proof_among(const std::vector<Block>& relatives, const Block& block);
/// The first proof among blocks, in any order. Signatures are not looked at.
std::optional<Fraud> find_fraud(const std::vector<Block>& blocks);

/// The same in a file of blocks, whatever else is wrong with it: only what has a right form and signature counts.
std::optional<Fraud> find_fraud_in(std::string_view file);

inline constexpr std::size_t most_fraud_blocks = 3;

}  // namespace tnode
