// How a chain is published: bundles of blocks, each naming the one before it, and a head in the DHT that names the newest. Pure formats;
// docs/blocks.md describes them.
#pragma once
#include <array>

#include "core/block.h"

namespace tnode {

/// Where a torrent is found: its identity, and the v1 hash that finds peers.
struct BundleAt {
  Hash v2;
  std::array<std::uint8_t, 20> v1{};
  bool operator==(const BundleAt&) const = default;
};

/// What the `manifest` of a bundle of blocks says.
struct SegmentManifest {
  NodeKey key;
  std::uint64_t first = 0;  ///< seq of its first block; a multiple of segment_blocks
  BundleAt previous;        ///< the segment before it; zeros for the first
};
Bytes encode_segment_manifest(const SegmentManifest& manifest);
Result<SegmentManifest> decode_segment_manifest(std::string_view bytes);
std::string segment_name(std::string_view manifest);
/// Beside `manifest`: the segment's blocks, and the other halves of its payments as far as they were known.
inline constexpr const char* segment_blocks_file = "blocks";
inline constexpr const char* segment_halves_file = "halves";
/// Largest bundle of blocks: a whole segment, each block with its half, and the manifest.
inline constexpr std::int64_t max_segment_bytes = 1 << 20;

/// The value in the DHT, under the chain's key and this salt; its BEP 44 sequence number is the block's seq plus one.
struct PublishedHead {
  Block block;      ///< the newest block
  BundleAt newest;  ///< the bundle that ends with it
};
inline constexpr const char* head_salt = "tnode chain";
Bytes encode_published_head(const PublishedHead& head);
/// Form, and that the block is `key`'s own, signed.
Result<PublishedHead> decode_published_head(const NodeKey& key, std::string_view bytes);

}  // namespace tnode
