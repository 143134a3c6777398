#include "core/crypto.h"

#include <openssl/evp.h>

namespace tnode {
namespace {

struct MdDeleter { void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); } };
struct KeyDeleter { void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); } };
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

}  // namespace

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
  if (!scalar_is_canonical(signature)) return false;
  KeyPointer handle{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size())};
  if (!handle) return false;
  Bytes message = tagged(domain, data);
  MdPointer md{EVP_MD_CTX_new()};
  if (EVP_DigestVerifyInit(md.get(), nullptr, nullptr, nullptr, handle.get()) != 1) return false;
  return EVP_DigestVerify(md.get(), signature.data(), signature.size(), raw(message), message.size()) == 1;
}

}  // namespace tnode
