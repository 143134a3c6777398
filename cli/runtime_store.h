// Runtimes in a home: `runtimes/<id>/` holds the packed bundle and its torrent, as everywhere, and the unpacked tree in `root/`.
// Functions of folders; safe in any thread.
#pragma once
#include <string>
#include <vector>

#include "cli/results.h"
#include "core/runtime.h"

namespace tnode {

struct StoredRuntime {
  RuntimeId id;
  std::string name;            ///< given by who packed it here; empty for what came from the swarm
  bool packed_here = false;    ///< kept until its user removes it
  bool whole = false;          ///< all of the bundle is there
  bool unpacked = false;
  bool ran = false;            ///< a unit ran in it
  RuntimeManifest manifest;    ///< when whole
  std::int64_t bytes = 0;      ///< on disk, packed and unpacked
  TimeMs last_used_ms = 0;
};

std::vector<StoredRuntime> stored_runtimes(const Home& home);
/// The bundle, with a manifest that belongs to it. `invalid` for a bundle that is no runtime.
Result<StoredBundle> find_runtime(const Home& home, const RuntimeId& id);
Result<RuntimeManifest> read_runtime_manifest(const StoredBundle& bundle);
/// Remembers that it was packed here, under this name.
Result<void> name_runtime(const Home& home, const RuntimeId& id, const std::string& name);
/// Used now: the last to make room for others.
void touch_runtime(const Home& home, const RuntimeId& id);
/// A unit runs in it.
void mark_runtime(const Home& home, const RuntimeId& id);
bool is_packed_here(const Home& home, const RuntimeId& id);
/// Takes it away, in one step for whoever looks; what is packed here keeps its bundle unless `also_packed`. Gives the folder that is
/// left to be removed; empty when there was nothing.
Result<std::string> set_aside_runtime(const Home& home, const RuntimeId& id, bool also_packed);
/// What a killed node or command left half done goes away. For the one node that owns the home.
void sweep_runtimes(const Home& home);

inline constexpr const char* runtime_root_name = "root";
inline constexpr const char* runtime_partial_suffix = ".partial";
inline constexpr const char* runtime_gone_prefix = "gone-";

}  // namespace tnode
