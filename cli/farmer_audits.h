// Audits that a farmer asks for: a few at a time, with the node's swarm; what they prove goes to the node's store and to everyone met.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "cli/chain_audit.h"
#include "core/allowance.h"
#include "core/farmer.h"

namespace tnode {

class Node;

class FarmerAudits {
 public:
  FarmerAudits(Node& node, std::function<void(FarmerEvent)> tell) : node_(node), tell_(std::move(tell)) {}
  void audit(const AuditChain& effect);
  void heard(const ItemFound& item);

 private:
  void begin(const AuditChain& effect);
  void ended(const NodeKey& key, const Result<AuditedChain>& chain, const std::optional<Fraud>& fraud);
  void fetch(FetchTorrent request, std::function<void(const FetchDone*, const std::string&)> end);

  Node& node_;
  std::function<void(FarmerEvent)> tell_;
  std::map<NodeKey, std::shared_ptr<ChainAudit>> running_;
  std::deque<AuditChain> waiting_;
  Allowance bundles_{1'024, 60'000};  // a bundle has at most a megabyte: what strangers' chains may bring, and then one a minute
};

inline constexpr std::size_t audits_at_once = 4;
inline constexpr TimeMs audit_limit_ms = 300'000;
inline constexpr TimeMs audit_head_wait_ms = 20'000;  ///< a node that has just started takes a while to reach the DHT
inline constexpr std::uint64_t audit_most_bundles = 512;  ///< half a million blocks: a longer chain is for its farmer's owner to judge (--line-of)

}  // namespace tnode
