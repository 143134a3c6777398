#include "core/crypto.h"

#include <openssl/evp.h>

#include <algorithm>

namespace tnode {
namespace {

struct MdDeleter { void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); } };
struct CipherDeleter { void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); } };
struct KeyDeleter { void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); } };
using CipherPointer = std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter>;
using MdPointer = std::unique_ptr<EVP_MD_CTX, MdDeleter>;
using KeyPointer = std::unique_ptr<EVP_PKEY, KeyDeleter>;

const unsigned char* raw(std::string_view data) { return reinterpret_cast<const unsigned char*>(data.data()); }

// EVP_sha256() resolves the provider on every init in OpenSSL 3; fetched once it costs nothing.
const EVP_MD* sha256_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  check(method != nullptr, "OpenSSL has no SHA-256");
  return method;
}
const EVP_MD* sha1_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  check(method != nullptr, "OpenSSL has no SHA-1");
  return method;
}

Bytes tagged(std::string_view domain, std::string_view data) {
  Bytes bytes = "tnode:";
  bytes.append(domain);
  bytes += '\0';
  bytes.append(data);
  return bytes;
}

constexpr std::uint64_t most_scrypt_bytes = 1 << 30;
constexpr std::size_t gcm_tag_bytes = 16;

// The order of the base point, little-endian (RFC 8032, section 5.1).
constexpr std::array<std::uint8_t, 32> group_order = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool scalar_is_canonical(const Signature& signature) {
  for (int i = 31; i >= 0; --i) {
    std::uint8_t s = signature[32 + static_cast<std::size_t>(i)], l = group_order[static_cast<std::size_t>(i)];
    if (s != l) return s < l;
  }
  return false;
}

/// The points of small order, and how they may be written, without the sign of x.
constexpr std::array<std::string_view, 7> small_points = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};

}  // namespace

bool may_be_key(const NodeKey& key) {
  static const auto points = [] {
    std::array<NodeKey, small_points.size()> all;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = *NodeKey::from_bytes(*from_hex(small_points[i]));
    return all;
  }();
  NodeKey point = key;
  point.bytes[31] &= 0x7f;
  return std::find(points.begin(), points.end(), point) == points.end();
}

struct Sha256::Context {
  MdPointer md{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  check(EVP_DigestInit_ex2(context_->md.get(), sha256_method(), nullptr) == 1, "SHA-256 init");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256& Sha256::update(std::string_view data) {
  check(EVP_DigestUpdate(context_->md.get(), data.data(), data.size()) == 1, "SHA-256 update");
  return *this;
}
Hash Sha256::finish() {
  Hash hash;
  check(EVP_DigestFinal_ex(context_->md.get(), hash.bytes.data(), nullptr) == 1, "SHA-256 final");
  return hash;
}

Hash sha256(std::string_view data) {
  Hash hash;
  check(EVP_Digest(data.data(), data.size(), hash.bytes.data(), nullptr, sha256_method(), nullptr) == 1, "SHA-256");
  return hash;
}

std::array<std::uint8_t, 20> sha1(std::string_view data) {
  std::array<std::uint8_t, 20> hash;
  check(EVP_Digest(data.data(), data.size(), hash.data(), nullptr, sha1_method(), nullptr) == 1, "SHA-1");
  return hash;
}

Hash domain_hash(std::string_view domain, std::string_view data) { return sha256(tagged(domain, data)); }

struct KeyPair::Handle {
  KeyPointer key;
};

KeyPair::~KeyPair() = default;
KeyPair::KeyPair(KeyPair&&) noexcept = default;
KeyPair& KeyPair::operator=(KeyPair&&) noexcept = default;

KeyPair KeyPair::from_seed(const Seed& seed) {
  KeyPair pair;
  pair.seed_ = seed;
  pair.handle_ = std::make_unique<Handle>();
  pair.handle_->key.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  check(pair.handle_->key != nullptr, "Ed25519 key from seed");
  std::size_t size = pair.key_.bytes.size();
  check(EVP_PKEY_get_raw_public_key(pair.handle_->key.get(), pair.key_.bytes.data(), &size) == 1, "Ed25519 public key");
  return pair;
}

Signature KeyPair::sign(std::string_view domain, std::string_view data) const {
  Bytes message = tagged(domain, data);
  MdPointer md{EVP_MD_CTX_new()};
  Signature signature;
  std::size_t size = signature.size();
  check(EVP_DigestSignInit(md.get(), nullptr, nullptr, nullptr, handle_->key.get()) == 1, "Ed25519 sign init");
  check(EVP_DigestSign(md.get(), signature.data(), &size, raw(message), message.size()) == 1, "Ed25519 sign");
  return signature;
}

bool verify(const NodeKey& key, std::string_view domain, std::string_view data, const Signature& signature) {
  if (!scalar_is_canonical(signature) || !may_be_key(key)) return false;
  KeyPointer handle{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size())};
  if (!handle) return false;
  Bytes message = tagged(domain, data);
  MdPointer md{EVP_MD_CTX_new()};
  if (EVP_DigestVerifyInit(md.get(), nullptr, nullptr, nullptr, handle.get()) != 1) return false;
  return EVP_DigestVerify(md.get(), signature.data(), signature.size(), raw(message), message.size()) == 1;
}

// --- secrets under a passphrase ---

Result<Hash> scrypt(std::string_view passphrase, std::string_view salt, const ScryptCost& cost) {
  const auto bad = [] { return fail(Code::invalid, "a cost of scrypt that this program does not pay"); };
  if (cost.log2_n < 1 || cost.log2_n > 30 || cost.r < 1 || cost.r > 64 || cost.p < 1 || cost.p > 16) return bad();
  const std::uint64_t n = std::uint64_t{1} << cost.log2_n, blocks = static_cast<std::uint64_t>(cost.r);
  if (128 * n * blocks > most_scrypt_bytes) return bad();
  Hash key;
  const std::uint64_t room = most_scrypt_bytes + (1 << 20);  // a little more than the table alone
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), raw(salt), salt.size(), n, blocks, static_cast<std::uint64_t>(cost.p), room, key.bytes.data(), key.bytes.size()) != 1) return bad();
  return key;
}

Bytes seal_aes_gcm(const Hash& key, const GcmNonce& nonce, std::string_view known, std::string_view secret) {
  CipherPointer cipher{EVP_CIPHER_CTX_new()};
  Bytes sealed(secret.size() + gcm_tag_bytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(sealed.data());
  int size = 0;
  check(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.bytes.data(), nonce.data()) == 1, "AES-256-GCM init");
  check(EVP_EncryptUpdate(cipher.get(), nullptr, &size, raw(known), static_cast<int>(known.size())) == 1, "AES-256-GCM of what is known");
  check(EVP_EncryptUpdate(cipher.get(), out, &size, raw(secret), static_cast<int>(secret.size())) == 1, "AES-256-GCM");
  check(EVP_EncryptFinal_ex(cipher.get(), out + secret.size(), &size) == 1, "AES-256-GCM final");
  check(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(gcm_tag_bytes), out + secret.size()) == 1, "AES-256-GCM tag");
  return sealed;
}

std::optional<Bytes> open_aes_gcm(const Hash& key, const GcmNonce& nonce, std::string_view known, std::string_view sealed) {
  if (sealed.size() < gcm_tag_bytes) return std::nullopt;
  CipherPointer cipher{EVP_CIPHER_CTX_new()};
  Bytes secret(sealed.size() - gcm_tag_bytes, '\0'), tag(sealed.substr(secret.size()));
  auto* out = reinterpret_cast<unsigned char*>(secret.data());
  int size = 0;
  check(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.bytes.data(), nonce.data()) == 1, "AES-256-GCM init");
  check(EVP_DecryptUpdate(cipher.get(), nullptr, &size, raw(known), static_cast<int>(known.size())) == 1, "AES-256-GCM of what is known");
  check(EVP_DecryptUpdate(cipher.get(), out, &size, raw(sealed), static_cast<int>(secret.size())) == 1, "AES-256-GCM");
  check(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(gcm_tag_bytes), tag.data()) == 1, "AES-256-GCM tag");
  if (EVP_DecryptFinal_ex(cipher.get(), out + secret.size(), &size) != 1) return std::nullopt;
  return secret;
}

}  // namespace tnode
