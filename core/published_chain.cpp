#include "core/published_chain.h"

#include "core/chain.h"
#include "core/dict_reader.h"

namespace tnode {
namespace {

using bencode::Dictionary;

constexpr std::int64_t max_place = std::int64_t{1} << 56;

Bytes raw(const std::array<std::uint8_t, 20>& hash) { return Bytes(reinterpret_cast<const char*>(hash.data()), hash.size()); }

}  // namespace

Bytes encode_segment_manifest(const SegmentManifest& m) {
  return bencode::encode(Dictionary{{"chain", 1}, {"first", static_cast<std::int64_t>(m.first)}, {"key", m.key.view()}, {"previous", m.previous.v2.view()}, {"previous v1", raw(m.previous.v1)}, {"tnode", 1}});
}

Result<SegmentManifest> decode_segment_manifest(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  SegmentManifest m;
  reader.number("chain", 1, 1);
  reader.number("tnode", 1, 1);
  m.first = static_cast<std::uint64_t>(reader.number("first", 0, max_place));
  reader.id("key", m.key);
  reader.id("previous", m.previous.v2);
  reader.fixed("previous v1", m.previous.v1);
  if (m.first % segment_blocks != 0 || (m.first == 0) != m.previous.v2.is_zero()) reader.refuse("a segment starts at a multiple of 1,024, and only the first has none before it");
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "the manifest of a segment: " + good.error().message);
  return m;
}

std::string segment_name(std::string_view manifest) { return "tnode-chain-" + to_hex(sha256(manifest).view().substr(0, 8)); }

Bytes encode_published_head(const PublishedHead& head) {
  return bencode::encode(Dictionary{{"block", encode_block(head.block)}, {"bundle", head.newest.v2.view()}, {"v1", raw(head.newest.v1)}});
}

Result<PublishedHead> decode_published_head(const NodeKey& key, std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  PublishedHead head;
  const Bytes block = reader.bytes("block", block_bytes);
  reader.id("bundle", head.newest.v2);
  reader.fixed("v1", head.newest.v1);
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "a published head: " + good.error().message);
  auto decoded = decode_block(block);
  if (!decoded) return decoded.error();
  if (decoded->key != key || !verify_block(*decoded)) return fail(Code::invalid, "a published head is not signed by its key");
  head.block = *decoded;
  return head;
}

}  // namespace tnode
