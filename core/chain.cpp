#include "core/chain.h"

namespace tnode {

Hash open_holds_digest(const OpenHolds& holds) {
  if (holds.empty()) return {};
  Bytes all;
  for (const auto& [ref, hold] : holds) {
    all += ref.view();
    all += hold.id.view();
  }
  return domain_hash("open-holds", all);
}

Result<void> Chain::check(const Block& block) const {
  auto broken = [&](const std::string& rule) {
    return fail(Code::invalid, std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + ": " + rule);
  };
  if (auto good = check_block_shape(block); !good) return good;
  Micro held = 0;
  switch (block.type) {
    case BlockType::debit:
    case BlockType::release: {
      auto hold = open_.find(block.ref);
      if (hold == open_.end()) return broken(ended_.count(block.ref) ? "its hold was ended before" : "it ends a hold that is not open");
      if (hold->second.id != block.link) return broken("it links to another block than the hold of its award");
      if (hold->second.payee != block.counterparty) return broken("its counterparty is not the hold's");
      held = hold->second.amount;
      break;
    }
    case BlockType::hold:
      if (open_.count(block.ref) || ended_.count(block.ref)) return broken("it holds twice for one award");
      break;
    case BlockType::credit:
      if (credited_debits_.count(block.link)) return broken("its DEBIT was credited before");
      if (credited_refs_.count({block.ref, block.counterparty})) return broken("its award was credited before");
      break;
    case BlockType::checkpoint:
      if (block.evidence != open_holds_digest(open_)) return broken("its evidence is not the digest of the open holds");
      break;
    case BlockType::genesis: break;
  }
  return check_next_block(head_ ? &*head_ : nullptr, block, held, line_micro_);
}

Result<void> Chain::add(const Block& block) {
  if (auto good = check(block); !good) return good;
  switch (block.type) {
    case BlockType::genesis: line_micro_ = block.amount; break;
    case BlockType::hold: open_[block.ref] = {block_id(block), block.counterparty, block.amount, block.expiry_ms}; break;
    case BlockType::debit:
    case BlockType::release:
      open_.erase(block.ref);
      ended_.insert(block.ref);
      break;
    case BlockType::credit:
      credited_debits_.insert(block.link);
      credited_refs_.insert({block.ref, block.counterparty});
      break;
    case BlockType::checkpoint: break;
  }
  head_ = block;
  return {};
}

}  // namespace tnode
