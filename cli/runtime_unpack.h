// From a runtime's image to a tree on disk. The image is a stranger's: every entry is checked before it is made, and nothing is made
// but through descriptors of folders that were made here, so no name and no link leads anywhere else.
#pragma once
#include <functional>
#include <string>

#include "core/runtime.h"

namespace tnode {

/// Unpacks `image` to the new folder `root`, which is there either whole or not at all. `invalid`, with the offending name, for an
/// image that is not canonical, holds what belongs to the machine, or is not exactly what its manifest says. `progress` is told how
/// many of the image's bytes are done; false from it ends the unpacking.
Result<void> unpack_runtime(const std::string& image, const RuntimeManifest& manifest, const std::string& root, const std::function<bool(std::int64_t)>& progress);

/// Whether such a tree is there.
bool is_unpacked(const std::string& root);

}  // namespace tnode
