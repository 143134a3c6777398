// A store that may be behind its own chain: what it may not do, what it takes in, and how it is trusted again.
#include <algorithm>
#include <utility>

#include "ledger/store_impl.h"

namespace tnode {

Store::Doubt Store::doubt() const { return impl_->doubt; }
void Store::distrust() { if (impl_->doubt == Doubt::none) impl_->doubt = Doubt::told; }

void Store::Impl::note_last_seen() const {
  if (doubt == Doubt::none && head) write_last_seen(options.path, {head->seq + 1, block_id(*head), identity_of(options.path)});
}

Result<void> Store::trust(TimeMs now) {
  const Doubt before = std::exchange(impl_->doubt, Doubt::none);
  Result<void> done;
  if (impl_->head) {
    impl_->note_last_seen();
  } else {
    done = begin();
    if (done) done = impl_->begin_chain(now);
    if (done) done = commit();
    rollback();  // of what failed
  }
  if (!done) impl_->doubt = before;
  return done;
}

std::vector<Block> Store::blocks_for(const NodeKey& key, std::uint64_t from, std::size_t limit) const {
  std::vector<Block> own, all;
  auto row = impl_->database->prepare("SELECT bytes FROM foreign_blocks WHERE key = ? AND seq >= ? ORDER BY seq LIMIT ?");
  row.blob(key.view()).number(static_cast<std::int64_t>(from)).number(static_cast<std::int64_t>(limit));
  while (row.row()) own.push_back(block_of_row(row.blob_at(0)));
  for (const Block& block : own) {
    const bool debit = block.type == BlockType::debit;
    std::optional<Block> half;
    if (block.type == BlockType::credit) half = find_block(block.link);
    for (const char* sql : {"SELECT bytes FROM own WHERE link = ? AND type = 5", "SELECT bytes FROM foreign_blocks WHERE link = ? AND type = 5"}) {
      auto credit = impl_->database->prepare(sql);
      credit.blob(block_id(block).view());
      while (debit && !half && credit.row())
        if (Block other = block_of_row(credit.blob_at(0)); halves_fit(block, other)) half = std::move(other);
    }
    if (all.size() + 1 + half.has_value() > limit) break;
    all.push_back(block);
    if (half) all.push_back(std::move(*half));
  }
  return all;
}

Result<void> Store::check_agrees(const ChainReport& chain) const {
  const std::uint64_t here = impl_->head ? impl_->head->seq + 1 : 0, common = std::min<std::uint64_t>(here, chain.own.size());
  if (common == 0) return {};
  // Each block names the one before it: where the last of the common ones are the same, all are.
  auto row = impl_->database->prepare("SELECT bytes FROM own WHERE seq = ?");
  auto ours = impl_->first_of(row.number(static_cast<std::int64_t>(common) - 1));
  if (!ours) return ours.error();
  if (*ours && block_id(**ours) == block_id(chain.own[common - 1])) return {};
  return fail(Code::exists, "this key's chain parts in two at or before block " + std::to_string(common - 1) + ": one block stands here, another there, both signed by it; whoever has both can prove it, and refuses the key");
}

Result<std::uint64_t> Store::take_own(const ChainReport& chain) {
  if (auto good = impl_->may_write(); !good) return good.error();
  check(impl_->doubt != Doubt::none, "a chain is taken in while nothing is signed");
  if (chain.key() != impl_->options.key) return fail(Code::invalid, "it is the chain of another key, " + to_hex(chain.key()));
  if (auto agrees = check_agrees(chain); !agrees) return agrees.error();
  const std::uint64_t here = impl_->head ? impl_->head->seq + 1 : 0, common = std::min<std::uint64_t>(here, chain.own.size());
  if (common == chain.own.size()) return std::uint64_t{0};
  if (here == 0) impl_->options.line_micro = chain.chain.line_micro();
  // A receipt that convicts its author is none, and not needed; the DEBIT behind a CREDIT is looked for below.
  for (const Block& half : chain.others)
    if (auto kept = impl_->keep(half); !kept && kept.error().code != Code::invalid) return kept.error();
  for (std::size_t at = common; at < chain.own.size(); ++at) {
    const Block& block = chain.own[at];
    if (block.type == BlockType::credit) {
      auto row = impl_->database->prepare("SELECT bytes FROM foreign_blocks WHERE id = ? AND type = 4");
      auto debit = impl_->first_of(row.blob(block.link.view()));
      if (!debit) return debit.error();
      if (!*debit) return fail(Code::not_found, "the DEBIT behind CREDIT block " + std::to_string(block.seq) + " is missing");
    }
    if (auto inserted = impl_->insert_own(block); !inserted) return inserted.error();
  }
  return static_cast<std::uint64_t>(chain.own.size() - common);
}

}  // namespace tnode
