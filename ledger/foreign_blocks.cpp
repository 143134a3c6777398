// Blocks of others that concern this node, and what proves that their author cheats. Nothing here signs.
#include <limits>

#include "ledger/store_impl.h"

namespace tnode {
namespace {

constexpr Micro any_line = std::numeric_limits<Micro>::max();  // whose line counts is the farmer's policy, not the chain's

}  // namespace

/// Compares with the neighbours and relatives that are here; most blocks of a foreign chain concern others and are not.
Result<std::optional<Store::Impl::Clash>> Store::Impl::clash_of(const Block& block) const {
  const auto seq = static_cast<std::int64_t>(block.seq);
  auto at = [&](std::int64_t place) {
    auto row = database->prepare("SELECT bytes FROM foreign_blocks WHERE key = ? AND seq = ?");
    return first_of(row.blob(block.key.view()).number(place));
  };
  auto with_id = [&](const BlockId& id) {
    auto row = database->prepare("SELECT bytes FROM foreign_blocks WHERE id = ?");
    return first_of(row.blob(id.view()));
  };
  auto same_place = at(seq);
  if (!same_place) return same_place.error();
  if (*same_place) return std::optional(Clash{block_id(**same_place), "signed two blocks with seq " + std::to_string(seq)});

  // Neighbours: `after` names `before` by hash, and adds up with it when its HOLD is known (only two of the types need one).
  auto follows = [&](const Block& before, const Block& after) -> Result<void> {
    Micro held = 0;
    if (after.type == BlockType::debit || after.type == BlockType::release) {
      auto hold = with_id(after.link);
      if (!hold) return hold.error();
      if (!*hold) return after.prev == block_id(before) ? Result<void>() : fail(Code::invalid, "prev is not the block before it");
      held = (*hold)->amount;
    }
    return check_next_block(&before, after, held, any_line);
  };
  auto before = at(seq - 1), after = at(seq + 1);
  if (!before) return before.error();
  if (!after) return after.error();
  if (*before)
    if (auto good = follows(**before, block); !good) return std::optional(Clash{block_id(**before), "signed a chain that does not add up: " + good.error().message});
  if (*after)
    if (auto good = follows(block, **after); !good) return std::optional(Clash{block_id(**after), "signed a chain that does not add up: " + good.error().message});

  if (block.type == BlockType::hold || block.type == BlockType::debit) {
    const bool debit = block.type == BlockType::debit;
    auto row = database->prepare("SELECT bytes FROM foreign_blocks WHERE key = ? AND ref = ? AND type = ?");
    auto twin = first_of(row.blob(block.key.view()).blob(block.ref.view()).number(static_cast<std::int64_t>(block.type)));
    if (!twin) return twin.error();
    if (*twin) return std::optional(Clash{block_id(**twin), debit ? "signed two DEBITs for one award" : "signed two HOLDs for one award"});
  }
  if (block.type == BlockType::credit) {
    auto row = database->prepare("SELECT bytes FROM foreign_blocks WHERE link = ? AND key = ? AND type = 5");
    auto twin = first_of(row.blob(block.link.view()).blob(block.key.view()));
    if (!twin) return twin.error();
    if (*twin) return std::optional(Clash{block_id(**twin), "signed two CREDITs on one DEBIT"});
  }
  return std::optional<Clash>();
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
  if (!*clash) {
    if (auto kept = insert_foreign(block); !kept) return kept.error();
    return true;
  }
  // Both are kept: the pair proves it to anyone.
  if (auto kept = insert_fraud(block, (*clash)->first, (*clash)->rule); !kept) return kept.error();
  return fail(Code::invalid, "node " + short_hex(block.key) + " " + (*clash)->rule + "; both blocks are kept as proof");
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
    if (!*debit || (*debit)->type != BlockType::debit || (*debit)->counterparty != block.key || (*debit)->amount != block.amount || (*debit)->ref != block.ref)
      return fail(Code::invalid, "the CREDIT does not fit a DEBIT of ours");
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

Result<void> Store::Impl::insert_foreign(const Block& block) {
  auto insert = database->prepare("INSERT INTO foreign_blocks (key, seq, id, type, ref, link, amount, bytes, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const Bytes bytes = encode_block(block);
  insert.blob(block.key.view()).number(static_cast<std::int64_t>(block.seq)).blob(block_id(block).view()).number(static_cast<std::int64_t>(block.type)).blob(block.ref.view());
  insert.blob(block.link.view()).number(block.amount).blob(bytes).blob(sha256(bytes).view());
  if (insert.step() != SQLITE_DONE) return broke("keep a block");
  return {};
}

Result<void> Store::Impl::insert_fraud(const Block& block, const BlockId& first, const std::string& rule) {
  auto insert = database->prepare("INSERT INTO frauds (id, key, first, rule, bytes, sum) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING");
  const Bytes bytes = encode_block(block);
  insert.blob(block_id(block).view()).blob(block.key.view()).blob(first.view()).blob(rule).blob(bytes).blob(sha256(bytes).view());
  if (insert.step() != SQLITE_DONE) return broke("keep a proof");
  return {};
}

std::vector<Store::Fraud> Store::frauds() const {
  std::vector<Fraud> all;
  auto row = impl_->database->prepare("SELECT s.rule, s.bytes, f.bytes FROM frauds s JOIN foreign_blocks f ON f.id = s.first ORDER BY s.id");
  while (row.row()) all.push_back({std::string(row.blob_at(0)), block_of_row(row.blob_at(2)), block_of_row(row.blob_at(1))});
  return all;
}

}  // namespace tnode
