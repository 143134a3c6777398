// Results on disk: packing what a unit left, keeping and finding bundles. Functions of folders; safe in any thread.
#pragma once
#include <optional>
#include <string>

#include "cli/home.h"
#include "core/published_chain.h"
#include "core/certificate.h"
#include "core/torrent.h"

namespace tnode {

/// A bundle that is whole on disk.
struct StoredBundle {
  Torrent torrent;
  std::string parent_dir;  ///< the bundle is <parent_dir>/<torrent.name>/
  std::string dir() const { return parent_dir + "/" + torrent.name; }
};

/// The bundle in <parent_dir>, when its torrent is there, canonical, and every file has its size.
Result<StoredBundle> find_bundle(const std::string& parent_dir);
/// Removes what a crash left half made in a folder of bundles: those without their torrent. Only for whoever holds the home's store, before anything is fetched.
void remove_half_made_bundles(const std::string& folder);
/// Says that <parent_dir>/<torrent.name>/ is whole, by writing the torrent beside it.
Result<StoredBundle> keep_bundle(const Torrent& torrent, const std::string& parent_dir);

/// The bundle's v1-only twin, for clients too old for hybrid torrents; made once, then kept beside the torrent. It never votes.
Result<Bytes> v1_twin_of(const StoredBundle& bundle);
/// Both where users look for them: <stem>.torrent and <stem>.v1.torrent.
Result<void> write_torrent_and_twin(const StoredBundle& bundle, const std::string& stem);

/// Packs a certificate as a bundle of its own, in its place in the home.
Result<StoredBundle> keep_certificate(const Home& home, const Certificate& certificate, const TaskId& task);
/// Packs blocks of a chain as a bundle of their own, in its place in the home.
Result<StoredBundle> keep_segment(const Home& home, const SegmentManifest& manifest, const Bytes& blocks, const Bytes& halves);
/// The certificate in such a bundle.
Result<Certificate> read_certificate(const StoredBundle& bundle);

/// Packs a unit's outputs, collected in <collected_dir>/out/, and moves them to their place in the home. The folder is gone afterwards.
struct PackedResult {
  StoredBundle bundle;
  std::vector<InlineFile> inline_files;  ///< everything, when it is at most max_inline_bytes
  bool inlined = false;
};
Result<PackedResult> pack_unit_result(const Home& home, const std::string& collected_dir, const TaskId& task, UnitNumber unit, const ExecutionReport& report);
/// Writes a result that came inside a reveal. `invalid` when it is not the one that was agreed on.
Result<StoredBundle> keep_inline_result(const Home& home, const ResultId& agreed, const std::vector<InlineFile>& files);

}  // namespace tnode
