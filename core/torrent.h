// Canonical hybrid torrents (BEP 3, 47, 52): equal bytes give equal info-hashes, on any host.
// Pure: files are described by name, size and hashes; who reads the disk is somebody else.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "core/crypto.h"
#include "core/types.h"

namespace tnode {

/// Hashes of one file for both torrent versions, fed as a stream.
class FileHasher {
 public:
  explicit FileHasher(std::int64_t piece_length);
  void update(std::string_view data);
  struct Digest {
    std::int64_t size = 0;
    Hash pieces_root;                   ///< zero for an empty file
    std::vector<Hash> piece_layer;      ///< one hash per piece; empty when the file fits one piece
    std::vector<std::array<std::uint8_t, 20>> v1_pieces;         ///< last piece padded with zeros
    std::array<std::uint8_t, 20> v1_last_unpadded{};             ///< the last piece as it is when the file ends the torrent
  };
  Digest finish();

 private:
  void end_block();
  void end_piece();
  std::int64_t piece_length_;
  Bytes piece_;                 // bytes of the current piece
  std::vector<Hash> blocks_;    // 16 KiB leaves of the current piece
  std::vector<Hash> pieces_;    // merkle roots of whole pieces
  Digest digest_;
};

/// One regular file of a bundle.
struct BundleFile {
  std::string path;  ///< below the torrent's root folder, slash separated
  bool executable = false;
  FileHasher::Digest digest;
};

/// A torrent ready to be written, seeded or voted with.
struct Torrent {
  std::string name;
  Bytes bytes;                         ///< the whole .torrent, canonical bencoding
  Bytes info;                          ///< the info dictionary alone
  Hash v2_hash;                        ///< SHA-256 of info: the identity
  std::array<std::uint8_t, 20> v1_hash{};  ///< SHA-1 of info: finds peers
  std::int64_t total_size = 0;
  std::int64_t piece_length = 0;
  struct File { std::string path; std::int64_t size; bool executable; };
  std::vector<File> files;             ///< in torrent order, pads left out
};

/// Piece length for a total payload size: a power of two from 16 KiB to 16 MiB, about 1,000 pieces.
std::int64_t piece_length_for(std::int64_t total_size);

/// Builds the canonical torrent. Files may come in any order. `invalid` on a refused name (see check_bundle_paths).
Result<Torrent> build_torrent(const std::string& name, std::vector<BundleFile> files, std::int64_t piece_length);

/// The v1-only twin over the same folder, for clients that do not read hybrids. `read` gives a file's bytes as a stream:
/// it is called once per file in order and passes chunks on. The twin never votes.
using ReadFile = std::function<Result<void>(const std::string& path, const std::function<void(std::string_view)>& chunk)>;
Result<Bytes> build_v1_twin(const Torrent& torrent, const ReadFile& read);

/// Parses a .torrent from outside and rebuilds it from its own content: accepted only if both match byte for byte.
/// Unknown keys, odd names, wrong order, other piece lengths, trailing bytes: `invalid`, with what was found.
Result<Torrent> parse_canonical_torrent(std::string_view bytes);
/// The same from an info dictionary alone (magnet links), with the piece layers that were fetched beside it.
Result<Torrent> parse_canonical_info(std::string_view info);

/// Names inside bundles: valid UTF-8 without control characters, parts up to 255 bytes, never "." or "..", depth ≤ 16,
/// no two that differ only in (ASCII) case, no file that is also a folder, at most max_bundle_files.
Result<void> check_bundle_paths(const std::vector<std::string>& paths);

inline constexpr std::size_t max_bundle_files = 100'000;
inline constexpr std::size_t max_path_depth = 16;
inline constexpr std::size_t max_path_part_bytes = 255;
inline constexpr std::int64_t min_piece_length = 16 << 10;

/// magnet:?xt=urn:btih:…&xt=urn:btmh:1220…&dn=…, with x.pe hints.
struct Magnet {
  Hash v2_hash;                            ///< zero when the link has none
  std::array<std::uint8_t, 20> v1_hash{};  ///< zero when the link has none
  std::string name;
  std::vector<std::string> peers;          ///< "host:port"
};
std::string format_magnet(const Magnet& magnet);
Result<Magnet> parse_magnet(std::string_view link);

}  // namespace tnode
