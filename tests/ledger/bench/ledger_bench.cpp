// What scripts/bench/ledger.py measures: blocks signed and stored in groups of one transaction, and a chain verified from its bytes beside
// the same machine's bare Ed25519 verifications. One line of numbers each; no judgement.
//
//   ledger_bench store FOLDER GROUP BLOCKS     blocks a second, signed, stored and synced
//   ledger_bench verify BLOCKS                 verifications a second: bare, then of the chain
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/chain_file.h"
#include "ledger/store.h"

using namespace tnode;

namespace {

const KeyPair& payer() {
  static const KeyPair key = KeyPair::from_seed({1});
  return key;
}
const KeyPair& payee() {
  static const KeyPair key = KeyPair::from_seed({2});
  return key;
}

double seconds_since(std::chrono::steady_clock::time_point begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

Hash ref_of(int award) { return sha256("award " + std::to_string(award)); }

int store(const std::string& folder, int group, int blocks) {
  Store::Options options;
  options.path = folder + "/bench.db";
  options.key = payer().key();
  options.signer = &payer();
  auto opened = Store::open(options, 1);
  if (!opened) return 1;
  Store& ledger = **opened;
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t first = ledger.balance().blocks;
  for (int award = 0; ledger.balance().blocks - first < static_cast<std::uint64_t>(blocks);) {
    if (!ledger.begin()) return 1;
    for (int i = 0; i < group / 2; ++i, ++award)
      if (!ledger.hold(payee().key(), ref_of(award), {}, 1, 9, 2) || !ledger.debit(ref_of(award), {}, 0, 3)) return 1;
    if (!ledger.commit()) return 1;
  }
  const double took = seconds_since(begin);
  std::printf("%.0f\n", static_cast<double>(ledger.balance().blocks - first) / took);
  return 0;
}

/// A chain of HOLDs and DEBITs with CHECKPOINTs where they belong.
Bytes chain_of(int blocks) {
  Chain chain;
  Bytes file;
  auto add = [&](BlockType type, const Hash& ref) {
    Block block;
    block.type = type;
    block.key = payer().key();
    if (const auto& head = chain.head()) {
      block.seq = head->seq + 1;
      block.prev = block_id(*head);
      block.balance = head->balance;
      block.held = head->held;
    }
    if (type == BlockType::genesis) block.amount = 1000 * credit_micro;
    if (type == BlockType::checkpoint) block.evidence = open_holds_digest(chain.open_holds());
    if (type == BlockType::hold || type == BlockType::debit) {
      block.counterparty = payee().key();
      block.ref = ref;
      block.amount = 1;
      block.held += type == BlockType::hold ? 1 : -1;
      if (type == BlockType::debit) block.balance -= 1, block.link = chain.open_holds().at(ref).id;
    }
    sign_block(block, payer());
    check(chain.add(block).ok(), "the bench writes a right chain");
    file += encode_block(block);
  };
  add(BlockType::genesis, {});
  for (int award = 0; chain.blocks() < static_cast<std::uint64_t>(blocks); ++award)
    for (BlockType type : {BlockType::hold, BlockType::debit}) {
      if (ends_segment(chain.blocks())) add(BlockType::checkpoint, {});
      add(type, ref_of(award));
    }
  return file;
}

int verify_chain(int blocks) {
  const Bytes file = chain_of(blocks);
  const auto count = static_cast<double>(file.size() / block_bytes);
  auto begin = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < file.size(); at += block_bytes) {
    Signature signature;
    std::memcpy(signature.data(), file.data() + at + block_body_bytes, signature.size());
    if (!verify(payer().key(), "block", std::string_view(file).substr(at, block_body_bytes), signature)) return 1;
  }
  const double bare = count / seconds_since(begin);
  begin = std::chrono::steady_clock::now();
  if (!verify_chain_file(file)) return 1;
  std::printf("%.0f %.0f\n", bare, count / seconds_since(begin));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "store") == 0) return store(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  if (argc == 3 && std::strcmp(argv[1], "verify") == 0) return verify_chain(std::atoi(argv[2]));
  return 2;
}
