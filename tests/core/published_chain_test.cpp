// What is published of a chain: read strictly, and only from the chain's own key.
#include "core/published_chain.h"

#include "core/chain.h"
#include "tests/catch.h"
#include "tests/keys.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2);

Block signed_block() {
  Block block;
  block.key = alice.key();
  block.time_ms = 1;
  sign_block(block, alice);
  return block;
}

}  // namespace

TEST_CASE("a_published_head_fits_into_the_dht_and_comes_back_as_it_was") {
  PublishedHead head{signed_block(), {sha256("bundle"), {1, 2, 3}}};
  const Bytes value = encode_published_head(head);
  CHECK(value.size() <= 1000);  // BEP 44
  auto again = decode_published_head(alice.key(), value);
  REQUIRE(again.ok());
  CHECK(again->block == head.block);
  CHECK(again->newest == head.newest);
  CHECK_FALSE(decode_published_head(bob.key(), value).ok());
  CHECK_FALSE(decode_published_head(alice.key(), value + "e").ok());
  head.block.amount = 1;  // not what was signed
  CHECK_FALSE(decode_published_head(alice.key(), encode_published_head(head)).ok());
}

TEST_CASE("a_segments_manifest_says_where_it_belongs") {
  const SegmentManifest first{alice.key(), 0, {}}, second{alice.key(), segment_blocks, {sha256("first"), {9}}};
  for (const auto& manifest : {first, second}) {
    const Bytes bytes = encode_segment_manifest(manifest);
    auto again = decode_segment_manifest(bytes);
    REQUIRE(again.ok());
    CHECK(again->first == manifest.first);
    CHECK(again->previous == manifest.previous);
    CHECK(encode_segment_manifest(*again) == bytes);
    CHECK(segment_name(bytes).starts_with("tnode-chain-"));
  }
  CHECK_FALSE(decode_segment_manifest(encode_segment_manifest({alice.key(), 7, second.previous})).ok());
  CHECK_FALSE(decode_segment_manifest(encode_segment_manifest({alice.key(), segment_blocks, {}})).ok());
  CHECK_FALSE(decode_segment_manifest(encode_segment_manifest({alice.key(), 0, second.previous})).ok());
  CHECK_FALSE(decode_segment_manifest("de").ok());
}
