#include "cli/chain_publisher.h"

#include <filesystem>

#include "cli/node.h"
#include "core/chain.h"

namespace tnode {
namespace {

Bytes segment_key(std::uint64_t first) { return std::to_string(first / segment_blocks); }

BundleAt at(const Torrent& torrent) { return {torrent.v2_hash, torrent.v1_hash}; }

}  // namespace

ChainPublisher::ChainPublisher(Node& node) : node_(node) {
  // Sealed segments of earlier runs are served again; what is not sealed is bundled anew.
  for (; auto record = node_.store().get(segment_bucket, segment_key(bundled_)); bundled_ += segment_blocks) {
    auto bundle = record->size() == 52 ? find_bundle(node_.home().segment_dir(*Hash::from_bytes(record->substr(0, 32)))) : Result<StoredBundle>(fail(Code::not_found, ""));
    if (!bundle) break;  // made again, with the same name and content but for halves that came since
    node_.offer(*bundle, Node::Twin::no);
  }
  if (bundled_ > 0 && node_.store().blocks() == bundled_) head_ = PublishedHead{node_.store().history(bundled_ - 1, 1).front(), segment_before(bundled_)};
  // The head that the DHT has names what was made last.
  if (auto record = node_.store().get(segment_bucket, open_segment); record && record->size() == 32)
    if (auto bundle = find_bundle(node_.home().segment_dir(*Hash::from_bytes(*record)))) serve_open(0, *bundle);
  node_.later(0, [this] { look(); });
}

BundleAt ChainPublisher::segment_before(std::uint64_t first) const {
  BundleAt before;
  if (first == 0) return before;
  auto record = node_.store().get(segment_bucket, segment_key(first - segment_blocks));
  if (!record || record->size() != 52) return before;
  before.v2 = *Hash::from_bytes(record->substr(0, 32));
  for (std::size_t i = 0; i < 20; ++i) before.v1[i] = static_cast<std::uint8_t>((*record)[32 + i]);
  return before;
}

void ChainPublisher::look() {
  advance();
  node_.later(publish_every_ms, [this] { look(); });
}

bool ChainPublisher::putting() const { return said_ms_ != 0 && node_.now() < said_ms_ + put_wait_ms && published_ < bundled_; }

void ChainPublisher::advance() {
  if (busy_ || node_.store().doubt() != Store::Doubt::none) return;  // in doubt: what is here may not be all
  const std::uint64_t blocks = node_.store().blocks(), first = bundled_ / segment_blocks * segment_blocks;
  // A DHT takes a new head in seconds at best: until then only whole segments are bundled.
  if (blocks > bundled_ && (!putting() || blocks >= first + segment_blocks)) bundle(first);
  else if (head_ && !putting() && (published_ < bundled_ || node_.now() >= published_ms_ + republish_ms)) say_head();
}

void ChainPublisher::bundle(std::uint64_t first) {
  const auto blocks = node_.store().history(first, segment_blocks);
  Bytes chain, halves;
  for (const Block& block : blocks) {
    chain += encode_block(block);
    if (auto half = node_.store().half_of(block)) halves += encode_block(*half);
  }
  busy_ = true;
  node_.work([this, home = node_.home(), first, last = blocks.back(), manifest = SegmentManifest{node_.key().key(), first, segment_before(first)}, chain, halves]() -> std::function<void()> {
    auto bundle = keep_segment(home, manifest, chain, halves);
    return [this, first, last, bundle] { kept(first, last, bundle); };
  });
}

void ChainPublisher::kept(std::uint64_t first, const Block& last, const Result<StoredBundle>& bundle) {
  busy_ = false;
  if (!bundle) return;  // a full disk: tried again at the next look
  bundled_ = last.seq + 1;
  const BundleAt made = at(bundle->torrent);
  head_ = PublishedHead{last, made};
  if (ends_segment(last.seq)) {
    node_.offer(*bundle, Node::Twin::no);
    node_.carry(Save{segment_bucket, segment_key(first), Bytes(made.v2.view()) + Bytes(reinterpret_cast<const char*>(made.v1.data()), made.v1.size())});
    return advance();
  }
  serve_open(bundled_, *bundle);
  node_.carry(Save{segment_bucket, open_segment, Bytes(made.v2.view())});
  if (open_.size() > most_open_bundles) let_open_go(open_[1].blocks);
  if (!putting()) say_head();
}

void ChainPublisher::serve_open(std::uint64_t blocks, const StoredBundle& bundle) {
  std::erase_if(open_, [&](const OpenBundle& each) { return each.bundle.torrent.v2_hash == bundle.torrent.v2_hash; });
  open_.push_back({blocks, bundle});
  node_.offer(bundle, Node::Twin::no);
}

/// Bundles of the open segment that end before so many blocks.
void ChainPublisher::let_open_go(std::uint64_t before) {
  std::erase_if(open_, [&](const OpenBundle& each) {
    if (each.blocks >= before) return false;
    node_.swarm().remove(each.bundle.torrent.v2_hash);
    std::error_code ec;
    std::filesystem::remove_all(each.bundle.parent_dir, ec);
    return true;
  });
}

void ChainPublisher::say_head() {
  said_ms_ = node_.now();
  node_.after_commit([this, head = *head_] { node_.swarm().publish_item(head_salt, encode_published_head(head), static_cast<std::int64_t>(head.block.seq) + 1); });
}

void ChainPublisher::heard(const ItemPublished& event) {
  if (event.salt != head_salt) return;
  if (event.nodes == 0) {  // the DHT is not reached yet: again at the next look
    said_ms_ = 0;
    return;
  }
  published_ = static_cast<std::uint64_t>(event.seq);
  published_ms_ = node_.now();
  node_.later(open_bundle_kept_ms, [this, before = published_] { let_open_go(before); });
}

}  // namespace tnode
