// What a unit's result torrent says about itself, and how such a bundle is named. Part of the vote.
#pragma once
#include "core/execution.h"
#include "core/torrent.h"
#include "core/types.h"

namespace tnode {

/// The `manifest` file of a unit's result: task, unit, how it ended.
Bytes unit_result_manifest(const TaskId& task, UnitNumber unit, const Outcome& outcome, std::int64_t failed_index);
/// What a unit's result says of itself must be what was voted: `invalid` otherwise.
Result<void> check_unit_result_manifest(std::string_view manifest, const TaskId& task, UnitNumber unit, const Outcome& outcome);
/// The index that such a manifest says failed; -1 when it names none.
std::int64_t failed_index_in(std::string_view manifest);
/// The `manifest` file of a whole task's result, merged from its units' results.
Bytes whole_result_manifest(const TaskId& task, UnitNumber units);
/// "tnode-result-" + first 16 hex digits of SHA-256(manifest).
std::string result_name(std::string_view manifest);

/// Builds a bundle's torrent from contents in memory (small results).
struct MemoryFile { std::string path; bool executable; Bytes content; };
Result<Torrent> torrent_of_memory(const std::string& name, const std::vector<MemoryFile>& files);

}  // namespace tnode
