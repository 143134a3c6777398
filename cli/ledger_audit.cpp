// `tnode ledger audit KEY`: a stranger's chain, fetched from the swarm without asking its owner, verified, compared with this node's own
// evidence, and with a random sample of the other halves.
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <random>

#include "cli/chain_audit.h"
#include "cli/commands.h"
#include "cli/control.h"
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

constexpr TimeMs idle_ms = 60'000;
constexpr std::size_t sample_size = 3;    // counterparties whose chains are looked into

TimeMs steady_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Runs audits one after another on a swarm of its own, in the calling thread.
class Auditor {
 public:
  Auditor(const GlobalOptions& global, Home home, TimeMs wait_ms) : global_(global), home_(std::move(home)), wait_ms_(wait_ms) {}
  Result<void> start();
  Result<AuditedChain> fetch(const NodeKey& key, std::vector<Block> evidence, bool whole);
  void interrupt() { waiting_.interrupt(); }
  /// What the chains that were fetched prove of their keys.
  const std::vector<Fraud>& frauds() const { return frauds_; }

 private:
  AuditPorts ports();
  void hear(const SwarmEvent& event, ChainAudit& audit);

  GlobalOptions global_;
  Home home_;
  TimeMs wait_ms_;
  std::vector<std::string> peers_;
  Waiting waiting_;
  std::unique_ptr<Swarm> swarm_;
  std::multimap<TimeMs, std::function<void()>> timers_;
  std::map<Hash, std::function<void(const FetchDone*, const std::string&)>> fetches_;
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

AuditPorts Auditor::ports() {
  AuditPorts ports;
  ports.find_head = [this](const NodeKey& key) { swarm_->find_item(key, head_salt); };
  ports.fetch = [this](FetchTorrent request, auto end) {
    fetches_[request.v2_hash] = std::move(end);
    swarm_->fetch(std::move(request));
  };
  ports.later = [this](TimeMs delay_ms, std::function<void()> action) { timers_.emplace(steady_ms() + delay_ms, std::move(action)); };
  ports.work = [](std::function<std::function<void()>()> job) {
    if (auto then = job()) then();
  };
  return ports;
}

void Auditor::hear(const SwarmEvent& event, ChainAudit& audit) {
  auto end_of = [this](const Hash& id) {
    auto fetch = fetches_.extract(id);
    return fetch ? std::move(fetch.mapped()) : std::function<void(const FetchDone*, const std::string&)>([](auto&&...) {});
  };
  if (auto* found = std::get_if<ItemFound>(&event)) audit.heard(*found);
  if (auto* done = std::get_if<FetchDone>(&event)) end_of(done->v2_hash)(done, {});
  if (auto* failed = std::get_if<FetchFailed>(&event)) end_of(failed->v2_hash)(nullptr, failed->reason);
}

Result<AuditedChain> Auditor::fetch(const NodeKey& key, std::vector<Block> evidence, bool whole) {
  std::optional<Result<AuditedChain>> outcome;
  AuditRequest request;
  request.key = key;
  request.evidence = std::move(evidence);
  request.whole = whole;
  request.wait_ms = wait_ms_;
  request.peers = peers_;
  auto audit = ChainAudit::begin(home_, std::move(request), ports(), [&](Result<AuditedChain> chain, const std::optional<Fraud>& fraud) {
    if (fraud) frauds_.push_back(*fraud);
    outcome = std::move(chain);
  });
  while (!outcome && !waiting_.interrupted()) {
    auto event = waiting_.next(std::max<TimeMs>(1, timers_.begin()->first - steady_ms()));
    if (event) hear(*event, *audit);
    while (!outcome && !timers_.empty() && timers_.begin()->first <= steady_ms()) timers_.extract(timers_.begin()).mapped()();
    if (timers_.empty()) timers_.emplace(steady_ms() + idle_ms, [] {});
  }
  timers_.clear();
  fetches_.clear();
  return outcome ? std::move(*outcome) : fail(Code::refused, "interrupted");
}

/// What the chains of a few counterparties say of their dealings with it.
struct Sample {
  std::size_t asked = 0, answered = 0;
  std::uint64_t found = 0, missing = 0, contradicted = 0;
  std::vector<Fraud> frauds;  ///< by a payee who booked something else than it was paid
};

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
    auto chain = auditor.fetch(key, {}, true);  // where the other half stands in it is not known
    if (!chain) continue;
    ++sample.answered;
    std::map<BlockId, const Block*> halves;  // by the DEBIT's id
    for (const Block& block : chain->report.own) {
      if (block.type == BlockType::debit) halves[block_id(block)] = &block;
      if (block.type == BlockType::credit) halves[block.link] = &block;
    }
    for (const Block* block : dealings[key]) {
      const bool debit = block->type == BlockType::debit;
      auto half = halves.find(debit ? block_id(*block) : block->link);
      if (half == halves.end()) ++sample.missing;
      else if (debit ? halves_fit(*block, *half->second) : halves_fit(*half->second, *block)) ++sample.found;
      else {
        ++sample.contradicted;
        if (auto fraud = find_fraud({*block, *half->second})) sample.frauds.push_back(std::move(*fraud));
      }
    }
  }
  return sample;
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
  if (auto kept = own->store->keep_proof(fraud); !kept) return kept;
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
    std::vector<Block> ours;
    if (store) (*store)->scan_foreign(key, [&](const Block& block) { ours.push_back(block); });
    std::uint64_t seen = 0;
    for (const Block& block : ours) seen = std::max(seen, block.seq + 1);
    auto chain = auditor.fetch(key, std::move(ours), false);
    if (!chain) {
      text += "published  nothing that can be verified: " + chain.error().message + "\n";
      status = chain.error().code == Code::timeout ? exit_timeout : exit_error;
      json["problem"] = chain.error().message;
    } else {
      const ChainReport& r = chain->report;
      const Sample sample = look_into_counterparties(auditor, r);
      const Block& head = *r.chain.head();
      text += "proved    " + std::to_string(r.chain.blocks()) + " blocks, all linked, signed and adding up (" + std::to_string(r.signatures) + " signatures checked now, " + std::to_string(chain->fetched) + " of " + std::to_string(chain->bundles) +
              " bundles fetched, " + format_size(chain->received_bytes) + ")\n          balance " + format_credits(head.balance) + " credits, held " + format_credits(head.held) + ", line " + format_credits(r.chain.line_micro()) + "\n          " + std::to_string(r.credits_proved) + " of " +
              std::to_string(r.credits) + " CREDITs with the payer's DEBIT, " + std::to_string(r.debits_receipted) + " of " + std::to_string(r.debits) + " DEBITs with a receipt\n";
      text += "claimed   " + format_credits(r.unproved_micro) + " credits without the DEBIT behind them\n";
      const std::uint64_t unpublished = seen - std::min(seen, r.chain.blocks());
      if (unpublished > 0) text += "missing   " + std::to_string(unpublished) + " blocks: this node has block " + std::to_string(seen - 1) + " of it, and what is published ends before that; a chain that grows is published within a minute\n";
      text += "sample    " + std::to_string(sample.answered) + " of " + std::to_string(sample.asked) + " counterparties publish a chain; there, " + std::to_string(sample.found) + " other halves were found, " + std::to_string(sample.missing) +
              " are missing, " + std::to_string(sample.contradicted) + " say something else\n";
      json["published"] = Json{{"blocks", r.chain.blocks()}, {"head", to_hex(block_id(head))}, {"balance_micro", head.balance}, {"held_micro", head.held}, {"line_micro", r.chain.line_micro()}, {"earned_micro", r.earned_micro},
                               {"paid_micro", r.paid_micro}, {"credits", r.credits}, {"credits_proved", r.credits_proved}, {"debits", r.debits}, {"debits_receipted", r.debits_receipted}, {"unproved_micro", r.unproved_micro}, {"unpublished", unpublished},
                               {"signatures", r.signatures}, {"bundles", chain->bundles}, {"bundles_fetched", chain->fetched}, {"bytes_fetched", chain->received_bytes},
                               {"sample", {{"asked", sample.asked}, {"answered", sample.answered}, {"found", sample.found}, {"missing", sample.missing}, {"contradicted", sample.contradicted}}}};
      if (sample.contradicted) status = exit_error;
      frauds = sample.frauds;
    }
    frauds.insert(frauds.end(), auditor.frauds().begin(), auditor.frauds().end());
  }
  for (const Fraud& each : frauds)
    if (!fraud && each.key == key) fraud = each;
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
