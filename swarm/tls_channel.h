// One TLS 1.3 channel through memory: bytes in, bytes out, whole messages in between. The other side's certificate key is its node key.
// Owned by a connection of the network thread; never touches a socket itself.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "core/crypto.h"
#include "core/types.h"

namespace tnode {

/// This node's self-signed Ed25519 certificate and the settings that all its channels share.
class TlsIdentity {
 public:
  static Result<std::shared_ptr<TlsIdentity>> make(const Seed& seed);
  ~TlsIdentity();
  struct Context;
  Context& context() { return *context_; }

 private:
  TlsIdentity();
  std::unique_ptr<Context> context_;
};

class TlsChannel {
 public:
  enum class Role { dialler, listener };  ///< the side that dialled is the TLS client
  TlsChannel(std::shared_ptr<TlsIdentity> identity, Role role);
  ~TlsChannel();

  /// Takes what came from the other side. `refused` when the channel is broken and must be closed; otherwise the messages completed.
  Result<std::vector<Bytes>> receive(std::string_view bytes);
  /// Queues a message. Only after established().
  Result<void> send(std::string_view message);
  /// What has to go to the other side now.
  Bytes take_outgoing();

  bool established() const { return established_; }
  /// Proved by the handshake; valid once established.
  const NodeKey& peer_key() const { return peer_key_; }

 private:
  Result<void> shake_hands();

  struct State;
  std::unique_ptr<State> state_;
  bool established_ = false;
  NodeKey peer_key_;
  Bytes unread_;  // decrypted bytes of a message that is not complete yet
};

}  // namespace tnode
