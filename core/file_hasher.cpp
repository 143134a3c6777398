// A file's piece hashes and merkle tree: see file_hasher.h.
#include "core/file_hasher.h"

#include <algorithm>
#include <bit>

namespace tnode {
namespace {

Hash parent_of(const Hash& left, const Hash& right) {
  std::array<char, 64> both;
  std::copy(left.bytes.begin(), left.bytes.end(), both.begin());
  std::copy(right.bytes.begin(), right.bytes.end(), both.begin() + 32);
  return sha256({both.data(), both.size()});
}

}  // namespace

Hash merkle_root(std::vector<Hash> nodes, Hash filler, std::size_t width) {
  width = std::bit_ceil(std::max({width, nodes.size(), std::size_t{1}}));
  // Only the filled part of each level is kept; the rest of the level is one repeated filler.
  for (; width > 1; width /= 2) {
    if (nodes.size() % 2 != 0) nodes.push_back(filler);
    for (std::size_t i = 0; i < nodes.size() / 2; ++i) nodes[i] = parent_of(nodes[2 * i], nodes[2 * i + 1]);
    nodes.resize(nodes.size() / 2);
    filler = parent_of(filler, filler);
  }
  return nodes.empty() ? filler : nodes.front();
}

Hash root_of_piece_layer(const std::vector<Hash>& layer, std::int64_t piece_length) {
  Hash empty_piece = merkle_root({}, Hash{}, static_cast<std::size_t>(piece_length / merkle_block_bytes));
  return merkle_root(layer, empty_piece);
}

FileHasher::FileHasher(std::int64_t piece_length) : piece_length_(piece_length) {
  check(piece_length >= merkle_block_bytes && std::has_single_bit(static_cast<std::uint64_t>(piece_length)),
        "a piece length is a power of two, at least 16 KiB");
}

void FileHasher::update(std::string_view data) {
  digest_.size += static_cast<std::int64_t>(data.size());
  while (!data.empty()) {
    std::size_t block = static_cast<std::size_t>(merkle_block_bytes);
    std::size_t part = std::min(data.size(), block - piece_.size() % block);
    piece_.append(data.substr(0, part));
    data.remove_prefix(part);
    if (piece_.size() % block == 0) end_block();
    if (piece_.size() == static_cast<std::size_t>(piece_length_)) end_piece();
  }
}

FileHasher::Digest FileHasher::finish() {
  if (piece_.size() % merkle_block_bytes != 0) end_block();
  if (digest_.size > 0 && digest_.size <= piece_length_) {
    // BEP 52: the tree of a file within one piece is only as wide as the file needs, not as a piece.
    if (!piece_.empty()) {
      digest_.pieces_root = merkle_root(blocks_, Hash{});
      end_piece();
    } else {
      digest_.pieces_root = pieces_.front();
    }
  } else if (digest_.size > 0) {
    if (!piece_.empty()) end_piece();
    digest_.pieces_root = root_of_piece_layer(pieces_, piece_length_);
    digest_.piece_layer = std::move(pieces_);
  }
  return std::move(digest_);
}

void FileHasher::end_block() {
  std::size_t begin = blocks_.size() * static_cast<std::size_t>(merkle_block_bytes);
  blocks_.push_back(sha256(std::string_view(piece_).substr(begin)));
}

void FileHasher::end_piece() {
  digest_.v1_last_unpadded = sha1(piece_);
  if (piece_.size() < static_cast<std::size_t>(piece_length_)) {
    piece_.resize(static_cast<std::size_t>(piece_length_), '\0');
    digest_.v1_pieces.push_back(sha1(piece_));
  } else {
    digest_.v1_pieces.push_back(digest_.v1_last_unpadded);
  }
  pieces_.push_back(merkle_root(std::move(blocks_), Hash{}, static_cast<std::size_t>(piece_length_ / merkle_block_bytes)));
  blocks_.clear();
  piece_.clear();
}

}  // namespace tnode
