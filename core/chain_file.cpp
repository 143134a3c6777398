#include "core/chain_file.h"

#include "core/amount.h"

namespace tnode {
namespace {

Error broken(const Block& block, const std::string& why) {
  return fail(Code::invalid, std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + " of " + short_hex(block.key) + ": " + why);
}

Result<void> add_own(ChainReport& report, const Block& block, const std::optional<VerifiedMark>& mark) {
  if (auto good = report.chain.add(block); !good) return good;
  if (mark && block.seq == mark->seq && block_id(block) != mark->id) return broken(block, "another one stood here when this chain was verified before");
  if (!mark || block.seq > mark->seq) {
    if (!verify_block(block)) return broken(block, "its signature is wrong");
    ++report.signatures;
  }
  std::optional<Micro> sum = 0;
  if (block.type == BlockType::credit) {
    ++report.credits;
    sum = checked_add(report.earned_micro, block.amount);
    if (sum) report.earned_micro = *sum;
  } else if (block.type == BlockType::debit) {
    ++report.debits;
    sum = checked_add(report.paid_micro, block.amount);
    if (sum) report.paid_micro = *sum;
  }
  if (!sum) return broken(block, "the sum of all payments is more than can be counted");
  report.own.push_back(block);
  return {};
}

}  // namespace

bool halves_fit(const Block& debit, const Block& credit) {
  return debit.type == BlockType::debit && credit.type == BlockType::credit && credit.link == block_id(debit) && credit.counterparty == debit.key && debit.counterparty == credit.key &&
         credit.ref == debit.ref && credit.amount == debit.amount;
}

Result<ChainReport> verify_chain_file(std::string_view file, const std::optional<VerifiedMark>& mark) {
  if (file.empty() || file.size() % block_bytes != 0) return fail(Code::invalid, "a file of blocks has a multiple of " + std::to_string(block_bytes) + " bytes, and at least one block; this one has " + std::to_string(file.size()));
  ChainReport report;
  std::map<BlockId, std::size_t> payments;  // own DEBITs by their id, own CREDITs by the DEBIT's
  std::set<BlockId> joined;
  for (std::size_t at = 0; at < file.size(); at += block_bytes) {
    auto block = decode_block(file.substr(at, block_bytes));
    if (!block) return fail(Code::invalid, "the block at byte " + std::to_string(at) + ": " + block.error().message);
    if (!report.chain.head() || block->key == report.key()) {
      if (!report.others.empty()) return broken(*block, "a chain's own blocks stand before those of others");
      if (auto good = add_own(report, *block, mark); !good) return good.error();
      if (block->type == BlockType::debit) payments[block_id(*block)] = report.own.size() - 1;
      if (block->type == BlockType::credit) payments[block->link] = report.own.size() - 1;
    } else {
      const bool debit = block->type == BlockType::debit;
      const BlockId id = debit ? block_id(*block) : block->link;
      auto half = payments.find(id);
      if (half == payments.end() || !(debit ? halves_fit(*block, report.own[half->second]) : halves_fit(report.own[half->second], *block))) return broken(*block, "it is no half of a payment of this chain");
      if (auto good = check_block_shape(*block); !good) return good.error();
      if (!verify_block(*block)) return broken(*block, "its signature is wrong");
      if (!joined.insert(id).second) return broken(*block, "its payment has its other half already");
      ++(debit ? report.credits_proved : report.debits_receipted);
      report.others.push_back(*block);
      ++report.signatures;
    }
  }
  if (mark && report.chain.blocks() <= mark->seq) return fail(Code::invalid, "the chain is shorter than when it was verified before");
  for (const auto& [debit, place] : payments)
    if (report.own[place].type == BlockType::credit && !joined.count(debit)) report.unproved_micro += report.own[place].amount;
  return report;
}

std::map<NodeKey, Micro> owed_by(const ChainReport& report) {
  std::set<BlockId> receipts;
  for (const Block& block : report.others)
    if (block.type == BlockType::credit) receipts.insert(block.link);
  std::map<NodeKey, Micro> owed;
  // No sum can overflow: neither all payments of a chain nor all that it earned do.
  for (const Block& block : report.own) {
    if (block.type == BlockType::debit && receipts.count(block_id(block))) owed[block.counterparty] += block.amount;
    if (block.type == BlockType::credit) owed[block.counterparty] -= block.amount;
  }
  std::erase_if(owed, [](const auto& entry) { return entry.second <= 0; });
  return owed;
}

}  // namespace tnode
