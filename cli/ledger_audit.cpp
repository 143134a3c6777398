// `tnode ledger audit KEY`: a stranger's chain, fetched from the swarm without asking its owner. Finds the published head, fetches the bundles
// that are not here yet, verifies what is new, compares it with this node's own evidence, and looks up a random sample of the other halves.
#include <sys/random.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/credit_terms.h"
#include "cli/home.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/quantities.h"
#include "cli/restored.h"
#include "cli/results.h"
#include "cli/signals.h"
#include "cli/task_record.h"
#include "cli/waiting.h"
#include "core/amount.h"
#include "core/chain_file.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs ask_again_ms = 1'000;    // a search in a DHT that is not reached yet finds nothing: asked again
constexpr TimeMs settle_ms = 1'500;       // after the first head was found: others may know a newer one; silent DHT nodes are not waited for
constexpr std::size_t sample_size = 3;    // counterparties whose chains are looked into
constexpr TimeMs fetch_stall_ms = 20'000;

TimeMs steady_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Bytes content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes{std::istreambuf_iterator<char>(file), {}};
}

/// What a chain that does not hold proves of its author: only blocks with a right signature count.
std::optional<Fraud> fraud_in(std::string_view file, const NodeKey& key) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; at + block_bytes <= file.size(); at += block_bytes)
    if (auto block = decode_block(file.substr(at, block_bytes)); block && block->key == key && check_block_shape(*block) && verify_block(*block)) blocks.push_back(*block);
  return find_fraud(blocks);
}

/// A chain as the swarm has it.
struct FetchedChain {
  PublishedHead head;
  ChainReport report;
  std::uint64_t bundles = 0, fetched = 0;  ///< of all its bundles, those that were not here yet
};

class Auditor {
 public:
  Auditor(const GlobalOptions& global, Home home, TimeMs wait_ms) : global_(global), home_(std::move(home)), wait_ms_(wait_ms) {}
  Result<void> start();
  Result<FetchedChain> fetch(const NodeKey& key);
  void interrupt() { waiting_.interrupt(); }
  /// What the chains that were fetched prove of their keys.
  const std::vector<Fraud>& frauds() const { return frauds_; }

 private:
  Result<PublishedHead> find_head(const NodeKey& key);
  Result<StoredBundle> bundle_at(const BundleAt& at, FetchedChain& chain);
  std::string mark_path(const NodeKey& key) const { return home_.dir() + "/chains/" + to_hex(key) + ".verified"; }
  std::optional<VerifiedMark> mark_of(const NodeKey& key) const;

  GlobalOptions global_;
  Home home_;
  TimeMs wait_ms_;
  std::vector<std::string> peers_;
  Waiting waiting_;
  std::unique_ptr<Swarm> swarm_;
  std::vector<Fraud> frauds_;
};

Result<void> Auditor::start() {
  auto options = swarm_options(global_);
  if (!options) return options.error();
  // A passing client needs no name of its own; the home's key may belong to a node that runs.
  if (getrandom(options->key_seed.data(), options->key_seed.size(), 0) != static_cast<ssize_t>(options->key_seed.size())) return fail(Code::io, "no randomness to be had");
  options->join_board = false;
  peers_ = options->peers;
  auto started = Swarm::start(*options, [this](SwarmEvent event) { waiting_.tell(std::move(event)); });
  if (!started) return started.error();
  swarm_ = std::move(*started);
  return {};
}

Result<PublishedHead> Auditor::find_head(const NodeKey& key) {
  std::optional<PublishedHead> newest;
  TimeMs end = steady_ms() + wait_ms_;
  for (TimeMs now = steady_ms(), ask_at = 0; now < end && !waiting_.interrupted(); now = steady_ms()) {
    if (now >= ask_at) {
      swarm_->find_item(key, head_salt);
      ask_at = now + ask_again_ms;
    }
    auto event = waiting_.next(std::min(ask_at, end) - now);
    auto* found = event ? std::get_if<ItemFound>(&*event) : nullptr;
    if (!found || found->key != key || found->salt != head_salt || found->value.empty()) continue;
    auto head = decode_published_head(key, found->value);
    if (!head) return head.error();
    if (auto fraud = newest ? find_fraud({newest->block, head->block}) : std::nullopt) {
      frauds_.push_back(*fraud);
      return fail(Code::invalid, "its published heads prove that it " + fraud->rule);
    }
    if (!newest) end = std::min(end, now + settle_ms);
    if (!newest || head->block.seq > newest->block.seq) newest = *head;
    if (found->last) return *newest;
  }
  if (newest) return *newest;
  return fail(Code::timeout, "no head is published for it, as far as this node sees the DHT");
}

Result<StoredBundle> Auditor::bundle_at(const BundleAt& at, FetchedChain& chain) {
  ++chain.bundles;
  const std::string dir = home_.segment_dir(at.v2);
  if (auto there = find_bundle(dir)) return there;
  std::error_code ec;
  fs::create_directories(dir, ec);
  FetchTorrent request;
  request.v2_hash = at.v2;
  request.v1_hash = at.v1;
  request.parent_dir = dir;
  request.peers = peers_;
  request.max_bytes = max_segment_bytes;
  request.stall_ms = fetch_stall_ms;
  swarm_->fetch(std::move(request));
  while (!waiting_.interrupted()) {
    auto event = waiting_.next(fetch_stall_ms);
    if (!event) continue;
    if (auto* failed = std::get_if<FetchFailed>(&*event)) return fail(Code::timeout, "a bundle of its blocks cannot be fetched: " + failed->reason);
    auto* done = std::get_if<FetchDone>(&*event);
    if (!done || done->v2_hash != at.v2) continue;
    ++chain.fetched;
    return keep_bundle(done->torrent, dir);
  }
  return fail(Code::refused, "interrupted");
}

std::optional<VerifiedMark> Auditor::mark_of(const NodeKey& key) const {
  const Bytes text = content_of(mark_path(key));
  const auto space = text.find(' ');
  auto id = space == Bytes::npos ? Result<Bytes>(fail(Code::invalid, "")) : from_hex(std::string_view(text).substr(space + 1));
  if (!id || id->size() != 32) return std::nullopt;
  return VerifiedMark{std::strtoull(text.c_str(), nullptr, 10), *BlockId::from_bytes(*id)};
}

Result<FetchedChain> Auditor::fetch(const NodeKey& key) {
  FetchedChain chain;
  auto head = find_head(key);
  if (!head) return head.error();
  chain.head = *head;
  // From the newest bundle back to the first; what is here already is not fetched again.
  std::vector<std::pair<Bytes, Bytes>> parts;
  std::uint64_t behind = head->block.seq + 1;
  for (BundleAt at = head->newest; behind > 0;) {
    auto bundle = bundle_at(at, chain);
    if (!bundle) return bundle.error();
    auto manifest = decode_segment_manifest(content_of(bundle->dir() + "/manifest"));
    if (!manifest) return manifest.error();
    Bytes blocks = content_of(bundle->dir() + "/" + segment_blocks_file);
    if (manifest->key != key || blocks.size() != (behind - manifest->first) * block_bytes) return fail(Code::invalid, "a bundle of its blocks is not the one that belongs there");
    parts.emplace_back(std::move(blocks), content_of(bundle->dir() + "/" + segment_halves_file));
    behind = manifest->first;
    at = manifest->previous;
  }
  Bytes file;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) file += part->first;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) file += part->second;
  auto report = verify_chain_file(file, mark_of(key));
  if (!report) {
    if (auto fraud = fraud_in(file, key)) frauds_.push_back(std::move(*fraud));
    return report.error();
  }
  chain.report = std::move(*report);
  const Block& last = *chain.report.chain.head();
  if (block_id(last) != block_id(head->block)) return fail(Code::invalid, "its bundles end with another block than its head");
  if (auto kept = write_file_atomically(mark_path(key), std::to_string(last.seq) + " " + to_hex(block_id(last))); !kept) return kept.error();
  if (auto kept = keep_vouches(home_, chain.report); !kept) return kept.error();
  return chain;
}

/// What the chains of a few counterparties say of their dealings with it.
struct Sample { std::size_t asked = 0, answered = 0; std::uint64_t found = 0, missing = 0, contradicted = 0; };

Sample look_into_counterparties(Auditor& auditor, const ChainReport& report) {
  std::map<NodeKey, std::vector<const Block*>> dealings;
  for (const Block& block : report.own)
    if (block.type == BlockType::credit || block.type == BlockType::debit) dealings[block.counterparty].push_back(&block);
  std::vector<NodeKey> keys;
  for (const auto& [key, blocks] : dealings) keys.push_back(key);
  std::shuffle(keys.begin(), keys.end(), std::mt19937(std::random_device{}()));
  if (keys.size() > sample_size) keys.resize(sample_size);
  Sample sample;
  for (const NodeKey& key : keys) {
    ++sample.asked;
    auto chain = auditor.fetch(key);
    if (!chain) continue;
    ++sample.answered;
    std::map<BlockId, const Block*> halves;  // by the DEBIT's id
    for (const Block& block : chain->report.own) {
      if (block.type == BlockType::debit) halves[block_id(block)] = &block;
      if (block.type == BlockType::credit) halves[block.link] = &block;
    }
    for (const Block* block : dealings[key]) {
      auto half = halves.find(block->type == BlockType::debit ? block_id(*block) : block->link);
      if (half == halves.end()) ++sample.missing;
      else if (half->second->amount != block->amount || half->second->counterparty != report.key()) ++sample.contradicted;
      else ++sample.found;
    }
  }
  return sample;
}

/// A block that this node got from it by itself and that its public chain does not have at that place.
std::optional<Fraud> contradiction_with_ours(const Store& store, const ChainReport& report) {
  std::optional<Fraud> fraud;
  store.scan_foreign(report.key(), [&](const Block& ours) {
    if (fraud || ours.seq >= report.own.size()) return;
    const std::vector<Block> pair{report.own[ours.seq], ours};
    if (block_id(pair[0]) == block_id(ours)) return;
    if (auto rule = contradiction_of(pair)) fraud = Fraud{report.key(), *rule, pair};
  });
  return fraud;
}

/// The proof stays here, and goes to every node met: by the node that runs with this home, or by the next one.
Result<void> keep_proof(const Home& home, const Fraud& fraud) {
  if (Store::has_writer(home.store_path())) return ask_to_keep_proof(home, fraud);
  std::error_code ec;
  if (!fs::exists(home.store_path(), ec)) return {};  // a passer-by, who deals with nobody
  auto key = home.existing_key();
  if (!key) return key.error();
  auto own = open_own_store(home, *key, wall_clock_ms());
  if (!own) return own.error();
  if (auto begun = own->store->begin(); !begun) return begun;
  for (const Block& block : fraud.blocks)
    if (auto kept = own->store->keep_chain_block(block); !kept && kept.error().code == Code::io) return kept.error();
  return own->store->commit();
}

}  // namespace

std::string fraud_text(const Fraud& fraud) {
  std::string text = "FRAUD     it " + fraud.rule + "; the proof:\n";
  for (const Block& block : fraud.blocks) text += "          " + std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + "  " + to_hex(block_id(block)) + "\n";
  return text;
}

Json fraud_json(const Fraud& fraud) {
  Json blocks = Json::array();
  for (const Block& block : fraud.blocks) blocks.push_back(to_hex(encode_block(block)));
  return Json{{"rule", fraud.rule}, {"blocks", blocks}};
}

int audit_stranger(const GlobalOptions& global, const NodeKey& key, const std::string& wait) {
  auto wait_ms = parse_duration(wait);
  if (!wait_ms) {
    (void)fail_with(wait_ms.error());
    return exit_usage;
  }
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto store = open_store_for_reading(*home);
  if (!store && store.error().code != Code::not_found) return fail_with(store.error());
  Json json{{"key", to_hex(key)}, {"blocks", 0}, {"paid_to_us_micro", 0}, {"received_from_us_micro", 0}, {"forked", false}, {"fraud", nullptr}, {"published", nullptr}};
  std::string text = "key       " + to_hex(key) + "\n";
  std::optional<Fraud> fraud;
  if (store) {
    const auto known = (*store)->known_of(key);
    fraud = (*store)->fraud_of(key);
    json["blocks"] = known.blocks, json["paid_to_us_micro"] = known.paid_to_us_micro, json["received_from_us_micro"] = known.received_from_us_micro;
    text += "blocks    " + std::to_string(known.blocks) + " seen by this node\npaid us   " + format_credits(known.paid_to_us_micro) + " credits\nwe paid   " + format_credits(known.received_from_us_micro) + " credits\n";
  }
  int status = exit_done;
  std::vector<Fraud> frauds;
  if (*wait_ms > 0) {
    Auditor auditor(global, *home, *wait_ms);
    Signals signals;
    signals.on_signal([&](int) { auditor.interrupt(); });
    if (auto started = auditor.start(); !started) return fail_with(started.error());
    auto chain = auditor.fetch(key);
    if (!chain) {
      text += "published  nothing that can be verified: " + chain.error().message + "\n";
      status = chain.error().code == Code::timeout ? exit_timeout : exit_error;
      json["problem"] = chain.error().message;
    } else {
      const ChainReport& r = chain->report;
      const Sample sample = look_into_counterparties(auditor, r);
      const Block& head = *r.chain.head();
      text += "proved    " + std::to_string(r.chain.blocks()) + " blocks, all linked, signed and adding up (" + std::to_string(r.signatures) + " signatures checked now, " + std::to_string(chain->fetched) + " of " + std::to_string(chain->bundles) +
              " bundles fetched)\n          balance " + format_credits(head.balance) + " credits, held " + format_credits(head.held) + ", line " + format_credits(r.chain.line_micro()) + "\n          " + std::to_string(r.credits_proved) + " of " +
              std::to_string(r.credits) + " CREDITs with the payer's DEBIT, " + std::to_string(r.debits_receipted) + " of " + std::to_string(r.debits) + " DEBITs with a receipt\n";
      text += "claimed   " + format_credits(r.unproved_micro) + " credits without the DEBIT behind them\n";
      text += "sample    " + std::to_string(sample.answered) + " of " + std::to_string(sample.asked) + " counterparties publish a chain; there, " + std::to_string(sample.found) + " other halves were found, " + std::to_string(sample.missing) +
              " are missing, " + std::to_string(sample.contradicted) + " say something else\n";
      json["published"] = Json{{"blocks", r.chain.blocks()}, {"head", to_hex(block_id(head))}, {"balance_micro", head.balance}, {"held_micro", head.held}, {"line_micro", r.chain.line_micro()}, {"earned_micro", r.earned_micro},
                               {"paid_micro", r.paid_micro}, {"credits", r.credits}, {"credits_proved", r.credits_proved}, {"debits", r.debits}, {"debits_receipted", r.debits_receipted}, {"unproved_micro", r.unproved_micro},
                               {"signatures", r.signatures}, {"bundles", chain->bundles}, {"bundles_fetched", chain->fetched},
                               {"sample", {{"asked", sample.asked}, {"answered", sample.answered}, {"found", sample.found}, {"missing", sample.missing}, {"contradicted", sample.contradicted}}}};
      if (!fraud && store) fraud = contradiction_with_ours(**store, r);
      if (sample.contradicted) status = exit_error;
    }
    frauds = auditor.frauds();
  }
  if (!fraud && !frauds.empty() && frauds.front().key == key) fraud = frauds.front();
  if (fraud) frauds.push_back(*fraud);
  for (const Fraud& each : frauds)
    if (auto kept = keep_proof(*home, each); !kept) (void)fail_with(kept.error());
  if (fraud) {
    text += fraud_text(*fraud);
    json["fraud"] = fraud_json(*fraud);
    json["forked"] = true;
    status = exit_error;
  }
  Output(global).answer(json, text, to_hex(key));
  return status;
}

}  // namespace tnode
