// A file tree as one file, so that equal trees are equal bytes on any host: a strict subset of POSIX tar (ustar, with pax headers
// for long names) that `tar` can list. Folders, regular files with an executable bit, and symbolic links; no times, owners, other
// modes, hard links or devices. Pure; docs/runtimes.md is the format. Whoever writes to a disk is somebody else.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

struct ImageEntry {
  enum class Kind : std::uint8_t { folder, file, link } kind = Kind::folder;
  std::string path;         ///< below the root, slash separated
  std::int64_t size = 0;    ///< of a file
  bool executable = false;  ///< of a file
  std::string target;       ///< of a link, as it is; it means something inside the tree only
  bool operator==(const ImageEntry&) const = default;
};

inline constexpr std::int64_t tree_block_bytes = 512;
inline constexpr std::size_t max_tree_entries = 1'000'000;
inline constexpr std::size_t max_tree_path_bytes = 4'000, max_tree_depth = 64;  // what Linux opens in one go, with room for a prefix
inline constexpr std::int64_t max_tree_file_bytes = (std::int64_t{1} << 33) - 1;  // eleven octal digits

/// What stands before an entry's content: one block, or three and more when a name or a target needs a pax header.
Bytes encode_image_entry(const ImageEntry& entry);
/// Zeros that follow a file's content.
std::size_t tree_padding(std::int64_t size);
/// What ends an image.
Bytes tree_end();

/// The one order of a tree's entries: each folder before what is in it, names bytewise. Writer and reader both ask it, so what is
/// accepted is what would be written, and nothing can be put below a link or a file.
class TreeOrder {
 public:
  /// `invalid`, with the name: a path that is not plain, that comes too early or twice, or whose parent is no folder of the tree.
  Result<void> add(const ImageEntry& entry);
  std::int64_t entries() const { return entries_; }

 private:
  std::string last_;
  std::vector<std::string> open_;  // the folders that the next entry may be in, outermost first
  std::int64_t entries_ = 0;
};

/// Reads an image as a stream and refuses every spelling but the canonical one.
class TreeReader {
 public:
  /// Called for each entry, then, for a file, with its content in chunks. What they refuse ends the reading.
  using OnEntry = std::function<Result<void>(const ImageEntry&)>;
  using OnContent = std::function<Result<void>(std::string_view)>;
  TreeReader(OnEntry entry, OnContent content) : entry_(std::move(entry)), content_(std::move(content)) {}

  Result<void> feed(std::string_view bytes);
  /// No more bytes will come: `invalid` unless the image ended.
  Result<void> finish() const;

 private:
  Result<bool> take_header(std::string_view& bytes);
  Result<void> take_end();

  OnEntry entry_;
  OnContent content_;
  TreeOrder order_;
  Bytes header_;                   // what was read of the next header
  std::size_t header_bytes_ = 0;   // its length; 0 while only its first block is awaited
  std::int64_t content_left_ = 0;
  std::size_t padding_left_ = 0;
  bool ended_ = false;
};

}  // namespace tnode
