#include "cli/chain_segments.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "cli/bundle_disk.h"
#include "cli/home.h"
#include "core/chain.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs stall_ms = 20'000;

class Search : public std::enable_shared_from_this<Search> {
 public:
  Search(const Home& home, SegmentSearch search, FetchPort fetch, std::function<Result<void>(ChainSegment)> each, std::function<void(Result<void>)> end)
      : home_(home), search_(std::move(search)), fetch_(std::move(fetch)), each_(std::move(each)), end_(std::move(end)), at_(search_.newest), behind_(search_.behind) {}

  void next() {
    if (behind_ == 0) return end_({});
    const std::string dir = home_.segment_dir(at_.v2);
    if (auto there = find_bundle(dir)) return take({{}, *there, {}, {}, false, 0});
    std::error_code ec;
    fs::create_directories(dir, ec);
    begin_with_older(dir);
    FetchTorrent request;
    request.v2_hash = at_.v2;
    request.v1_hash = at_.v1;
    request.parent_dir = dir;
    request.holders = search_.holders;
    request.peers = search_.peers;
    request.max_bytes = max_segment_bytes;
    request.stall_ms = stall_ms;
    fetch_(std::move(request), [self = shared_from_this(), dir](const FetchDone* done, const std::string& problem) { self->fetched(dir, done, problem); });
  }

 private:
  /// An open segment's bundle has another info-hash whenever it grows, but the same name and the same beginning: what is here of it is put in
  /// place, libtorrent checks it and fetches the rest.
  void begin_with_older(const std::string& dir) {
    auto older = search_.grown_from.is_zero() ? Result<StoredBundle>(fail(Code::not_found, "")) : find_bundle(home_.segment_dir(search_.grown_from));
    auto text = older ? read_file(older->dir() + "/manifest") : Result<Bytes>(older.error());
    auto manifest = text ? decode_segment_manifest(*text) : Result<SegmentManifest>(text.error());
    if (!manifest || manifest->first != (behind_ - 1) / segment_blocks * segment_blocks) return;
    std::error_code ignored;
    fs::copy(older->dir(), dir + "/" + older->torrent.name, fs::copy_options::recursive | fs::copy_options::overwrite_existing, ignored);
  }

  void fetched(const std::string& dir, const FetchDone* done, const std::string& problem) {
    if (!done) {
      // Nobody has it perhaps: nothing is left of the attempt.
      std::error_code ignored;
      if (!find_bundle(dir)) fs::remove_all(dir, ignored);
      return end_(fail(Code::timeout, "a bundle of its blocks cannot be fetched: " + problem));
    }
    auto kept = keep_bundle(done->torrent, dir);
    if (!kept) return end_(kept.error());
    take({{}, *kept, {}, {}, true, done->received_bytes});
  }

  void take(ChainSegment segment) {
    const auto wrong = [this] { end_(fail(Code::invalid, "a bundle of its blocks is not the one that belongs there")); };
    auto text = read_file(segment.bundle.dir() + "/manifest"), blocks = read_file(segment.bundle.dir() + "/" + segment_blocks_file);
    if (!text || !blocks) return wrong();
    auto manifest = decode_segment_manifest(*text);
    if (!manifest || manifest->key != search_.key || manifest->first >= behind_ || blocks->size() != (behind_ - manifest->first) * block_bytes) return wrong();
    segment.manifest = *manifest;
    segment.blocks = std::move(*blocks);
    if (auto halves = read_file(segment.bundle.dir() + "/" + segment_halves_file)) segment.halves = std::move(*halves);
    const std::uint64_t first = manifest->first;
    const BundleAt previous = manifest->previous;
    if (auto good = each_(std::move(segment)); !good) return end_(good.error());
    if (first <= search_.enough_at) return end_({});
    at_ = previous;
    behind_ = first;
    next();
  }

  Home home_;
  SegmentSearch search_;
  FetchPort fetch_;
  std::function<Result<void>(ChainSegment)> each_;
  std::function<void(Result<void>)> end_;
  BundleAt at_;
  std::uint64_t behind_;
};

}  // namespace

void get_segments(const Home& home, SegmentSearch search, FetchPort fetch, std::function<Result<void>(ChainSegment)> each, std::function<void(Result<void>)> end) {
  std::make_shared<Search>(home, std::move(search), std::move(fetch), std::move(each), std::move(end))->next();
}

}  // namespace tnode
