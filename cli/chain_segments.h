// The bundles of a published chain, from the newest back to the first: what is here is not fetched again, and of a segment that has grown only
// what was added. Used for this node's own chain, when blocks of it are missing, and for chains of others that are audited.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cli/results.h"
#include "core/published_chain.h"
#include "swarm/swarm.h"

namespace tnode {

struct ChainSegment {
  SegmentManifest manifest;
  StoredBundle bundle;
  Bytes blocks, halves;
  bool fetched = false;             ///< it was not here yet
  std::int64_t received_bytes = 0;  ///< what came over the net for it, a piece of 16 KiB at a time
};

struct SegmentSearch {
  NodeKey key;
  BundleAt newest;
  std::uint64_t behind = 0;          ///< seq after the last block of `newest`
  std::uint64_t enough_at = 0;       ///< ends with the segment that holds this seq
  std::vector<NodeKey> holders{};
  std::vector<std::string> peers{};
  Hash grown_from{};                 ///< a bundle that is here of the open segment, from before it grew; zero when there is none
};

/// Has a torrent fetched, and says how that ended; `done` is null when it failed.
using FetchPort = std::function<void(FetchTorrent request, std::function<void(const FetchDone* done, const std::string& problem)> end)>;

/// `each` hears of every segment, the newest first, and may say with an error that it is enough; then `end`, once.
void get_segments(const Home& home, SegmentSearch search, FetchPort fetch, std::function<Result<void>(ChainSegment)> each, std::function<void(Result<void>)> end);

}  // namespace tnode
