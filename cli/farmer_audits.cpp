#include "cli/farmer_audits.h"

#include <utility>

#include "cli/node.h"
#include "cli/quantities.h"

namespace tnode {
void FarmerAudits::audit(const AuditChain& effect) {
  if (running_.size() < audits_at_once) begin(effect);
  else waiting_.push_back(effect);
}

void FarmerAudits::begin(const AuditChain& effect) {
  AuditRequest request;
  request.key = effect.key;
  request.wait_ms = audit_head_wait_ms;
  request.most_bundles = audit_most_bundles;
  request.holders = {effect.key};
  node_.store().scan_foreign(effect.key, [&](const Block& ours) { request.evidence.push_back(ours); });
  if (!effect.endpoint.empty()) request.peers.push_back(effect.endpoint);
  AuditPorts ports;
  ports.find_head = [this](const NodeKey& key) { node_.swarm().find_item(key, head_salt); };
  ports.fetch = [this](FetchTorrent wanted, auto end) { fetch(std::move(wanted), std::move(end)); };
  ports.later = [this](TimeMs delay_ms, std::function<void()> action) { node_.later(delay_ms, std::move(action)); };
  ports.work = [this](std::function<std::function<void()>()> job) { node_.work(std::move(job)); };
  running_[effect.key] = ChainAudit::begin(node_.home(), std::move(request), std::move(ports), [this, key = effect.key](const Result<AuditedChain>& chain, const std::optional<Fraud>& fraud) { ended(key, chain, fraud); });
  // Who gives a byte now and then keeps nobody else's chain from being looked at.
  node_.later(audit_limit_ms, [running = std::weak_ptr(running_[effect.key])] {
    if (auto audit = running.lock()) audit->give_up("it was not here within " + format_duration(audit_limit_ms));
  });
}

void FarmerAudits::fetch(FetchTorrent request, std::function<void(const FetchDone*, const std::string&)> end) {
  if (!bundles_.take(node_.now())) return end(nullptr, "too many bundles of strangers' chains were fetched lately");
  node_.fetch(std::move(request), std::move(end));
}

void FarmerAudits::heard(const ItemFound& item) {
  if (auto audit = running_.find(item.key); audit != running_.end()) std::shared_ptr(audit->second)->heard(item);
}

void FarmerAudits::ended(const NodeKey& key, const Result<AuditedChain>& chain, const std::optional<Fraud>& fraud) {
  running_.erase(key);
  if (chain && !chain->over.is_zero()) node_.swarm().remove(chain->over);
  if (fraud) node_.take_proof(*fraud);
  if (fraud) tell_(AuditFailed{key, "it " + fraud->rule, true});
  else if (!chain) tell_(AuditFailed{key, chain.error().message, chain.error().code == Code::invalid});
  else tell_(ChainAudited{key, chain->report.chain.blocks(), chain->report.unproved_micro, chain->fetched});
  if (waiting_.empty() || running_.size() >= audits_at_once) return;
  const AuditChain next = waiting_.front();
  waiting_.pop_front();
  begin(next);
}

}  // namespace tnode
