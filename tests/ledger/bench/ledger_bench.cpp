// What scripts/bench/ledger.py measures: blocks signed and stored in groups of one transaction, and a chain verified from its bytes beside
// the same machine's bare Ed25519 verifications. One line of numbers each; no judgement.
//
//   ledger_bench store FOLDER GROUP BLOCKS     blocks signed, stored and synced: a second, and a second of CPU time
//   ledger_bench verify BLOCKS                 verifications a second of CPU time: bare, then of the chain
//   ledger_bench audit FOLDER BLOCKS NEW       seconds of CPU time to audit a published chain whose last NEW blocks are not known yet, and to
//                                              audit all of it
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
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

/// Wall time, and this process's own CPU time: on a machine that others use too, the second says what the code costs.
struct Watch {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::clock_t cpu_begin = std::clock();
  double wall() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
  double cpu() const { return static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC; }
};

Hash ref_of(int award) { return sha256("award " + std::to_string(award)); }

int store(const std::string& folder, int group, int blocks) {
  Store::Options options;
  options.path = folder + "/bench.db";
  options.key = payer().key();
  options.signer = &payer();
  auto opened = Store::open(options, 1);
  if (!opened) return 1;
  Store& ledger = **opened;
  const Watch watch;
  const std::uint64_t first = ledger.balance().blocks;
  for (int award = 0; ledger.balance().blocks - first < static_cast<std::uint64_t>(blocks);) {
    if (!ledger.begin()) return 1;
    for (int i = 0; i < group / 2; ++i, ++award)
      if (!ledger.hold(payee().key(), ref_of(award), {}, 1, 9, 2) || !ledger.debit(ref_of(award), {}, 0, 3)) return 1;
    if (!ledger.commit()) return 1;
  }
  const auto written = static_cast<double>(ledger.balance().blocks - first);
  std::printf("%.0f %.0f\n", written / watch.wall(), written / watch.cpu());
  return 0;
}

/// The payee's half, wherever it stands in the payee's chain.
Block receipt_for(const Block& debit) {
  Block block;
  block.type = BlockType::credit;
  block.key = payee().key();
  block.counterparty = debit.key;
  block.seq = debit.seq;
  block.ref = debit.ref;
  block.link = block_id(debit);
  block.amount = debit.amount;
  sign_block(block, payee());
  return block;
}

/// A chain of HOLDs and DEBITs with CHECKPOINTs where they belong; a receipt for each DEBIT, where somebody wants them by segment.
Bytes chain_of(int blocks, std::vector<Bytes>* receipts = nullptr) {
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
    if (!receipts) return;
    receipts->resize(block.seq / segment_blocks + 1);
    if (type == BlockType::debit) receipts->back() += encode_block(receipt_for(block));
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
  const Watch bare_watch;
  for (std::size_t at = 0; at < file.size(); at += block_bytes) {
    Signature signature;
    std::memcpy(signature.data(), file.data() + at + block_body_bytes, signature.size());
    if (!verify(payer().key(), "block", std::string_view(file).substr(at, block_body_bytes), signature)) return 1;
  }
  const double bare = count / bare_watch.cpu();
  const Watch watch;
  if (!verify_chain_file(file)) return 1;
  std::printf("%.0f %.0f\n", bare, count / watch.cpu());
  return 0;
}

Bytes content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes{std::istreambuf_iterator<char>(file), {}};
}
void write(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// Segments as files, as they come from the swarm. An auditor has the summary of the last one that was sealed when it looked before, and
/// verifies from there on: the rest of that segment is linked up to the mark, what is behind it is verified.
int audit(const std::string& folder, int blocks, int fresh) {
  std::vector<Bytes> receipts;
  const Bytes file = chain_of(blocks, &receipts);
  const std::size_t count = file.size() / block_bytes, known = count - static_cast<std::size_t>(fresh), sealed = known / segment_blocks;
  for (std::size_t segment = 0; segment < receipts.size(); ++segment) {
    write(folder + "/blocks-" + std::to_string(segment), std::string_view(file).substr(segment * segment_blocks * block_bytes, segment_blocks * block_bytes));
    write(folder + "/halves-" + std::to_string(segment), receipts[segment]);
  }
  auto add = [&](ChainVerifier& verifier, std::size_t segment, const std::optional<VerifiedMark>& mark) {
    const std::string name = std::to_string(segment);
    return verifier.add(content_of(folder + "/blocks-" + name), content_of(folder + "/halves-" + name), mark).ok();
  };
  const Watch all_watch;
  ChainVerifier before;
  for (std::size_t segment = 0; segment < receipts.size(); ++segment) {
    if (segment == sealed) write(folder + "/summary", encode_chain_summary(before.summary()));
    if (!add(before, segment, {})) return 1;
  }
  const double all = all_watch.cpu();
  auto last = decode_block(std::string_view(file).substr((known - 1) * block_bytes, block_bytes));
  const VerifiedMark mark{last->seq, block_id(*last)};

  const Watch watch;
  auto summary = decode_chain_summary(content_of(folder + "/summary"));
  if (!summary) return 1;
  ChainVerifier verifier(std::move(*summary));
  for (std::size_t segment = sealed; segment < receipts.size(); ++segment) {
    if (segment + 1 == receipts.size()) write(folder + "/summary.next", encode_chain_summary(verifier.summary()));
    if (!add(verifier, segment, mark)) return 1;
  }
  if (verifier.blocks() != count) return 1;
  std::printf("%.4f %.4f\n", watch.cpu(), all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "store") == 0) return store(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  if (argc == 3 && std::strcmp(argv[1], "verify") == 0) return verify_chain(std::atoi(argv[2]));
  if (argc == 5 && std::strcmp(argv[1], "audit") == 0) return audit(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  return 2;
}
