// What the `ledger` commands share: the store for reading, a block as people and programs see it.
#pragma once
#include <memory>

#include "cli/output.h"
#include "ledger/store.h"

namespace tnode {

/// The store of the home that was asked for, and whose it is.
struct OpenLedger { NodeKey own; std::unique_ptr<Store> store; };
Result<OpenLedger> open_ledger(const GlobalOptions& global);

/// All own blocks, oldest first, a page at a time.
void scan_own(const Store& store, const std::function<void(const Block&)>& each);

/// The task that a block is for, when this node knows it.
std::optional<TaskId> task_of(const Store& store, const Block& block);

/// What this node's records prove of another key; with `wait` above zero also what the swarm has of it.
int audit_stranger(const GlobalOptions& global, const NodeKey& key, const std::string& wait);

/// A proof as people and programs see it.
std::string fraud_text(const Fraud& fraud);
Json fraud_json(const Fraud& fraud);

/// In local time.
std::string time_text(TimeMs time_ms);

/// 64 hex digits, or `invalid`.
Result<NodeKey> parse_node_key(const std::string& text);

}  // namespace tnode
