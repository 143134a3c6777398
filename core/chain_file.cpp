#include "core/chain_file.h"

#include <functional>

#include "core/amount.h"

namespace tnode {
namespace {

Error broken(const Block& block, const std::string& why) {
  return fail(Code::invalid, std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + " of " + short_hex(block.key) + ": " + why);
}

/// With its sign: what a counterparty is still owed, or owes.
std::map<NodeKey, Micro> owed_signed(const ChainReport& report) {
  std::set<BlockId> receipts;
  for (const Block& block : report.others)
    if (block.type == BlockType::credit) receipts.insert(block.link);
  std::map<NodeKey, Micro> owed = report.owed_before;
  // No sum can overflow: neither all payments of a chain nor all that it earned do.
  for (const Block& block : report.own) {
    if (block.type == BlockType::debit && receipts.count(block_id(block))) owed[block.counterparty] += block.amount;
    if (block.type == BlockType::credit) owed[block.counterparty] -= block.amount;
  }
  return owed;
}

/// Each block of a part; misplaced bytes are told by where they stand.
Result<void> each_block(std::string_view part, const std::function<Result<void>(const Block&)>& each) {
  if (part.size() % block_bytes != 0) return fail(Code::invalid, "blocks have " + std::to_string(block_bytes) + " bytes each; these are " + std::to_string(part.size()));
  for (std::size_t at = 0; at < part.size(); at += block_bytes) {
    auto block = decode_block(part.substr(at, block_bytes));
    if (!block) return fail(Code::invalid, "the block at byte " + std::to_string(at) + ": " + block.error().message);
    if (auto good = each(*block); !good) return good;
  }
  return {};
}

}  // namespace

bool halves_fit(const Block& debit, const Block& credit) {
  return debit.type == BlockType::debit && credit.type == BlockType::credit && credit.link == block_id(debit) && credit.counterparty == debit.key && debit.counterparty == credit.key &&
         credit.ref == debit.ref && credit.amount == debit.amount;
}

ChainVerifier::ChainVerifier(ChainSummary before) {
  static_cast<ChainSums&>(report_) = before.sums;
  report_.unproved_micro = before.sums.earned_micro - before.sums.proved_micro;
  report_.chain = Chain(std::move(before.state));
  report_.first = report_.chain.blocks();
  report_.owed_before = std::move(before.owed);
}

Result<void> ChainVerifier::add_own(const Block& block, const std::optional<VerifiedMark>& mark) {
  ChainReport& r = report_;
  if (r.chain.head() && block.key != r.key()) return broken(block, "it is a block of another chain");
  if (auto good = r.chain.add(block); !good) return good;
  const BlockId id = block_id(block);
  if (mark && block.seq == mark->seq && id != mark->id) return broken(block, "another one stood here when this chain was verified before");
  if (!mark || block.seq > mark->seq) {
    if (!verify_block(block)) return broken(block, "its signature is wrong");
    ++r.signatures;
  }
  const bool credit = block.type == BlockType::credit;
  if (credit || block.type == BlockType::debit) {
    Micro& total = credit ? r.earned_micro : r.paid_micro;
    const auto sum = checked_add(total, block.amount);
    if (!sum) return broken(block, "the sum of all payments is more than can be counted");
    total = *sum;
    ++(credit ? r.credits : r.debits);
    if (credit) r.unproved_micro += block.amount;  // until its DEBIT is seen; never more than all that was earned
    payments_[credit ? block.link : id] = r.own.size();
  }
  r.own.push_back(block);
  return {};
}

Result<void> ChainVerifier::add_half(const Block& block) {
  const bool debit = block.type == BlockType::debit;
  const BlockId id = debit ? block_id(block) : block.link;
  const auto half = payments_.find(id);
  if (half == payments_.end() || !(debit ? halves_fit(block, report_.own[half->second]) : halves_fit(report_.own[half->second], block))) return broken(block, "it is no half of a payment of this chain");
  if (auto good = check_block_shape(block); !good) return good;
  if (!verify_block(block)) return broken(block, "its signature is wrong");
  if (!joined_.insert(id).second) return broken(block, "its payment has its other half already");
  ++(debit ? report_.credits_proved : report_.debits_receipted);
  if (debit) report_.proved_micro += block.amount, report_.unproved_micro -= block.amount;
  report_.others.push_back(block);
  ++report_.signatures;
  return {};
}

Result<void> ChainVerifier::add(std::string_view own, std::string_view halves, const std::optional<VerifiedMark>& mark) {
  if (auto good = each_block(own, [&](const Block& block) { return add_own(block, mark); }); !good) return good;
  return each_block(halves, [&](const Block& block) { return add_half(block); });
}

ChainSummary ChainVerifier::summary() const { return {report_.chain.state(), report_, owed_signed(report_)}; }
ChainReport ChainVerifier::report() && { return std::move(report_); }

std::vector<Block> blocks_in(std::string_view bytes) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; at + block_bytes <= bytes.size(); at += block_bytes)
    if (auto block = decode_block(bytes.substr(at, block_bytes))) blocks.push_back(*block);
  return blocks;
}

std::string_view own_part(std::string_view file) {
  constexpr std::size_t key_at = 24;  // in a block
  const auto key_of = [&](std::size_t at) { return file.substr(at + key_at, 32); };
  std::size_t end = 0;
  while (end + block_bytes <= file.size() && key_of(end) == key_of(0)) end += block_bytes;
  return file.substr(0, end);
}

Result<ChainReport> verify_chain_file(std::string_view file, const std::optional<VerifiedMark>& mark) {
  if (file.empty() || file.size() % block_bytes != 0) return fail(Code::invalid, "a file of blocks has a multiple of " + std::to_string(block_bytes) + " bytes, and at least one block; this one has " + std::to_string(file.size()));
  const std::string_view own = own_part(file);
  ChainVerifier verifier;
  if (auto good = verifier.add(own, file.substr(own.size()), mark); !good) return good.error();
  if (mark && verifier.blocks() <= mark->seq) return fail(Code::invalid, "the chain is shorter than when it was verified before");
  return std::move(verifier).report();
}

std::map<NodeKey, Micro> owed_by(const ChainReport& report) {
  auto owed = owed_signed(report);
  std::erase_if(owed, [](const auto& entry) { return entry.second <= 0; });
  return owed;
}

}  // namespace tnode
