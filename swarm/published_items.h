// Signed values in the DHT (BEP 44, mutable and salted): a node's own, republished by whoever asks for it, and those of others by key.
// Lives in the network thread; reports through the swarm's sink.
#pragma once
#include <map>

#include <libtorrent/alert.hpp>
#include <libtorrent/session.hpp>

#include "swarm/swarm.h"

namespace tnode {

class PublishedItems {
 public:
  PublishedItems(lt::session& session, const Seed& seed, Swarm::Sink report) : session_(session), seed_(seed), report_(std::move(report)) {}
  /// Puts `value` (bencoded, at most 1,000 bytes) under the own key. One with a lower `seq` than what the DHT has is not taken by it.
  void publish(const std::string& salt, const Bytes& value, std::int64_t seq);
  void find(const NodeKey& key, const std::string& salt);
  /// True when the alert was one of ours.
  bool on_alert(const lt::alert& alert);

 private:
  lt::session& session_;
  Seed seed_;
  Swarm::Sink report_;
};

}  // namespace tnode
