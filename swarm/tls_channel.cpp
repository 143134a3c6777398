#include "swarm/tls_channel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/crypto.h"
#include "swarm/swarm.h"

namespace tnode {
namespace {

constexpr std::size_t length_bytes = 4;  // big-endian, before each message

std::string openssl_error(const char* what) {
  char text[256] = "no reason given";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return std::string(what) + ": " + text;
}

struct KeyDeleter { void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); } };
struct CertificateDeleter { void operator()(X509* p) const { X509_free(p); } };
struct ContextDeleter { void operator()(SSL_CTX* p) const { SSL_CTX_free(p); } };
struct SslDeleter { void operator()(SSL* p) const { SSL_free(p); } };
using KeyPointer = std::unique_ptr<EVP_PKEY, KeyDeleter>;
using CertificatePointer = std::unique_ptr<X509, CertificateDeleter>;

/// The certificate says nothing but the key: who it belongs to is decided by comparing keys, not by names, dates or authorities.
CertificatePointer self_signed(EVP_PKEY* key) {
  CertificatePointer certificate{X509_new()};
  if (!certificate) return nullptr;
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), "19700101000000Z");
  ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), "99991231235959Z");  // RFC 5280: no expiry
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("tnode"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  if (X509_sign(certificate.get(), key, nullptr) == 0) return nullptr;
  return certificate;
}

// TLS itself checks that the peer holds the certificate's key; which key that is, is read after the handshake.
int accept_any_certificate(X509_STORE_CTX*, void*) { return 1; }

}  // namespace

struct TlsIdentity::Context {
  std::unique_ptr<SSL_CTX, ContextDeleter> ssl;
};

TlsIdentity::TlsIdentity() : context_(std::make_unique<Context>()) {}
TlsIdentity::~TlsIdentity() = default;

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::make(const Seed& seed) {
  KeyPointer key{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size())};
  CertificatePointer certificate = key ? self_signed(key.get()) : nullptr;
  std::shared_ptr<TlsIdentity> identity(new TlsIdentity);
  identity->context_->ssl.reset(SSL_CTX_new(TLS_method()));
  SSL_CTX* ssl = identity->context_->ssl.get();
  if (!certificate || !ssl || SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) != 1 || SSL_CTX_use_certificate(ssl, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(ssl, key.get()) != 1)
    return fail(Code::unavailable, openssl_error("OpenSSL cannot make this node's TLS identity"));
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(ssl, accept_any_certificate, nullptr);
  // A resumed session would carry the key of an earlier handshake; channels live long, so nothing is lost.
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(ssl, 0);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  return identity;
}

struct TlsChannel::State {
  std::shared_ptr<TlsIdentity> identity;
  std::unique_ptr<SSL, SslDeleter> ssl;
  BIO* incoming = nullptr;  // both owned by ssl
  BIO* outgoing = nullptr;
};

TlsChannel::TlsChannel(std::shared_ptr<TlsIdentity> identity, Role role) : state_(std::make_unique<State>()) {
  state_->ssl.reset(SSL_new(identity->context().ssl.get()));
  state_->identity = std::move(identity);
  state_->incoming = BIO_new(BIO_s_mem());
  state_->outgoing = BIO_new(BIO_s_mem());
  check(state_->ssl && state_->incoming && state_->outgoing, "OpenSSL is out of memory");
  SSL_set_bio(state_->ssl.get(), state_->incoming, state_->outgoing);
  if (role == Role::dialler) {
    SSL_set_connect_state(state_->ssl.get());
    (void)shake_hands();  // writes the first flight; it cannot fail before an answer came
  } else {
    SSL_set_accept_state(state_->ssl.get());
  }
}

TlsChannel::~TlsChannel() = default;

Result<void> TlsChannel::shake_hands() {
  int done = SSL_do_handshake(state_->ssl.get());
  if (done != 1) {
    int error = SSL_get_error(state_->ssl.get(), done);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};
    return fail(Code::refused, openssl_error("TLS handshake"));
  }
  CertificatePointer certificate{SSL_get1_peer_certificate(state_->ssl.get())};
  EVP_PKEY* key = certificate ? X509_get0_pubkey(certificate.get()) : nullptr;
  std::size_t size = peer_key_.bytes.size();
  if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, peer_key_.bytes.data(), &size) != 1)
    return fail(Code::refused, "the peer's certificate holds no Ed25519 key");
  if (!may_be_key(peer_key_)) return fail(Code::refused, "the peer's key is one that anybody can sign for");
  established_ = true;
  return {};
}

Result<std::vector<Bytes>> TlsChannel::receive(std::string_view bytes) {
  ERR_clear_error();
  if (BIO_write(state_->incoming, bytes.data(), static_cast<int>(bytes.size())) != static_cast<int>(bytes.size()))
    return fail(Code::refused, openssl_error("TLS input"));
  if (!established_) {
    if (auto good = shake_hands(); !good) return good.error();
    if (!established_) return std::vector<Bytes>{};
  }
  char buffer[16 << 10];
  for (;;) {
    int got = SSL_read(state_->ssl.get(), buffer, sizeof buffer);
    if (got > 0) {
      unread_.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    int error = SSL_get_error(state_->ssl.get(), got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) break;
    return fail(Code::refused, error == SSL_ERROR_ZERO_RETURN ? "the peer closed the channel" : openssl_error("TLS"));
  }
  std::vector<Bytes> messages;
  std::size_t at = 0;
  while (unread_.size() - at >= length_bytes) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) length = length << 8 | static_cast<unsigned char>(unread_[at + i]);
    if (length == 0 || length > max_message_bytes) return fail(Code::refused, "a message of " + std::to_string(length) + " bytes; the limit is " + std::to_string(max_message_bytes));
    if (unread_.size() - at - length_bytes < length) break;
    messages.push_back(unread_.substr(at + length_bytes, length));
    at += length_bytes + length;
  }
  unread_.erase(0, at);
  return messages;
}

Result<void> TlsChannel::send(std::string_view message) {
  check(established_, "a message before the channel is there");
  check(!message.empty() && message.size() <= max_message_bytes, "a message has 1 byte to 16 KiB");
  Bytes framed;
  framed.reserve(length_bytes + message.size());
  for (std::size_t i = 0; i < length_bytes; ++i) framed += static_cast<char>(message.size() >> (8 * (length_bytes - 1 - i)));
  framed += message;
  ERR_clear_error();
  if (SSL_write(state_->ssl.get(), framed.data(), static_cast<int>(framed.size())) != static_cast<int>(framed.size()))
    return fail(Code::refused, openssl_error("TLS output"));
  return {};
}

Bytes TlsChannel::take_outgoing() {
  Bytes bytes(static_cast<std::size_t>(BIO_ctrl_pending(state_->outgoing)), '\0');
  if (!bytes.empty()) check(BIO_read(state_->outgoing, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size()), "a memory BIO gives back what it holds");
  return bytes;
}

}  // namespace tnode
