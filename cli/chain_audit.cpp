#include "cli/chain_audit.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "cli/credit_terms.h"
#include "core/chain.h"

namespace tnode {
namespace {

constexpr TimeMs ask_again_ms = 1'000;    // a search in a DHT that is not reached yet finds nothing: asked again
constexpr TimeMs settle_ms = 1'500;       // after the first head was found: others may know a newer one; silent DHT nodes are not waited for

/// What a chain that does not hold, or holds and is another one than before, proves of its author: only blocks with a right signature count.
std::optional<Fraud> fraud_in(const Home& home, const AuditRecord& before, const std::vector<ChainSegment>& parts, const NodeKey& key) {
  std::vector<Block> blocks = verified_before(home, before, {});
  std::set<BlockId> known;
  for (const Block& block : blocks) known.insert(block_id(block));
  for (const ChainSegment& part : parts)
    for (const Block& block : blocks_in(part.blocks))
      if (block.key == key && !known.count(block_id(block)) && check_block_shape(block) && verify_block(block)) {
        known.insert(block_id(block));
        blocks.push_back(block);
      }
  return find_fraud(blocks);
}

/// A block that is here from elsewhere and that the public chain does not have at its place.
std::optional<Fraud> contradiction(const Home& home, const AuditRecord& before, const ChainReport& report, const std::vector<Block>& evidence) {
  std::vector<std::uint64_t> early;
  for (const Block& ours : evidence)
    if (ours.seq < report.first) early.push_back(ours.seq);
  std::map<std::uint64_t, Block> earlier;
  if (!early.empty())
    for (const Block& block : verified_before(home, before, early)) earlier.emplace(block.seq, block);
  for (const Block& ours : evidence) {
    const auto there = earlier.find(ours.seq);
    const Block* published = ours.seq < report.first ? (there == earlier.end() ? nullptr : &there->second) : ours.seq - report.first < report.own.size() ? &report.own[ours.seq - report.first] : nullptr;
    if (!published || block_id(*published) == block_id(ours)) continue;
    if (auto rule = contradiction_of({*published, ours})) return Fraud{report.key(), *rule, {*published, ours}};
  }
  return std::nullopt;
}

struct Verified {
  Result<ChainReport> report;
  std::optional<Fraud> fraud{};
  Hash over{};  ///< a bundle that another one took the place of
};

/// `goes_on`: the parts begin where the summary of `before` ends; else with the chain. Leaves a record for the next audit.
Verified verified(const Home& home, const PublishedHead& head, const AuditRecord& before, bool goes_on, std::vector<ChainSegment> parts, const std::vector<Block>& evidence) {
  const NodeKey& key = head.block.key;
  std::reverse(parts.begin(), parts.end());
  AuditRecord record = before;
  ChainVerifier verifier = goes_on ? ChainVerifier(*before.summary) : ChainVerifier();
  if (!goes_on) record.summary.reset();
  for (const ChainSegment& part : parts) {
    if (part.manifest.first < verifier.blocks()) continue;  // it ends where the summary does
    if (auto good = verifier.add(part.blocks, part.halves, before.mark); !good) return {good.error(), goes_on ? std::nullopt : fraud_in(home, before, parts, key)};
    if (verifier.blocks() % segment_blocks != 0) continue;
    record.summary = verifier.summary();
    record.sealed = part.bundle.torrent.v2_hash;
  }
  ChainReport report = std::move(verifier).report();
  const Block& last = *report.chain.head();
  if (block_id(last) != block_id(head.block)) return {fail(Code::invalid, "its bundles end with another block than its head"), find_fraud({last, head.block})};
  if (auto fraud = contradiction(home, before, report, evidence)) return {fail(Code::invalid, "it contradicts what is here of it"), fraud};
  const Hash newest = parts.back().bundle.torrent.v2_hash;
  if (before.mark && last.seq < before.mark->seq) return {std::move(report), {}, newest == record.sealed || newest == record.open ? Hash{} : newest};  // the DHT showed an older head
  record.mark = VerifiedMark{last.seq, block_id(last)};
  record.open = newest == record.sealed ? Hash{} : newest;
  if (auto kept = write_audit_record(home, key, record); !kept) return {kept.error(), {}};
  if (auto kept = keep_vouches(home, report); !kept) return {kept.error(), {}};
  return {std::move(report), {}, before.open != record.open ? before.open : Hash{}};
}

}  // namespace

ChainAudit::ChainAudit(const Home& home, AuditRequest request, AuditPorts ports, End end)
    : home_(home), request_(std::move(request)), ports_(std::move(ports)), end_(std::move(end)), record_(read_audit_record(home_, request_.key)) {}

std::shared_ptr<ChainAudit> ChainAudit::begin(const Home& home, AuditRequest request, AuditPorts ports, End end) {
  std::shared_ptr<ChainAudit> audit(new ChainAudit(home, std::move(request), std::move(ports), std::move(end)));
  audit->ports_.later(audit->request_.wait_ms, [audit] { audit->take_head(); });
  audit->ask();
  return audit;
}

void ChainAudit::ask() {
  if (!looking_) return;
  ports_.find_head(request_.key);
  ports_.later(ask_again_ms, [self = shared_from_this()] { self->ask(); });
}

void ChainAudit::heard(const ItemFound& item) {
  if (!looking_ || item.key != request_.key || item.salt != head_salt || item.value.empty()) return;
  auto head = decode_published_head(request_.key, item.value);
  if (!head) return;  // another node of the DHT may have a better one
  if (auto fraud = newest_ ? find_fraud({newest_->block, head->block}) : std::nullopt) {
    looking_ = false;
    return finish(fail(Code::invalid, "its published heads prove that it " + fraud->rule), fraud);
  }
  if (!newest_) ports_.later(settle_ms, [self = shared_from_this()] { self->take_head(); });
  if (!newest_ || head->block.seq > newest_->block.seq) newest_ = *head;
  if (item.last) take_head();
}

void ChainAudit::take_head() {
  if (!std::exchange(looking_, false)) return;
  if (!newest_) return finish(fail(Code::timeout, "no head is published for it, as far as this node sees the DHT"));
  chain_.head = *newest_;
  // An older head than was seen before is weighed by itself.
  const std::uint64_t known = request_.whole ? 0 : record_.summed_up();
  get(known <= newest_->block.seq + 1 ? known : 0);
}

/// The bundles from the newest back to the one that holds `enough_at`, which is where the last audit's summary ends, or the chain's beginning.
void ChainAudit::get(std::uint64_t enough_at) {
  parts_.clear();
  SegmentSearch search{request_.key, newest_->newest, newest_->block.seq + 1, enough_at, request_.holders, request_.peers, record_.open};
  auto self = shared_from_this();
  auto each = [self](ChainSegment segment) -> Result<void> {
    if (!self->end_) return fail(Code::refused, "it was given up");
    if (self->parts_.size() >= self->request_.most_bundles) return fail(Code::refused, "it has more than " + std::to_string(self->request_.most_bundles) + " bundles that are not known here");
    self->chain_.fetched += segment.fetched;
    self->chain_.received_bytes += segment.received_bytes;
    self->parts_.push_back(std::move(segment));
    self->chain_.bundles = self->parts_.size();
    return {};
  };
  get_segments(home_, std::move(search), ports_.fetch, each, [self, enough_at](const Result<void>& done) { done ? self->verify(enough_at > 0) : self->finish(done.error()); });
}

void ChainAudit::verify(bool goes_on) {
  ports_.work([self = shared_from_this(), goes_on, parts = std::move(parts_)]() mutable -> std::function<void()> {
    auto outcome = std::make_shared<Verified>(verified(self->home_, self->chain_.head, self->record_, goes_on, std::move(parts), self->request_.evidence));
    return [self, goes_on, outcome] {
      // What does not go on from what was verified before is looked at whole: it may prove a fork.
      if (!outcome->report && !outcome->fraud && goes_on && outcome->report.error().code == Code::invalid) return self->get(0);
      if (!outcome->report) return self->finish(outcome->report.error(), outcome->fraud);
      self->chain_.report = std::move(*outcome->report);
      self->chain_.over = outcome->over;
      std::error_code ignored;
      if (!outcome->over.is_zero()) std::filesystem::remove_all(self->home_.segment_dir(outcome->over), ignored);
      self->finish(std::move(self->chain_));
    };
  });
}

void ChainAudit::give_up(const std::string& why) {
  looking_ = false;
  finish(fail(Code::timeout, why));
}

void ChainAudit::finish(Result<AuditedChain> chain, std::optional<Fraud> fraud) {
  if (auto end = std::exchange(end_, nullptr)) end(std::move(chain), std::move(fraud));
}

}  // namespace tnode
