#include "core/chain.h"

#include <algorithm>

namespace tnode {
namespace {

/// A hash, so that no payer can choose a ref or a DEBIT that is taken for another one.
ChainUse use_of(BlockType type, const Hash& id, const NodeKey& payer = {}) {
  const Hash hash = domain_hash("chain-use", std::string(block_word(type)) + '\0' + std::string(id.view()) + std::string(payer.view()));
  ChainUse use;
  std::copy_n(hash.bytes.begin(), use.size(), use.begin());
  return use;
}
ChainUse use_of_hold(const Hash& ref) { return use_of(BlockType::hold, ref); }
ChainUse use_of_debit(const BlockId& debit) { return use_of(BlockType::debit, rename_id<Hash>(debit)); }
ChainUse use_of_credit(const Block& credit) { return use_of(BlockType::credit, credit.ref, credit.counterparty); }

std::string_view view_of(const ChainUse& use) { return {reinterpret_cast<const char*>(use.data()), use.size()}; }

/// Where `use` stands in the sorted ones, or would stand; looked for from a place on.
std::size_t place_in(const Bytes& sorted, const ChainUse& use, std::size_t from) {
  std::size_t low = from / use.size(), high = sorted.size() / use.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (sorted.compare(middle * use.size(), use.size(), view_of(use)) < 0) low = middle + 1;
    else high = middle;
  }
  return low * use.size();
}

}  // namespace

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
      auto hold = state_.open.find(block.ref);
      if (hold == state_.open.end()) return broken(was_used(use_of_hold(block.ref)) ? "its hold was ended before" : "it ends a hold that is not open");
      if (hold->second.id != block.link) return broken("it links to another block than the hold of its award");
      if (hold->second.payee != block.counterparty) return broken("its counterparty is not the hold's");
      held = hold->second.amount;
      break;
    }
    case BlockType::hold:
      if (was_used(use_of_hold(block.ref))) return broken("it holds twice for one award");
      break;
    case BlockType::credit:
      if (was_used(use_of_debit(block.link))) return broken("its DEBIT was credited before");
      if (was_used(use_of_credit(block))) return broken("its award was credited before");
      break;
    case BlockType::checkpoint:
      if (block.evidence != open_holds_digest(state_.open)) return broken("its evidence is not the digest of the open holds");
      break;
    case BlockType::genesis: break;
  }
  return check_next_block(state_.head ? &*state_.head : nullptr, block, held, state_.line_micro);
}

Result<void> Chain::add(const Block& block) {
  if (auto good = check(block); !good) return good;
  switch (block.type) {
    case BlockType::genesis: state_.line_micro = block.amount; break;
    case BlockType::hold:
      state_.open[block.ref] = {block_id(block), block.counterparty, block.amount, block.expiry_ms};
      used_.insert(use_of_hold(block.ref));
      break;
    case BlockType::debit:
    case BlockType::release: state_.open.erase(block.ref); break;
    case BlockType::credit:
      used_.insert(use_of_debit(block.link));
      used_.insert(use_of_credit(block));
      break;
    case BlockType::checkpoint: break;
  }
  state_.head = block;
  return {};
}

bool Chain::was_used(const ChainUse& use) const {
  const std::size_t at = place_in(state_.used, use, 0);
  return used_.count(use) || state_.used.compare(at, use.size(), view_of(use)) == 0;
}

ChainState Chain::state() const {
  ChainState now{state_.head, state_.line_micro, state_.open, {}};
  now.used.reserve(state_.used.size() + used_.size() * sizeof(ChainUse));
  std::size_t at = 0;
  // What lies between two new ones is copied in one piece.
  for (const ChainUse& use : used_) {
    const std::size_t place = place_in(state_.used, use, at);
    now.used.append(state_.used, at, place - at);
    now.used.append(view_of(use));
    at = place;
  }
  now.used.append(state_.used, at, Bytes::npos);
  return now;
}

}  // namespace tnode
