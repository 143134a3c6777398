// Ledgers for simulated nodes: a naive model in memory, and the real Store compared with that model call by call.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/block.h"
#include "ledger/store.h"

namespace tnode::sim {

/// What a node asks of its ledger. Everything between begin() and commit() is durable together; crash() loses an open transaction.
class SimLedger {
 public:
  virtual ~SimLedger() = default;
  virtual void begin() = 0;
  virtual void commit() = 0;
  virtual void crash() = 0;
  virtual void reopen(TimeMs now) = 0;
  virtual Result<Block> hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) = 0;
  virtual Result<Block> debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) = 0;
  virtual Result<Block> release(const Hash& ref, const Hash& evidence, TimeMs now) = 0;
  virtual Result<Block> credit_award(const Block& debit_block, TimeMs now) = 0;
  virtual Result<void> keep_foreign(const Block& block) = 0;
  virtual void put(const std::string& bucket, const Bytes& key, const Bytes& value) = 0;
  virtual void erase(const std::string& bucket, const Bytes& key) = 0;
  /// Of the last commit (or the open transaction): for the laws, and for roles that start again.
  virtual const std::vector<Block>& chain() const = 0;
  virtual const std::map<std::pair<std::string, Bytes>, Bytes>& records() const = 0;
};

/// The rules of the ledger as plainly as they can be said: every question is a walk along the chain.
class ModelLedger : public SimLedger {
 public:
  /// `forgets_refs`: the planted bug of a ledger that books the same award again.
  ModelLedger(const KeyPair& key, Micro line, TimeMs now, bool forgets_refs = false);
  void begin() override { before_ = state_; }
  void commit() override { before_.reset(); }
  void crash() override;
  void reopen(TimeMs) override {}
  Result<Block> hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) override;
  Result<Block> debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) override { return end(BlockType::debit, ref, evidence, amount, now); }
  Result<Block> release(const Hash& ref, const Hash& evidence, TimeMs now) override { return end(BlockType::release, ref, evidence, 0, now); }
  Result<Block> credit_award(const Block& debit_block, TimeMs now) override;
  Result<void> keep_foreign(const Block& block) override;
  void put(const std::string& bucket, const Bytes& key, const Bytes& value) override { state_.records[{bucket, key}] = value; }
  void erase(const std::string& bucket, const Bytes& key) override { state_.records.erase({bucket, key}); }
  const std::vector<Block>& chain() const override { return state_.chain; }
  const std::map<std::pair<std::string, Bytes>, Bytes>& records() const override { return state_.records; }
  Balance balance() const;

 private:
  struct State {
    std::vector<Block> chain;
    std::map<BlockId, Block> foreign;
    std::map<std::pair<std::string, Bytes>, Bytes> records;
  };
  const Block* find(BlockType type, const Hash& ref) const;
  Result<Block> end(BlockType type, const Hash& ref, const Hash& evidence, Micro amount, TimeMs now);
  Result<Block> append(Block block, Micro hold_amount, TimeMs now);

  const KeyPair& key_;
  Micro line_;
  bool forgets_refs_;
  State state_;
  std::optional<State> before_;
};

/// The real Store, in a file. Every answer must be the model's, every reopening must find what the model remembers.
class StoreLedger : public SimLedger {
 public:
  StoreLedger(const KeyPair& key, Micro line, TimeMs now, std::string path);
  void begin() override;
  void commit() override;
  void crash() override;
  void reopen(TimeMs now) override;
  Result<Block> hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) override;
  Result<Block> debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) override;
  Result<Block> release(const Hash& ref, const Hash& evidence, TimeMs now) override;
  Result<Block> credit_award(const Block& debit_block, TimeMs now) override;
  Result<void> keep_foreign(const Block& block) override;
  void put(const std::string& bucket, const Bytes& key, const Bytes& value) override;
  void erase(const std::string& bucket, const Bytes& key) override;
  const std::vector<Block>& chain() const override { return model_.chain(); }
  const std::map<std::pair<std::string, Bytes>, Bytes>& records() const override { return model_.records(); }

 private:
  void compare_all() const;
  Store::Options options_;
  ModelLedger model_;
  std::unique_ptr<Store> store_;
};

}  // namespace tnode::sim
