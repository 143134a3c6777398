#include "tests/sim/sim_ledger.h"

#include <algorithm>
#include <set>

#include "core/amount.h"
#include "tests/sim/violation.h"

namespace tnode::sim {

// --- the model ---

ModelLedger::ModelLedger(const KeyPair& key, Micro line, TimeMs now, bool forgets_refs) : key_(key), line_(line), forgets_refs_(forgets_refs) {
  Block genesis;
  genesis.type = BlockType::genesis;
  genesis.amount = line;
  genesis.time_ms = now;
  genesis.key = key.key();
  sign_block(genesis, key);
  state_.chain.push_back(genesis);
}

void ModelLedger::crash() {
  if (before_) state_ = std::move(*before_);
  before_.reset();
}

const Block* ModelLedger::find(BlockType type, const Hash& ref) const {
  for (auto it = state_.chain.rbegin(); it != state_.chain.rend(); ++it)
    if (it->type == type && it->ref == ref) return &*it;
  return nullptr;
}

Result<Block> ModelLedger::append(Block block, Micro hold_amount, TimeMs now) {
  const Block& head = state_.chain.back();
  block.key = key_.key();
  block.seq = head.seq + 1;
  block.prev = block_id(head);
  block.time_ms = std::max(now, head.time_ms);
  block.balance = head.balance + (block.type == BlockType::credit ? block.amount : block.type == BlockType::debit ? -block.amount : 0);
  block.held = head.held + (block.type == BlockType::hold ? block.amount : -hold_amount);
  if (auto good = check_next_block(&head, block, hold_amount, line_); !good) return good.error();
  sign_block(block, key_);
  state_.chain.push_back(block);
  return block;
}

Result<Block> ModelLedger::hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) {
  if (const Block* there = find(BlockType::hold, ref)) {
    if (there->counterparty != payee || there->amount != amount) return fail(Code::exists, "");
    return *there;
  }
  const Block& head = state_.chain.back();
  if (head.balance - head.held - amount < -line_) return fail(Code::credit, "not enough credit");
  Block block;
  block.type = BlockType::hold;
  block.counterparty = payee;
  block.ref = ref;
  block.evidence = evidence;
  block.amount = amount;
  block.expiry_ms = expiry_ms;
  return append(block, 0, now);
}

Result<Block> ModelLedger::end(BlockType type, const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) {
  if (const Block* there = find(type, ref)) return *there;
  if (find(BlockType::debit, ref) || find(BlockType::release, ref)) return fail(Code::exists, "");
  const Block* hold = find(BlockType::hold, ref);
  if (!hold) return fail(Code::not_found, "");
  Block block;
  block.type = type;
  block.counterparty = hold->counterparty;
  block.link = block_id(*hold);
  block.ref = ref;
  block.evidence = evidence;
  block.amount = type == BlockType::debit ? amount : hold->amount;
  return append(block, hold->amount, now);
}

Result<Block> ModelLedger::credit_award(const Block& debit, TimeMs now) {
  const auto hold = state_.foreign.find(debit.link);
  if (hold == state_.foreign.end() || hold->second.type != BlockType::hold || hold->second.key != debit.key || hold->second.ref != debit.ref || hold->second.amount < debit.amount) return fail(Code::refused, "");
  const BlockId id = block_id(debit);
  for (const Block& block : state_.chain)
    if (block.type == BlockType::credit && block.link == id && !forgets_refs_) return block;
  if (debit.type != BlockType::debit || debit.counterparty != key_.key()) return fail(Code::invalid, "");
  if (auto kept = keep_foreign(debit); !kept) return kept.error();
  Block block;
  block.type = BlockType::credit;
  block.counterparty = debit.key;
  block.link = id;
  block.ref = debit.ref;
  block.evidence = debit.evidence;
  block.amount = debit.amount;
  return append(block, 0, now);
}

Result<void> ModelLedger::keep_foreign(const Block& block) {
  const BlockId id = block_id(block);
  if (state_.foreign.count(id)) return {};
  if (!verify_block(block) || block.counterparty != key_.key()) return fail(Code::invalid, "");
  if (block.type == BlockType::credit) {
    bool fits = false;
    for (const Block& own : state_.chain) fits = fits || (own.type == BlockType::debit && block_id(own) == block.link && own.counterparty == block.key && own.amount == block.amount && own.ref == block.ref);
    if (!fits) return fail(Code::invalid, "");
  }
  for (const auto& [other_id, other] : state_.foreign)
    // Simulated nodes are liars about results, not about money: a contradiction means that a node lost what it had promised.
    demand(other.key != block.key || other.seq != block.seq, "a node signed two blocks with seq " + std::to_string(block.seq));
  state_.foreign.emplace(id, block);
  return {};
}

Balance ModelLedger::balance() const {
  Balance b;
  const Block& head = state_.chain.back();
  b.balance_micro = head.balance;
  b.held_micro = head.held;
  b.blocks = head.seq + 1;
  b.head = block_id(head);
  b.line_micro = line_;
  auto linked = [](BlockType type, const BlockId& to, const auto& blocks) {
    for (const Block& each : blocks)
      if (each.type == type && each.link == to) return true;
    return false;
  };
  std::vector<Block> foreign;
  for (const auto& [id, block] : state_.foreign) foreign.push_back(block);
  for (const Block& block : state_.chain)
    if (block.type == BlockType::debit && !linked(BlockType::credit, block_id(block), foreign)) b.unclaimed_out_micro += block.amount;
  for (const Block& block : foreign)
    if (block.type == BlockType::debit && !linked(BlockType::credit, block_id(block), state_.chain)) b.unclaimed_micro += block.amount;
  return b;
}

// --- the real store beside it ---

StoreLedger::StoreLedger(const KeyPair& key, Micro line, TimeMs now, std::string path) : model_(key, line, now) {
  options_.path = std::move(path);
  options_.key = key.key();
  options_.signer = &key;
  options_.line_micro = line;
  reopen(now);
}

void StoreLedger::reopen(TimeMs now) {
  auto opened = Store::open(options_, now);
  demand(opened.ok(), "a store that was closed by a crash opens again: " + (opened ? "" : opened.error().message));
  store_ = std::move(*opened);
  compare_all();
}

void StoreLedger::crash() {
  store_.reset();
  model_.crash();
}

void StoreLedger::begin() {
  demand(store_->begin().ok(), "a transaction begins");
  model_.begin();
}

void StoreLedger::commit() {
  demand(store_->commit().ok(), "a transaction is committed");
  model_.commit();
}

namespace {

template <class T>
Result<T> same(Result<T> real, Result<T> model, const char* what) {
  demand(real.ok() == model.ok(), std::string(what) + ": store and model disagree: " + (real ? "done" : real.error().message) + " / " + (model ? "done" : model.error().message));
  if (!real) {
    demand(real.error().code == model.error().code, std::string(what) + ": store and model refuse for different reasons: " + real.error().message);
    return real;
  }
  if constexpr (!std::is_void_v<T>) demand(*real == *model, std::string(what) + ": store and model wrote different blocks");
  return real;
}

}  // namespace

Result<Block> StoreLedger::hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) {
  return same(store_->hold(payee, ref, evidence, amount, expiry_ms, now), model_.hold(payee, ref, evidence, amount, expiry_ms, now), "hold");
}
Result<Block> StoreLedger::debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) {
  return same(store_->debit(ref, evidence, amount, now), model_.debit(ref, evidence, amount, now), "debit");
}
Result<Block> StoreLedger::release(const Hash& ref, const Hash& evidence, TimeMs now) {
  return same(store_->release(ref, evidence, now), model_.release(ref, evidence, now), "release");
}
Result<Block> StoreLedger::credit_award(const Block& debit, TimeMs now) { return same(store_->credit_award(debit, now), model_.credit_award(debit, now), "credit"); }
Result<void> StoreLedger::keep_foreign(const Block& block) { return same(store_->keep_foreign(block), model_.keep_foreign(block), "keep_foreign"); }

void StoreLedger::put(const std::string& bucket, const Bytes& key, const Bytes& value) {
  demand(store_->put(bucket, key, value).ok(), "a record is written");
  model_.put(bucket, key, value);
}
void StoreLedger::erase(const std::string& bucket, const Bytes& key) {
  demand(store_->erase(bucket, key).ok(), "a record is erased");
  model_.erase(bucket, key);
}

void StoreLedger::compare_all() const {
  demand(store_->history(0, 1'000'000) == model_.chain(), "the chain that was reopened is the one that was written");
  const Balance real = store_->balance(), model = model_.balance();
  demand(real.balance_micro == model.balance_micro && real.held_micro == model.held_micro && real.blocks == model.blocks && real.head == model.head &&
             real.unclaimed_micro == model.unclaimed_micro && real.unclaimed_out_micro == model.unclaimed_out_micro,
         "the balances that were reopened are the ones that were written");
  std::set<std::string> buckets;
  std::map<std::pair<std::string, Bytes>, Bytes> found;
  for (const auto& [place, value] : model_.records()) buckets.insert(place.first);
  for (const auto& bucket : buckets)
    store_->scan(bucket, [&](std::string_view key, std::string_view value) { found[{bucket, Bytes(key)}] = Bytes(value); });
  demand(found == model_.records(), "the records that were reopened are the ones that were written");
}

}  // namespace tnode::sim
