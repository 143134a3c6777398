#include "cli/chain_audit.h"

#include <utility>

#include "cli/bundle_disk.h"
#include "cli/credit_terms.h"

namespace tnode {
namespace {

constexpr TimeMs ask_again_ms = 1'000;    // a search in a DHT that is not reached yet finds nothing: asked again
constexpr TimeMs settle_ms = 1'500;       // after the first head was found: others may know a newer one; silent DHT nodes are not waited for

/// What a chain that does not hold proves of its author: only blocks with a right signature count.
std::optional<Fraud> fraud_in(std::string_view file, const NodeKey& key) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; at + block_bytes <= file.size(); at += block_bytes)
    if (auto block = decode_block(file.substr(at, block_bytes)); block && block->key == key && check_block_shape(*block) && verify_block(*block)) blocks.push_back(*block);
  return find_fraud(blocks);
}

/// Up to where a chain was verified, beside its bundles.
std::string mark_path(const Home& home, const NodeKey& key) { return home.dir() + "/chains/" + to_hex(key) + ".verified"; }

std::optional<VerifiedMark> mark_of(const Home& home, const NodeKey& key) {
  auto text = read_file(mark_path(home, key));
  if (!text) return std::nullopt;
  const auto space = text->find(' ');
  auto id = space == Bytes::npos ? Result<Bytes>(fail(Code::invalid, "")) : from_hex(std::string_view(*text).substr(space + 1));
  if (!id || id->size() != 32) return std::nullopt;
  return VerifiedMark{std::strtoull(text->c_str(), nullptr, 10), *BlockId::from_bytes(*id)};
}

struct Verified { Result<ChainReport> report; std::optional<Fraud> fraud; };

Verified verified(const Home& home, const PublishedHead& head, const std::vector<std::pair<Bytes, Bytes>>& parts) {
  const NodeKey& key = head.block.key;
  Bytes file;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) file += part->first;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) file += part->second;
  auto report = verify_chain_file(file, mark_of(home, key));
  if (!report) return {report.error(), fraud_in(file, key)};
  const Block& last = *report->chain.head();
  if (block_id(last) != block_id(head.block)) return {fail(Code::invalid, "its bundles end with another block than its head"), find_fraud({last, head.block})};
  if (auto kept = write_file_atomically(mark_path(home, key), std::to_string(last.seq) + " " + to_hex(block_id(last))); !kept) return {kept.error(), {}};
  if (auto kept = keep_vouches(home, *report); !kept) return {kept.error(), {}};
  return {std::move(report), {}};
}

}  // namespace

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
  SegmentSearch search{request_.key, newest_->newest, newest_->block.seq + 1, 0, request_.holders, request_.peers};
  auto self = shared_from_this();
  get_segments(home_, std::move(search), ports_.fetch, [self](ChainSegment segment) { return self->take(std::move(segment)); },
               [self](const Result<void>& done) { done ? self->verify() : self->finish(done.error()); });
}

Result<void> ChainAudit::take(ChainSegment segment) {
  if (++chain_.bundles > request_.most_bundles) return fail(Code::refused, "it has more than " + std::to_string(request_.most_bundles) + " bundles");
  chain_.fetched += segment.fetched;
  chain_.received_bytes += segment.received_bytes;
  if (segment.replaces) chain_.replaced.push_back(*segment.replaces);
  parts_.emplace_back(std::move(segment.blocks), std::move(segment.halves));
  return {};
}

void ChainAudit::verify() {
  ports_.work([self = shared_from_this(), head = chain_.head, parts = std::move(parts_), home = home_]() -> std::function<void()> {
    auto outcome = std::make_shared<Verified>(verified(home, head, parts));
    return [self, outcome] {
      if (!outcome->report) return self->finish(outcome->report.error(), outcome->fraud);
      self->chain_.report = std::move(*outcome->report);
      self->finish(std::move(self->chain_));
    };
  });
}

void ChainAudit::finish(Result<AuditedChain> chain, std::optional<Fraud> fraud) {
  if (auto end = std::exchange(end_, nullptr)) end(std::move(chain), std::move(fraud));
}

std::optional<Fraud> contradiction_with_store(const Store& store, const ChainReport& report) {
  std::optional<Fraud> fraud;
  store.scan_foreign(report.key(), [&](const Block& ours) {
    if (fraud || ours.seq >= report.own.size()) return;
    const std::vector<Block> pair{report.own[ours.seq], ours};
    if (block_id(pair[0]) == block_id(ours)) return;
    if (auto rule = contradiction_of(pair)) fraud = Fraud{report.key(), *rule, pair};
  });
  return fraud;
}

}  // namespace tnode
