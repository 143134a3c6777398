// Bundles as folders: walking, hashing, checking, merging and copying them. Never follows a link; functions of folders, safe in any thread.
#pragma once
#include <string>
#include <vector>

#include "core/torrent.h"
#include "core/types.h"

namespace tnode {

/// Temporary file, then rename: whoever is killed meanwhile, the old content or the new one is there. Not synced: what must outlive
/// a power cut is in the store, and bundles are checked before they are used.
Result<void> write_file_atomically(const std::string& path, std::string_view bytes);

/// The whole content of a regular file. `not_found`, or `io` naming what stands in its place.
Result<Bytes> read_file(const std::string& path);

struct FoundFile { std::string path; std::int64_t size = 0; bool executable = false; };
/// All regular files below a folder, sorted as a torrent sorts them. `invalid`, naming it, for anything that is neither file nor folder,
/// for a name that no bundle may have, and beyond max_path_depth or max_bundle_files.
Result<std::vector<FoundFile>> list_folder(const std::string& dir);
/// The canonical torrent of everything below a folder.
Result<Torrent> hash_folder(const std::string& dir, const std::string& name);
/// Every file of the torrent is there with its size and nothing stands in between. Contents are not read.
Result<void> check_bundle_on_disk(const Torrent& torrent, const std::string& dir);

/// The result of one unit on disk.
struct UnitFolder { UnitNumber unit = 0; std::string dir; };
/// Brings the out/ trees of several units together below <destination>/out/, by hard links. `invalid` when two units wrote one path differently.
Result<void> merge_outputs(const std::vector<UnitFolder>& units, const std::string& destination);
/// Copies what is below out/ to a folder of the user's; files that are there already are replaced.
Result<void> export_outputs(const Torrent& torrent, const std::string& dir, const std::string& destination);
/// Whether the file at `path` has the bytes that a torrent says.
Result<bool> holds_file(const std::string& path, const Torrent::File& file);
/// Whether a path is what a copy of this program leaves when it is killed.
bool is_unfinished_copy(const std::string& path);
/// Copies a file or a folder's regular files; the executable bit stays, everything else becomes plain.
Result<void> copy_plain(const std::string& from, const std::string& to);

}  // namespace tnode
