// Random operations on three stores that pay each other, compared with a naive model one by one: right ones, repeats, contradictions,
// forgeries, in transactions that are committed, taken back, or cut off by a restart. Status 3 at the first disagreement, with its seed.
//
//   ledger_properties [--operations N] [--seed N]
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "ledger/store.h"
#include "tests/ledger/crashes/faulty_disk.h"
#include "tests/ledger/properties/naive_ledger.h"

using namespace tnode;
using namespace tnode::properties;

namespace {

constexpr int workers = 2;
constexpr int nodes = 3;
constexpr int refs = 60;              // few, so that most operations meet something that is there
constexpr int operations_a_world = 600;
constexpr Micro line = 1000;

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void demand(bool holds, const std::string& law) {
  if (!holds) throw Violation(law);
}

const KeyPair& key_of(int who) {
  static const KeyPair keys[nodes] = {KeyPair::from_seed({1}), KeyPair::from_seed({2}), KeyPair::from_seed({3})};
  return keys[who];
}

/// Refs of each node are its own.
Hash ref_of(int who, int ref) {
  static std::map<std::pair<int, int>, Hash> known;
  auto& hash = known[{who, ref}];
  if (hash.is_zero()) hash = sha256(std::to_string(who) + "/" + std::to_string(ref));
  return hash;
}

Answer answer_of(const Result<Block>& result, bool fresh) {
  if (result) return fresh ? Answer::done : Answer::repeated;
  switch (result.error().code) {
    case Code::credit: return Answer::credit;
    case Code::exists: return Answer::exists;
    case Code::not_found: return Answer::not_found;
    case Code::invalid: return Answer::invalid;
    case Code::io:
    case Code::unavailable:
    case Code::timeout:
    case Code::newer:
    case Code::refused: break;
  }
  throw Violation("an unexpected refusal: " + result.error().message);
}

/// A block that was committed, and which deal of whom it belongs to.
struct Known { int author, ref; Block block; };

struct Node {
  Node(const std::string& folder, int who) : number(who), path(folder + "/" + std::to_string(who)), disk(std::make_unique<crashes::FaultyDisk>(path, crashes::Image{})), model(who, line) { open(); }
  void open() {
    Store::Options options;
    options.path = path;
    options.key = key_of(number).key();
    options.signer = &key_of(number);
    options.line_micro = line;
    auto opened = Store::open(options, 1);
    demand(opened.ok(), "a store opens: " + (opened ? "" : opened.error().message));
    store = std::move(*opened);
  }
  void compare() const {
    const Balance real = store->balance();
    demand(real.balance_micro == model.balance && real.held_micro == model.held, "node " + std::to_string(number) + ": balance " + std::to_string(real.balance_micro) + ", held " + std::to_string(real.held_micro) +
           "; should be " + std::to_string(model.balance) + ", " + std::to_string(model.held));
  }
  void begin() {
    if (in_transaction) return;
    demand(store->begin().ok(), "a transaction begins");
    in_transaction = true;
    model_before.emplace(model);
    records_before = records;
  }
  void take_back() {
    if (!in_transaction) return;
    in_transaction = false;
    model = *model_before;
    records = records_before;
    uncommitted.clear();
  }

  int number;
  std::string path;
  std::unique_ptr<crashes::FaultyDisk> disk;
  std::unique_ptr<Store> store;
  NaiveLedger model;
  std::optional<NaiveLedger> model_before;
  std::map<Bytes, Bytes> records, records_before;
  std::vector<Known> uncommitted;
  bool in_transaction = false;
};

class World {
 public:
  World(const std::string& folder, std::uint64_t seed) : dice_(seed) {
    for (int who = 0; who < nodes; ++who) nodes_.push_back(std::make_unique<Node>(folder, who));
  }

  void operate() {
    Node& node = *nodes_[draw(nodes)];
    node.begin();
    switch (draw(20)) {
      case 0: case 1: case 2: case 3: return own(node, BlockType::hold);
      case 4: case 5: case 6: return own(node, BlockType::debit);
      case 7: case 8: return own(node, BlockType::release);
      case 9: return pay(node);
      case 10: case 11: case 12: return credit(node);
      case 13: case 14: return keep(node);
      case 15: return record(node);
      case 16: case 17: return commit(node);
      case 18: return draw(3) ? node.compare() : roll_back(node);
      default: return draw(10) ? node.compare() : restart(node);
    }
  }

  /// Everything is settled: what was paid is taken, and then nothing is missing.
  void finish() {
    for (auto& node : nodes_) node->begin(), commit(*node);
    for (const Known& known : std::vector<Known>(known_)) {
      if (known.block.type != BlockType::debit) continue;
      for (auto& node : nodes_)
        if (known.block.counterparty == key_of(node->number).key()) node->begin(), credit(*node, known), commit(*node);
    }
    Micro sum = 0;
    for (auto& node : nodes_) {
      restart(*node);
      sum += node->store->balance().balance_micro;
      demand(node->store->balance().unclaimed_micro == 0, "nothing is left to be claimed");
      demand(node->store->frauds().empty(), "honest nodes look honest");
    }
    demand(sum == 0, "balances add up to " + std::to_string(sum));
  }

 private:
  int draw(int bound) { return static_cast<int>(dice_() % static_cast<std::uint64_t>(bound)); }
  Micro amount() { return draw(30) == 0 ? line + draw(5) : draw(100) - 2; }

  void own(Node& node, BlockType type) {
    const int ref = draw(refs), payee = draw(nodes);
    const Micro sum = amount();
    const std::uint64_t blocks = node.store->balance().blocks;
    Result<Block> real = fail(Code::invalid, "");
    Answer expected = Answer::invalid;
    const Hash name = ref_of(node.number, ref);
    if (type == BlockType::hold) real = node.store->hold(key_of(payee).key(), name, {}, sum, 9, 1), expected = node.model.hold(payee, ref, sum);
    else if (type == BlockType::debit) real = node.store->debit(name, {}, sum, 1), expected = node.model.debit(ref, sum);
    else real = node.store->release(name, {}, 1), expected = node.model.release(ref);
    settle(node, ref, real, expected, blocks, block_word(type));
  }

  void pay(Node& node) {
    const int ref = draw(refs), payee = draw(nodes);
    const Micro sum = amount();
    const std::uint64_t blocks = node.store->balance().blocks;
    const auto real = node.store->pay(key_of(payee).key(), ref_of(node.number, ref), sum, 1);
    settle(node, ref, real, node.model.pay(payee, ref, sum), blocks, "pay");
  }

  void settle(Node& node, int ref, const Result<Block>& real, Answer expected, std::uint64_t blocks_before, std::string_view what) {
    const bool fresh = node.store->balance().blocks != blocks_before;
    const Answer got = answer_of(real, fresh);
    demand(got == expected, std::string(what) + ": answer " + std::to_string(static_cast<int>(got)) + ", should be " + std::to_string(static_cast<int>(expected)) + (real ? "" : ": " + real.error().message));
    node.compare();
    if (!fresh) return;
    for (const Block& block : node.store->history(blocks_before, 10)) node.uncommitted.push_back({node.number, ref, block});
  }

  Known any_known() { return known_[static_cast<std::size_t>(draw(static_cast<int>(known_.size())))]; }

  void credit(Node& node) {
    if (!known_.empty()) credit(node, any_known());
  }
  void credit(Node& node, Known known) {
    const bool forged = draw(12) == 0;
    Answer expected = Answer::invalid;
    const bool ours = known.block.type == BlockType::debit && known.block.counterparty == key_of(node.number).key();
    if (forged) known.block.amount += 1;
    if (ours && !forged) expected = node.model.credit(known.author, known.ref, known.block.amount);
    const std::uint64_t blocks = node.store->balance().blocks;
    settle(node, known.ref, node.store->credit(known.block, 1), expected, blocks, "credit");
    if (forged && ours) credit(node, known_by_id(known));
  }
  /// What was forged, as it was: it must be taken after the forgery too.
  Known known_by_id(const Known& forged) {
    for (const Known& known : known_)
      if (known.author == forged.author && known.block.seq == forged.block.seq) return known;
    throw Violation("a block that was known is gone");
  }

  void keep(Node& node) {
    if (known_.empty()) return;
    const Known known = any_known();
    const bool ours = known.block.counterparty == key_of(node.number).key();
    const auto kept = node.store->keep_foreign(known.block);
    demand(kept.ok() == ours, "keep_foreign: " + (kept ? "kept what concerns others" : kept.error().message));
    node.compare();
  }

  void record(Node& node) {
    const Bytes name = std::to_string(draw(10)), value = std::to_string(dice_());
    if (draw(3) == 0) {
      demand(node.store->erase("r", name).ok(), "a record is erased");
      node.records.erase(name);
    } else {
      demand(node.store->put("r", name, value).ok(), "a record is written");
      node.records[name] = value;
    }
    std::map<Bytes, Bytes> found;
    node.store->scan("r", [&](std::string_view key, std::string_view content) { found[Bytes(key)] = Bytes(content); });
    demand(found == node.records, "records are those that were written");
  }

  void commit(Node& node) {
    demand(node.store->commit().ok(), "a transaction is committed");
    node.in_transaction = false;
    for (auto& known : node.uncommitted) known_.push_back(std::move(known));
    node.uncommitted.clear();
    conserve();
  }
  void roll_back(Node& node) {
    node.store->rollback();
    node.take_back();
    node.compare();
  }
  void restart(Node& node) {
    node.store.reset();
    node.take_back();
    node.open();
    node.compare();
  }

  /// Over what is durable: all balances, and what was paid and is not claimed yet, add up to nothing.
  void conserve() const {
    Micro sum = 0;
    auto durable = [](const Node& node) -> const NaiveLedger& { return node.in_transaction ? *node.model_before : node.model; };
    for (const auto& payer : nodes_) {
      sum += durable(*payer).balance;
      durable(*payer).each_paid([&](int ref, int payee, Micro paid) { sum += durable(*nodes_[static_cast<std::size_t>(payee)]).credited(payer->number, ref) ? 0 : paid; });
    }
    demand(sum == 0, "balances and unclaimed payments add up to " + std::to_string(sum));
  }

  std::mt19937_64 dice_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Known> known_;
};

int work(int worker, long operations, std::uint64_t seed) {
  std::string folder = (std::filesystem::temp_directory_path() / "tnode-properties-XXXXXX").string();
  check(mkdtemp(folder.data()) != nullptr, "a temporary folder");  // for the stores' lock files
  int status = 0;
  std::uint64_t world_seed = seed * 1'000'003 + static_cast<std::uint64_t>(worker) * 500'000'009;
  for (long done = 0; done < operations && status == 0; done += operations_a_world, ++world_seed) try {
      World world(folder, world_seed);
      for (int i = 0; i < operations_a_world; ++i) world.operate();
      world.finish();
    } catch (const Violation& violation) {
      std::printf("violation in the world of seed %llu: %s\n", static_cast<unsigned long long>(world_seed), violation.what());
      std::fflush(stdout);
      status = 3;
    }
  std::error_code ec;
  std::filesystem::remove_all(folder, ec);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  long operations = 100'000;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--operations") == 0) operations = std::atol(argv[i + 1]);
    else if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    else return 2;
  }
  std::vector<pid_t> children;
  for (int worker = 0; worker < workers; ++worker) {
    const pid_t child = fork();
    if (child == 0) _exit(work(worker, (operations + workers - 1) / workers, seed));
    children.push_back(child);
  }
  int worst = 0;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  if (worst == 0) std::printf("%ld random operations in worlds of %d nodes, seed %llu: store and model agree, nothing lost or doubled\n", operations, nodes, static_cast<unsigned long long>(seed));
  return worst;
}
