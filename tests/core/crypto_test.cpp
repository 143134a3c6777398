// Signatures that others would take and this program does not: twins, and keys for which anybody can sign.
#include "core/block.h"
#include "core/fraud.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

constexpr std::array<std::uint8_t, 32> order = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

NodeKey point(const char* hex) { return *NodeKey::from_bytes(*from_hex(hex)); }

}  // namespace

TEST_CASE("a_signature_has_no_twin") {
  const KeyPair key = KeyPair::from_seed({7});
  Signature signature = key.sign("block", "message");
  REQUIRE(verify(key.key(), "block", "message", signature));
  CHECK_FALSE(verify(key.key(), "head", "message", signature));
  CHECK_FALSE(verify(key.key(), "block", "massage", signature));
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += signature[32 + i] + order[i];
    signature[32 + i] = static_cast<std::uint8_t>(carry & 0xff);
    carry >>= 8;
  }
  CHECK_FALSE(verify(key.key(), "block", "message", signature));
}

TEST_CASE("nobody_signs_with_a_key_of_small_order") {
  // With the neutral element as key, R = S·B fits any message: the first bytes of both are 1 and 0 here.
  const NodeKey neutral = point("0100000000000000000000000000000000000000000000000000000000000000");
  Signature anybodys{};
  anybodys[0] = 1;
  for (const char* message : {"one", "another"}) CHECK_FALSE(verify(neutral, "block", message, anybodys));
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000080", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                          "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"})
    CHECK_FALSE(may_be_key(point(hex)));
  CHECK(may_be_key(KeyPair::from_seed({7}).key()));
  // So no proof of fraud can be made against such a key, nor a payment in its name.
  Block one, other;
  one.key = other.key = neutral;
  one.amount = 1;
  one.signature = other.signature = anybodys;
  CHECK_THAT(check_fraud({encode_block(one), encode_block(other)}).error().message, has_text("signature"));
}
