#include "tests/ledger/crashes/traders.h"

#include <unistd.h>

#include "core/chain_recovery.h"

namespace tnode::crashes {
namespace {

constexpr Micro line = 1000;
constexpr int most_steps = 1000;

Hash ref_of(std::size_t deal) { return sha256("deal " + std::to_string(deal)); }
Bytes name_of(std::size_t deal) { return std::to_string(deal); }

Block block_of(const Bytes& bytes) {
  auto block = decode_block(bytes);
  check(block.ok(), "traders send whole blocks");
  return *block;
}

/// A third key, which signed two blocks at one place, and a fourth whose chain is whole.
const std::vector<Block>& forked_blocks() {
  static const std::vector<Block> blocks = [] {
    const KeyPair key = KeyPair::from_seed({3});
    std::vector<Block> made;
    for (Micro amount : {1, 2}) {
      Block hold;
      hold.type = BlockType::hold;
      hold.seq = 4;
      hold.key = key.key();
      hold.counterparty = key_of_trader(0).key();
      hold.ref = sha256("forked");
      hold.amount = hold.held = amount;
      sign_block(hold, key);
      made.push_back(hold);
    }
    return made;
  }();
  return blocks;
}
const std::vector<Block>& strangers_chain() {
  static const std::vector<Block> blocks = [] {
    const KeyPair key = KeyPair::from_seed({4});
    std::vector<Block> made(1);
    made[0].key = key.key();
    made[0].amount = line;
    sign_block(made[0], key);
    for (int i = 0; i < 3; ++i) {
      Block hold;
      hold.type = BlockType::hold;
      hold.key = key.key();
      hold.seq = made.size();
      hold.prev = block_id(made.back());
      hold.counterparty = key_of_trader(0).key();
      hold.ref = sha256("stranger " + std::to_string(i));
      hold.amount = 1;
      hold.held = i + 1;
      sign_block(hold, key);
      made.push_back(hold);
    }
    return made;
  }();
  return blocks;
}

/// An answer of the store: good, or the disk refused (false), or something that may never be.
template <class T>
bool taken(const Result<T>& result) {
  if (result) return true;
  if (result.error().code == Code::io) return false;
  throw Violation("a store refuses what is right: " + result.error().message);
}

}  // namespace

const KeyPair& key_of_trader(int who) {
  static const KeyPair keys[2] = {KeyPair::from_seed({1}), KeyPair::from_seed({2})};
  return keys[who];
}

const std::vector<Deal>& plan() {
  static const std::vector<Deal> deals{{0, DealKind::paid, 5}, {1, DealKind::direct, 3}, {0, DealKind::released, 11}, {0, DealKind::paid, 7}, {1, DealKind::paid, 2}};
  return deals;
}

Traders::Traders(const std::string& folder, const Snapshot& from) : folder_(folder), wire_(from.wire) {
  for (int who : {0, 1}) {
    disks_[who] = std::make_unique<FaultyDisk>(folder + "/" + std::to_string(who), from.images[who]);
    said_[who] = from.said[who];
    published_[who] = from.published[who];
    unlink((folder + "/" + std::to_string(who) + ".last").c_str());  // on a real disk, and of another world
  }
}

bool Traders::open(int who) {
  Store::Options options;
  options.path = folder_ + "/" + std::to_string(who);
  options.key = key_of_trader(who).key();
  options.signer = &key_of_trader(who);
  options.line_micro = line;
  options.key_is_new = published_[who].empty();
  auto store = Store::open(options, 1);
  if (!store && store.error().code == Code::io) return false;
  if (!store) throw Violation("a store is not opened again: " + store.error().message);
  stores_[who] = std::move(*store);
  if (published_[who].empty() || catch_up(who)) return true;
  stores_[who].reset();
  return false;
}

/// In doubt nothing is signed. What others have is put back in one transaction; then it goes on.
bool Traders::catch_up(int who) {
  Store& store = *stores_[who];
  store.distrust();
  if (!taken(store.begin())) return false;
  auto signed_in_doubt = store.hold(key_of_trader(1 - who).key(), sha256("in doubt"), {}, 1, 9, 1);
  store.rollback();
  if (signed_in_doubt) throw Violation("a store in doubt signs");
  if (signed_in_doubt.error().code != Code::unavailable) return taken(signed_in_doubt);
  ChainRecovery recovery(key_of_trader(who), store.export_chain(), std::nullopt);
  for (std::size_t at = 0; at < published_[who].size(); at += block_bytes) recovery.add(block_of(published_[who].substr(at, block_bytes)));
  if (auto longer = recovery.longer_chain())
    if (!taken(store.begin()) || !taken(store.take_own(*longer)) || !taken(store.commit())) {
      store.rollback();
      return false;
    }
  if (recovery.blocks_here() != recovery.blocks_seen()) throw Violation("what was published does not make a chain whole");
  if (!taken(store.trust(5))) return false;
  published_[who].clear();
  return true;
}

Traders::Snapshot Traders::snapshot() const { return {{disks_[0]->files(), disks_[1]->files()}, wire_, {said_[0], said_[1]}, {published_[0], published_[1]}}; }

Traders::Snapshot put_back(Traders& traders, int who, const Image& image) {
  const Bytes published = traders.store(who).export_chain();
  traders.close(who);
  traders.forget_frames_to(who);
  Traders::Snapshot after = traders.snapshot();
  after.images[who] = image;
  after.published[who] = published;
  return after;
}

Traders::Snapshot near_a_checkpoint(const std::string& folder) {
  Traders traders(folder, {});
  check(traders.open(0), "a healthy disk");
  Store& store = traders.store(0);
  check(store.begin().ok(), "a healthy disk");
  // The second HOLD of the story is the block behind the CHECKPOINT.
  for (std::uint64_t award = 0; store.balance().blocks + 5 < segment_blocks; ++award) {
    const Hash ref = sha256("long ago " + std::to_string(award));
    check(store.hold(key_of_trader(1).key(), ref, {}, 1, 9, 1).ok() && store.release(ref, {}, 1).ok(), "a healthy disk");
  }
  check(store.commit().ok(), "a healthy disk");
  traders.close(0);
  return traders.snapshot();
}

void Traders::say(int from, Frame frame) {
  if (!frame.block.empty() && frame.what != "evidence") said_[from].insert(block_id(block_of(frame.block)));
  wire_.push_back(std::move(frame));
}

std::optional<std::size_t> Traders::untouched_deal(int who) const {
  for (std::size_t deal = 0; deal < plan().size(); ++deal)
    if (plan()[deal].payer == who && !stores_[who]->get("deal", name_of(deal))) return deal;
  return std::nullopt;
}

int Traders::next() const {
  if (!wire_.empty()) return wire_.front().to;
  for (int who : {0, 1})
    if (stores_[who] && (untouched_deal(who) || errand_left(who))) return who;
  return -1;
}

/// The first node hears of a cheat, the second imports a chain.
bool Traders::errand_left(int who) const {
  if (who == 0) return !stores_[0]->fraud_of(forked_blocks()[0].key);
  const auto there = static_cast<std::size_t>(stores_[1]->known_of(strangers_chain()[0].key).blocks);
  if (there != 0 && there != strangers_chain().size()) throw Violation("half a chain was imported");
  return there == 0;
}

bool Traders::hear_of_cheat(Store& store) {
  const auto& blocks = forked_blocks();
  if (!store.find_block(block_id(blocks[0]))) return taken(store.keep_chain_block(blocks[0]));
  auto kept = store.keep_chain_block(blocks[1]);
  if (kept) throw Violation("a fork was not noticed");
  if (kept.error().code == Code::io) return false;
  due_.push_back({1, "evidence", 0, encode_block(blocks[0]) + encode_block(blocks[1])});
  return true;
}

bool Traders::import_stranger(Store& store) {
  for (const Block& block : strangers_chain())
    if (!taken(store.keep_chain_block(block))) return false;
  return true;
}

bool Traders::step() {
  const int who = next();
  Store& store = *stores_[who];
  due_.clear();
  if (!store.begin()) return false;
  bool done;
  if (!wire_.empty()) {
    const Frame frame = wire_.front();
    wire_.pop_front();
    done = take(store, who, frame);
  } else if (auto deal = untouched_deal(who)) {
    done = begin_deal(store, who, *deal);
  } else {
    done = who == 0 ? hear_of_cheat(store) : import_stranger(store);
  }
  if (!done || !taken(store.commit())) {
    store.rollback();
    return false;
  }
  for (Frame& frame : due_) say(who, std::move(frame));
  return true;
}

bool Traders::begin_deal(Store& store, int who, std::size_t deal) {
  const Deal& d = plan()[deal];
  const NodeKey& payee = key_of_trader(1 - who).key();
  if (d.kind == DealKind::direct) {
    auto debit = store.pay(payee, ref_of(deal), d.amount, 2);
    if (!taken(debit) || !taken(store.put("deal", name_of(deal), "ended")) || !taken(store.put("unclaimed", name_of(deal), encode_block(*debit)))) return false;
    due_.push_back({1 - who, "debit", deal, encode_block(*debit)});
    return true;
  }
  auto hold = store.hold(payee, ref_of(deal), {}, d.amount, 9, 2);
  if (!taken(hold) || !taken(store.put("deal", name_of(deal), encode_block(*hold)))) return false;
  due_.push_back({1 - who, "hold", deal, encode_block(*hold)});
  return true;
}

bool Traders::take(Store& store, int who, const Frame& frame) {
  const Deal& d = plan()[frame.deal];
  if (frame.what == "evidence") {
    const auto fraud = check_fraud({frame.block.substr(0, block_bytes), frame.block.substr(block_bytes)});
    if (!fraud) throw Violation("a proof that was handed on proves nothing");
    return taken(store.keep_proof(*fraud));
  }
  if (frame.what == "hold") {
    if (!taken(store.keep_foreign(block_of(frame.block)))) return false;
    due_.push_back({1 - who, "accept", frame.deal, {}});
  } else if (frame.what == "accept") {
    if (store.get("deal", name_of(frame.deal)) == "ended") return true;
    auto end = d.kind == DealKind::paid ? store.debit(ref_of(frame.deal), {}, d.amount, 3) : store.release(ref_of(frame.deal), {}, 3);
    if (!taken(end) || !taken(store.put("deal", name_of(frame.deal), "ended"))) return false;
    if (d.kind == DealKind::paid && !taken(store.put("unclaimed", name_of(frame.deal), encode_block(*end)))) return false;
    due_.push_back({1 - who, d.kind == DealKind::paid ? "debit" : "release", frame.deal, encode_block(*end)});
  } else if (frame.what == "debit") {
    auto credit = store.credit(block_of(frame.block), 4);
    if (!taken(credit)) return false;
    due_.push_back({1 - who, "credit", frame.deal, encode_block(*credit)});
  } else {
    if (!taken(store.keep_foreign(block_of(frame.block)))) return false;
    if (frame.what == "credit" && !taken(store.erase("unclaimed", name_of(frame.deal)))) return false;
  }
  return true;
}

void Traders::forget_frames_to(int who) {
  std::erase_if(wire_, [&](const Frame& frame) { return frame.to == who; });
}

void Traders::meet(bool deliver) {
  if (!deliver) wire_.clear();
  for (int who : {0, 1}) {
    stores_[who]->scan("deal", [&](std::string_view deal, std::string_view value) {
      if (value != "ended") say(who, {1 - who, "hold", std::stoul(std::string(deal)), Bytes(value)});
    });
    if (auto fraud = stores_[who]->fraud_of(forked_blocks()[0].key))
      say(who, {1 - who, "evidence", 0, encode_block(fraud->blocks.front()) + encode_block(fraud->blocks.back())});
    stores_[who]->scan("unclaimed", [&](std::string_view deal, std::string_view block) { say(who, {1 - who, "debit", std::stoul(std::string(deal)), Bytes(block)}); });
  }
}

void Traders::run_to_the_end() {
  for (int steps = 0; next() >= 0; ++steps) {
    if (steps == most_steps) throw Violation("two nodes never come to rest");
    if (!step()) throw Violation("a healthy disk refuses");
  }
}

void Traders::judge() {
  Micro sum = 0;
  for (int who : {0, 1}) {
    Store& store = *stores_[who];
    const std::string name = "node " + std::to_string(who);
    const Balance balance = store.balance();
    sum += balance.balance_micro;
    if (balance.unclaimed_micro != 0 || balance.unclaimed_out_micro != 0) throw Violation(name + ": a payment never reached its payee");
    if (balance.held_micro != 0) throw Violation(name + ": something stays held for a deal that is over");
    bool knows_cheat = false;
    for (const auto& fraud : store.frauds()) {
      if (fraud.key != forked_blocks()[0].key) throw Violation(name + " has proof that the other " + fraud.rule);
      knows_cheat = fraud.blocks.size() == 2 && check_fraud({encode_block(fraud.blocks[0]), encode_block(fraud.blocks[1])}).ok();
    }
    if (!knows_cheat) throw Violation(name + " has lost a proof of fraud");
    if (who == 1 && errand_left(who)) throw Violation("an imported chain is gone");
    std::set<BlockId> chain;
    std::map<Hash, Micro> paid;
    std::set<Hash> closed;
    for (const Block& block : store.history(0, 2 * segment_blocks)) {
      chain.insert(block_id(block));
      if (block.type == BlockType::debit) paid[block.ref] += block.amount;
      if ((block.type == BlockType::debit || block.type == BlockType::release) && !closed.insert(block.ref).second) throw Violation(name + " closed one deal twice");
    }
    for (const BlockId& id : said_[who])
      if (!chain.count(id)) throw Violation(name + " has forgotten a block that it sent");
    for (std::size_t deal = 0; deal < plan().size(); ++deal) {
      const Deal& d = plan()[deal];
      if (d.payer != who) continue;
      if (!closed.count(ref_of(deal)) || paid[ref_of(deal)] != (d.kind == DealKind::released ? 0 : d.amount)) throw Violation(name + ": deal " + std::to_string(deal) + " was not paid once");
    }
  }
  if (sum != 0) throw Violation("credits appeared or vanished: balances add up to " + std::to_string(sum));
}

}  // namespace tnode::crashes
