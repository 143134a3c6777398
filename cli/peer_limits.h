// What one peer may ask of this node's ledger, and what all may together: each costs signatures, a place in the store, or messages to others.
// A peer's use is remembered after it left, so that coming back buys nothing.
#pragma once
#include <map>

#include "core/allowance.h"

namespace tnode {

class PeerLimits {
 public:
  /// A proof of fraud to look at. Of keys that this node had no dealings with (`stranger`) all peers together bring only so many: whoever
  /// makes keys to convict them fills no store, and no net.
  bool proof(const NodeKey& from, TimeMs now) { return of(from, now).proofs.take(now); }
  bool strangers_proof(TimeMs now) { return strangers_proofs_.take(now); }
  /// A question about the asker's own chain.
  bool ask(const NodeKey& from, TimeMs now) { return of(from, now).asks.take(now); }
  /// A payment outside of an award: it makes our own chain longer.
  bool payment(const NodeKey& from, TimeMs now) { return of(from, now).payments.take(now) && payments_.take(now); }
  /// A message that cannot be read.
  bool nonsense(const NodeKey& from, TimeMs now) { return of(from, now).nonsense.take(now); }

 private:
  struct Limits { Allowance proofs{128, 10'000}, asks{64, 100}, payments{64, 500}, nonsense{64, 1'000}; };
  Limits& of(const NodeKey& peer, TimeMs now) {
    if (peers_.size() >= most_remembered && !peers_.count(peer))
      std::erase_if(peers_, [now](auto& each) { return each.second.proofs.untouched(now) && each.second.asks.untouched(now) && each.second.payments.untouched(now) && each.second.nonsense.untouched(now); });
    if (peers_.size() >= most_remembered && !peers_.count(peer)) peers_.erase(peers_.begin());
    return peers_[peer];
  }

  static constexpr std::size_t most_remembered = 10'000;
  std::map<NodeKey, Limits> peers_;
  Allowance strangers_proofs_{256, 10'000}, payments_{512, 20};
};

}  // namespace tnode
