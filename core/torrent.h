// Canonical hybrid torrents (BEP 3, 47, 52): equal bytes give equal info-hashes, on any host.
// Pure: files are described by name, size and hashes; who reads the disk is somebody else. docs/torrents.md is the format.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/bundle_paths.h"
#include "core/crypto.h"
#include "core/file_hasher.h"
#include "core/magnet.h"
#include "core/types.h"

namespace tnode {

/// One regular file of a bundle.
struct BundleFile {
  std::string path;  ///< below the torrent's root folder, slash separated
  bool executable = false;
  FileHasher::Digest digest;
};

/// A torrent ready to be written, seeded or voted with.
struct Torrent {
  std::string name;
  Bytes bytes;                         ///< the whole .torrent, canonical bencoding; empty while its piece layers are missing
  Bytes info;                          ///< the info dictionary alone
  Hash v2_hash;                        ///< SHA-256 of info: the identity
  std::array<std::uint8_t, 20> v1_hash{};  ///< SHA-1 of info: finds peers
  std::int64_t total_size = 0;         ///< without padding
  std::int64_t piece_length = 0;
  struct File {
    std::string path;
    std::int64_t size;
    bool executable;
    Hash pieces_root = {};  ///< zero for an empty file
  };
  std::vector<File> files;             ///< in torrent order, pads left out
};

/// What the name of every task, result and certificate begins with: a bundle does not choose its place in a user's folder.
inline constexpr std::string_view bundle_name_prefix = "tnode-";

inline constexpr std::int64_t min_piece_length = 16 << 10;
inline constexpr std::int64_t max_piece_length = 16 << 20;
/// Largest payload: a million pieces of the largest length.
inline constexpr std::int64_t max_bundle_bytes = std::int64_t{1} << 44;
/// Largest .torrent that is parsed: max_bundle_bytes and max_bundle_files with ordinary names fit.
inline constexpr std::size_t max_torrent_bytes = std::size_t{128} << 20;

/// Piece length for a total payload size: the power of two from 16 KiB to 16 MiB that gives about 1,000 pieces
/// (total / 1024, rounded up to a power of two).
std::int64_t piece_length_for(std::int64_t total_size);

/// Builds the canonical torrent. Files may come in any order; their digests were made with `piece_length`, which is
/// piece_length_for() of their total. `invalid` on a refused name (see check_bundle_paths), or when there is no byte in any file.
Result<Torrent> build_torrent(const std::string& name, std::vector<BundleFile> files, std::int64_t piece_length);

/// The v1-only twin over the same folder, for clients that do not read hybrids. `read` gives a file's bytes as a stream:
/// it is called once per file in order and passes chunks on. The twin never votes.
using ReadFile = std::function<Result<void>(const std::string& path, const std::function<void(std::string_view)>& chunk)>;
Result<Bytes> build_v1_twin(const Torrent& torrent, const ReadFile& read);

/// Parses a .torrent from outside and rebuilds it from its own content: accepted only if both match byte for byte.
/// Unknown keys, odd names, wrong order, other piece lengths, trailing bytes: `invalid`, with what was found.
Result<Torrent> parse_canonical_torrent(std::string_view bytes);
/// The same from an info dictionary alone (magnet links). `bytes` of the result is complete only when no file is larger than a
/// piece, for then there are no piece layers to miss.
Result<Torrent> parse_canonical_info(std::string_view info);

}  // namespace tnode
