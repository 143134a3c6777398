// The info dictionary of a canonical hybrid torrent, as one function of its content: builder and parser both go through it, so
// that what is accepted from outside is exactly what would have been built. Pure; internal to core's torrent files.
#pragma once
#include "core/bencode.h"
#include "core/torrent.h"

namespace tnode {

/// Everything that an info dictionary says. `files` are in torrent order.
struct InfoContent {
  std::string name;
  std::int64_t piece_length = 0;
  std::vector<Torrent::File> files;
  Bytes v1_pieces;  ///< SHA-1 hashes, 20 bytes each
};

/// Sum of sizes; `invalid` when a size is negative, the sum is 0 or beyond max_bundle_bytes.
Result<std::int64_t> total_size_of(const std::vector<Torrent::File>& files);
/// Zeros between this file and the next: up to the next piece boundary; 0 after the last file of a torrent.
std::int64_t padding_after(const InfoContent& content, std::size_t file);
/// Number of v1 pieces, padding included.
std::int64_t v1_piece_count(const InfoContent& content);
bencode::Dictionary info_dictionary(const InfoContent& content);
/// The torrent of a checked content. `layers` may be empty: then `bytes` is only filled when none are needed.
Torrent assemble_torrent(InfoContent content, Bytes info, const bencode::Dictionary& layers);

}  // namespace tnode
