// Files that must outlive a power cut and that nobody else may read: keys, what is known about them, exported chains.
#pragma once
#include <string>
#include <string_view>

#include "core/types.h"

namespace tnode {

/// Written, synced, then named: the old content or the new one is there. Readable by its owner alone.
Result<void> write_durably(const std::string& path, std::string_view bytes);
/// The same for a file that is not there yet; `exists`, and nothing changed, when one is, whoever made it meanwhile.
Result<void> write_new_durably(const std::string& path, std::string_view bytes);
/// Removes it, for good. Nothing when there is none.
Result<void> remove_durably(const std::string& path);

}  // namespace tnode
