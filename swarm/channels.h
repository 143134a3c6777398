// The `tn` extension (BEP 10) and the channels that run in it: one TLS channel per node key, over whatever swarm connection is alive.
// Lives in the network thread alone. Spare connections to a known key wait until the one in use ends.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <libtorrent/extensions.hpp>
#include <libtorrent/socket.hpp>

#include "core/types.h"
#include "swarm/swarm.h"
#include "swarm/tls_channel.h"

namespace tnode {

class Link;

class Channels {
 public:
  Channels(NodeKey own, std::shared_ptr<TlsIdentity> identity, Swarm::Sink report);

  /// Queues a message for the key's channel; nothing happens without one. flush() puts all queued bytes on their connections.
  void send(const NodeKey& to, std::string_view message);
  void flush();
  void ban(const NodeKey& key);
  /// Where the node behind a channel can be dialled.
  std::optional<lt::tcp::endpoint> endpoint_of(const NodeKey& key) const;
  std::size_t count() const { return up_.size(); }
  void stop() { stopped_ = true; }

 private:
  friend class Link;
  void greeted(Link& link);      // its extension handshake named a key
  void established(Link& link);
  void closed(Link& link);
  void message(const Link& link, Bytes bytes);
  void dial_spare(const NodeKey& key);
  bool links_left(const NodeKey& key) const { return up_.count(key) != 0; }

  NodeKey own_;
  std::shared_ptr<TlsIdentity> identity_;
  Swarm::Sink report_;
  bool stopped_ = false;
  std::map<NodeKey, std::vector<Link*>> up_;       // established, the one in use first
  std::map<NodeKey, std::set<Link*>> spares_;      // claimed by that key, no channel of their own (yet)
  std::set<NodeKey> banned_;
  std::set<Link*> unflushed_;
};

/// The plugin to add to a session: attaches a Link to every peer connection of every torrent.
std::shared_ptr<lt::plugin> make_channel_plugin(const std::shared_ptr<Channels>& channels);

}  // namespace tnode
