// What an audit leaves beside a chain's bundles, so that the next one goes on behind it: up to which block all signatures were checked, and a
// summary of the chain at the end of its last whole segment.
#pragma once
#include <optional>
#include <vector>

#include "cli/home.h"
#include "core/chain_file.h"

namespace tnode {

struct AuditRecord {
  std::optional<VerifiedMark> mark;
  std::optional<ChainSummary> summary;
  Hash sealed;  ///< the bundle that the summary ends with
  Hash open;    ///< that of the open segment behind it, zero when there was none
  std::uint64_t summed_up() const { return summary && summary->state.head ? summary->state.head->seq + 1 : 0; }
};
/// Empty when there is none, or none that can be read: then the next audit begins anew.
AuditRecord read_audit_record(const Home& home, const NodeKey& key);
Result<void> write_audit_record(const Home& home, const NodeKey& key, const AuditRecord& record);

/// Blocks of a chain that were verified before, from the bundles that are here: those of whole segments with these seqs, or all blocks when `seqs` is empty.
std::vector<Block> verified_before(const Home& home, const AuditRecord& record, const std::vector<std::uint64_t>& seqs);

}  // namespace tnode
