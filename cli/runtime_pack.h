// From a root file system's folder to a runtime in the home: the tree written as one image, its manifest, its torrent.
// Never follows a link, never leaves the file system that the folder is on.
#pragma once
#include <functional>
#include <string>

#include "cli/results.h"
#include "core/runtime.h"

namespace tnode {

struct PackedRuntime {
  StoredBundle bundle;
  RuntimeManifest manifest;
  std::int64_t left_out = 0;  ///< devices, pipes, sockets and what belongs to one machine
  RuntimeId id() const { return rename_id<RuntimeId>(bundle.torrent.v2_hash); }
};

/// The runtime of what is below `dir`, kept in its place in the home. The same tree gives the same id, whoever packs it, wherever and
/// when. `progress` is told how many bytes were written.
Result<PackedRuntime> pack_runtime(const Home& home, const std::string& dir, const std::function<void(std::int64_t)>& progress);

}  // namespace tnode
