// The hashes of one file for both torrent versions (BEP 3 pieces, BEP 52 merkle tree), from its bytes as a stream.
// Pure: whoever reads the disk feeds it. Holds at most one piece in memory.
#pragma once
#include <array>
#include <vector>

#include "core/crypto.h"
#include "core/types.h"

namespace tnode {

using Sha1Hash = std::array<std::uint8_t, 20>;

/// BEP 52: the leaves of a file's merkle tree are SHA-256 of its 16 KiB blocks.
inline constexpr std::int64_t merkle_block_bytes = 16 << 10;

/// Hashes of one file for both torrent versions, fed as a stream.
class FileHasher {
 public:
  /// `piece_length` is a power of two, at least 16 KiB.
  explicit FileHasher(std::int64_t piece_length);
  void update(std::string_view data);
  struct Digest {
    std::int64_t size = 0;
    Hash pieces_root;                   ///< zero for an empty file
    std::vector<Hash> piece_layer;      ///< one hash per piece; empty when the file fits one piece
    std::vector<Sha1Hash> v1_pieces;    ///< last piece padded with zeros
    Sha1Hash v1_last_unpadded{};        ///< the last piece as it is when the file ends the torrent
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

/// Root of a merkle tree over `nodes`, filled up with `filler` to a power of two that is at least `width`.
Hash merkle_root(std::vector<Hash> nodes, Hash filler, std::size_t width = 1);
/// Root of a file's tree from its piece layer (BEP 52): missing pieces count as subtrees of zero leaves.
Hash root_of_piece_layer(const std::vector<Hash>& layer, std::int64_t piece_length);

}  // namespace tnode
