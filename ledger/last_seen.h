// What a file beside the store remembers of it: how far the chain was when it was last written, and which file it stood in. A store that
// has fewer blocks, or stands in another file, was put back or copied: it may not sign before it is known that nothing is missing.
// Written after each commit and never synced, so it may lag behind the store, but is never ahead of it.
#pragma once
#include <optional>
#include <string>

#include "core/types.h"

namespace tnode {

/// Tells a file from its copies: its number in the file system and when it was made. A file system that does not know the latter tells nothing.
struct FileIdentity {
  std::uint64_t number = 0;
  std::int64_t made_ns = 0;
  bool known() const { return made_ns != 0; }
  bool same_as(const FileIdentity& other) const { return !known() || !other.known() || (number == other.number && made_ns == other.made_ns); }
};
FileIdentity identity_of(const std::string& path);

struct LastSeen {
  std::uint64_t blocks = 0;
  BlockId head;
  FileIdentity file;
};
/// Nothing when there is none, or none that is whole.
std::optional<LastSeen> read_last_seen(const std::string& store_path);
void write_last_seen(const std::string& store_path, const LastSeen& seen);

}  // namespace tnode
