// Hash, sign, verify. The only file of core that uses a library (OpenSSL).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/types.h"

namespace tnode {

/// Streaming SHA-256 (FIPS 180-4).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256& update(std::string_view data);
  Hash finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Hash sha256(std::string_view data);
/// SHA-1, for BitTorrent v1 pieces only: it finds peers and never decides anything.
std::array<std::uint8_t, 20> sha1(std::string_view data);
/// SHA-256 over "tnode:" + domain + 0x00 + data: a signature or id of one kind never stands for another.
Hash domain_hash(std::string_view domain, std::string_view data);

using Signature = std::array<std::uint8_t, 64>;
using Seed = std::array<std::uint8_t, 32>;  ///< the secret half of an Ed25519 key (RFC 8032)

/// An Ed25519 key pair made from its seed. Signing is deterministic.
class KeyPair {
 public:
  static KeyPair from_seed(const Seed& seed);
  ~KeyPair();
  KeyPair(KeyPair&&) noexcept;
  KeyPair& operator=(KeyPair&&) noexcept;
  const NodeKey& key() const { return key_; }
  const Seed& seed() const { return seed_; }
  /// Signs "tnode:" + domain + 0x00 + data.
  Signature sign(std::string_view domain, std::string_view data) const;

 private:
  KeyPair() = default;
  struct Handle;
  std::unique_ptr<Handle> handle_;
  NodeKey key_;
  Seed seed_{};
};

/// What a passphrase costs to try once (RFC 7914): memory is 128 × 2^log2_n × r bytes.
struct ScryptCost { int log2_n = 17, r = 8, p = 1; };
/// 32 bytes out of a passphrase. `invalid` for a cost of more than 1 GiB, or one that scrypt does not know.
Result<Hash> scrypt(std::string_view passphrase, std::string_view salt, const ScryptCost& cost);

using GcmNonce = std::array<std::uint8_t, 12>;
/// AES-256-GCM: `secret` encrypted, and 16 bytes that vouch for it and for `known`, which is not encrypted. One nonce a key.
Bytes seal_aes_gcm(const Hash& key, const GcmNonce& nonce, std::string_view known, std::string_view secret);
/// The secret; nothing when the key is wrong, or anything was changed.
std::optional<Bytes> open_aes_gcm(const Hash& key, const GcmNonce& nonce, std::string_view known, std::string_view sealed);

/// False for the few points of small order: anybody can sign for them, and one signature fits several messages.
bool may_be_key(const NodeKey& key);

/// True when `signature` is `key`'s over the same domain and data, with S < L (no malleable twins), and the key one that may be.
bool verify(const NodeKey& key, std::string_view domain, std::string_view data, const Signature& signature);

}  // namespace tnode
