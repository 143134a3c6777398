// Blocks of others that concern this node, and what proves that their author cheats. Nothing here signs.
#include <utility>

#include "ledger/store_impl.h"

namespace tnode {
/// Compares with the neighbours and relatives that are here; of most foreign chains only a few blocks are. Whichever block of a proof comes last
/// meets the others here.
Result<std::optional<Fraud>> Store::Impl::clash_of(const Block& block) const {
  std::vector<Block> relatives;
  auto relative = [&](const char* condition, auto bind) -> Result<void> {
    auto row = database->prepare(condition);
    bind(row.blob(block.key.view()));
    auto found = first_of(row);
    if (!found) return found.error();
    if (*found && block_id(**found) != block_id(block)) relatives.push_back(**found);
    return {};
  };
  auto at = [&](const char* place, std::uint64_t seq) { return relative(place, [&](Statement& row) { row.number(static_cast<std::int64_t>(seq)); }); };
  constexpr const char* same = "SELECT bytes FROM foreign_blocks WHERE key = ? AND seq = ?";
  Result<void> good = at(same, block.seq);
  // The nearest on either side: what lies between need not be here, but time only runs one way.
  if (good) good = at("SELECT bytes FROM foreign_blocks WHERE key = ? AND seq < ? ORDER BY seq DESC LIMIT 1", block.seq);
  if (good) good = at("SELECT bytes FROM foreign_blocks WHERE key = ? AND seq > ? ORDER BY seq LIMIT 1", block.seq);
  if (good && block.type == BlockType::hold) good = at(same, 0);
  const auto type = static_cast<std::int64_t>(block.type);
  if (good && !block.ref.is_zero())
    good = relative("SELECT bytes FROM foreign_blocks WHERE key = ? AND ref = ? AND type = ?", [&](Statement& row) { row.blob(block.ref.view()).number(type); });
  if (good && !block.link.is_zero()) {
    good = relative("SELECT bytes FROM foreign_blocks WHERE key = ? AND link = ? AND type <> 2", [&](Statement& row) { row.blob(block.link.view()); });
    if (good) good = relative("SELECT bytes FROM foreign_blocks WHERE key = ? AND id = ?", [&](Statement& row) { row.blob(block.link.view()); });
  }
  if (good) good = relative("SELECT bytes FROM foreign_blocks WHERE key = ? AND link = ? AND type <> 5", [&](Statement& row) { row.blob(block_id(block).view()); });
  // A DEBIT's arithmetic is known from three blocks: it, the one before it, and its HOLD.
  for (const Block& near : std::vector<Block>(relatives)) {
    if (near.type != BlockType::debit) continue;
    if (good && near.seq == block.seq + 1) good = relative("SELECT bytes FROM foreign_blocks WHERE key = ? AND id = ?", [&](Statement& row) { row.blob(near.link.view()); });
    if (good && near.link == block_id(block) && near.seq > 0) good = at(same, near.seq - 1);
  }
  auto contradicting = [&](const char* sql, std::string_view id) {
    auto row = database->prepare(sql);
    row.blob(id);
    if (good) good = add_contradicting(block, std::move(row), relatives);
  };
  // Which HOLDs the chain's line forbids is known when its GENESIS comes.
  if (block.type == BlockType::genesis) contradicting("SELECT bytes FROM foreign_blocks WHERE key = ? AND type = 2 ORDER BY seq", block.key.view());
  // A CREDIT and what it answers, whoever wrote that.
  contradicting("SELECT bytes FROM foreign_blocks WHERE link = ? AND type = 5", block_id(block).view());
  if (block.type == BlockType::credit)
    for (const char* sql : {"SELECT bytes FROM own WHERE id = ?", "SELECT bytes FROM foreign_blocks WHERE id = ?"}) contradicting(sql, block.link.view());
  if (!good) return good.error();
  return proof_among(relatives, block);
}

/// The first of those that contradict it: there may be many that do not.
Result<void> Store::Impl::add_contradicting(const Block& block, Statement bound, std::vector<Block>& relatives) const {
  int step;
  while ((step = bound.step()) == SQLITE_ROW) {
    Block other = block_of_row(bound.blob_at(0));
    if (!contradiction_of({other, block})) continue;
    relatives.push_back(std::move(other));
    return {};
  }
  return step == SQLITE_DONE ? Result<void>() : Result<void>(database->problem("look for blocks that contradict one"));
}

/// The part that both ways of keeping share: is it here already, is it signed, does it contradict. True when it is new.
Result<bool> Store::Impl::keep(const Block& block) {
  const BlockId id = block_id(block);
  auto same = database->prepare("SELECT bytes FROM foreign_blocks WHERE id = ?");
  const auto there = first_of(same.blob(id.view()));
  if (!there) return there.error();
  if (*there) return false;
  if (!verify_block(block)) return fail(Code::invalid, "the block's signature is wrong");
  auto clash = clash_of(block);
  if (!clash) return clash.error();
  if (*clash)
    if (auto kept = insert_fraud(**clash); !kept) return kept.error();
  // A payer's DEBIT that convicts its payee is as good as any.
  if (!*clash || (*clash)->key != block.key) {
    if (auto kept = insert_foreign(block); !kept) return kept.error();
    return true;
  }
  return fail(Code::invalid, "node " + short_hex(block.key) + " " + (*clash)->rule + "; the blocks are kept as proof");
}

Result<void> Store::keep_foreign(const Block& block) {
  if (auto good = impl_->may_write(); !good) return good;
  const NodeKey& own = impl_->options.key;
  if (block.key == own) return fail(Code::invalid, "it is a block of this node's own chain");
  if (auto good = check_block_shape(block); !good) return good;
  const bool outgoing = block.type == BlockType::hold || block.type == BlockType::debit || block.type == BlockType::release;
  if (!(outgoing || block.type == BlockType::credit) || block.counterparty != own) return fail(Code::invalid, "the " + std::string(block_word(block.type)) + " block is not made out to this node");
  if (block.type == BlockType::credit) {
    auto row = impl_->database->prepare("SELECT bytes FROM own WHERE id = ?");
    auto debit = impl_->first_of(row.blob(block.link.view()));
    if (!debit) return debit.error();
    if (!*debit) return fail(Code::invalid, "the CREDIT does not fit a DEBIT of ours");
  }
  // A key that was caught may still pay what it owes; new promises of it are worth nothing.
  if (block.type == BlockType::hold) {
    auto caught = impl_->database->prepare("SELECT rule FROM frauds WHERE key = ?");
    if (caught.blob(block.key.view()).row()) return fail(Code::refused, "node " + short_hex(block.key) + " is refused: it " + std::string(caught.blob_at(0)));
  }
  auto kept = impl_->keep(block);
  return kept ? Result<void>() : kept.error();
}

Result<bool> Store::keep_chain_block(const Block& block) {
  if (auto good = impl_->may_write(); !good) return good.error();
  if (block.key == impl_->options.key) return fail(Code::invalid, "it is a block of this node's own chain");
  if (auto good = check_block_shape(block); !good) return good.error();
  return impl_->keep(block);
}

Result<void> Store::keep_proof(const Fraud& fraud) {
  if (auto good = impl_->may_write(); !good) return good;
  for (const Block& block : fraud.blocks) {
    if (find_block(block_id(block))) continue;
    if (block.key == impl_->options.key) return fail(Code::invalid, "it rests on a block of this node's own chain that is not here");
    if (auto kept = impl_->keep(block); !kept && kept.error().code != Code::invalid) return kept.error();
  }
  // Nothing more when the last of them met the others: it is known by now.
  return impl_->insert_fraud(fraud);
}

Result<void> Store::Impl::insert_foreign(const Block& block) {
  auto insert = database->prepare("INSERT INTO foreign_blocks (key, seq, id, type, ref, link, amount, bytes, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const Bytes bytes = encode_block(block);
  insert.blob(block.key.view()).number(static_cast<std::int64_t>(block.seq)).blob(block_id(block).view()).number(static_cast<std::int64_t>(block.type)).blob(block.ref.view());
  insert.blob(block.link.view()).number(block.amount).blob(bytes).blob(sha256(bytes).view());
  if (insert.step() != SQLITE_DONE) return broke("keep a block");
  return {};
}

/// The other blocks of the proof stand in foreign_blocks; `first` is their ids.
Result<void> Store::Impl::insert_fraud(const Fraud& fraud) {
  auto known = database->prepare("SELECT 1 FROM frauds WHERE key = ?");
  if (known.blob(fraud.key.view()).row()) return {};  // one proof is enough
  Bytes others;
  for (std::size_t i = 0; i + 1 < fraud.blocks.size(); ++i) others += block_id(fraud.blocks[i]).view();
  auto insert = database->prepare("INSERT INTO frauds (id, key, first, rule, bytes, sum) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING");
  const Bytes bytes = encode_block(fraud.blocks.back());
  insert.blob(block_id(fraud.blocks.back()).view()).blob(fraud.key.view()).blob(others).blob(fraud.rule).blob(bytes).blob(sha256(bytes).view());
  if (insert.step() != SQLITE_DONE) return broke("keep a proof");
  newly_caught.push_back(fraud.key);
  return {};
}

std::vector<NodeKey> Store::take_newly_caught() { return std::exchange(impl_->newly_caught, {}); }

std::optional<Fraud> Store::fraud_of(const NodeKey& key) const {
  auto row = impl_->database->prepare("SELECT rule, first, bytes FROM frauds WHERE key = ?");
  if (!row.blob(key.view()).row()) return std::nullopt;
  Fraud fraud{key, std::string(row.blob_at(0)), {}};
  const Bytes others(row.blob_at(1));
  const Block last = block_of_row(row.blob_at(2));
  for (std::size_t at = 0; at + 32 <= others.size(); at += 32)
    if (auto block = find_block(*BlockId::from_bytes(std::string_view(others).substr(at, 32)))) fraud.blocks.push_back(*block);
  fraud.blocks.push_back(last);
  return fraud;
}

std::vector<Fraud> Store::frauds() const {
  std::vector<NodeKey> keys;
  auto row = impl_->database->prepare("SELECT DISTINCT key FROM frauds ORDER BY rowid");
  while (row.row()) keys.push_back(*NodeKey::from_bytes(row.blob_at(0)));
  std::vector<Fraud> all;
  for (const NodeKey& key : keys)
    if (auto fraud = fraud_of(key)) all.push_back(std::move(*fraud));
  return all;
}

}  // namespace tnode
