#include "cli/farmer_runtimes.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "cli/quantities.h"
#include "cli/runtime_store.h"
#include "cli/runtime_unpack.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs fetch_stall_ms = 60'000;
constexpr TimeMs fetch_limit_ms = 3'600'000;    // one that trickles in does not hold its place for ever
constexpr std::size_t max_preparing = 4;        // side by side
constexpr std::size_t max_asked = 30;           // nodes dialled for one runtime, besides those that the DHT names
constexpr std::int64_t tell_every_bytes = 64 << 20;

std::string own_machine() {
  utsname machine{};
  uname(&machine);
  return machine.machine;
}

std::string image_path(const StoredBundle& bundle) { return bundle.dir() + "/" + runtime_image_file; }

}  // namespace

std::string runtime_root(const Home& home, const RuntimeId& id) { return home.runtime_dir(id) + "/" + runtime_root_name; }

FarmerRuntimes::FarmerRuntimes(Node& node, Options options) : node_(node), options_(std::move(options)), offered_(options_.limit_bytes) {
  sweep_runtimes(node.home());
  for (const auto& runtime : stored_runtimes(node.home()))
    if (runtime.whole)
      if (auto bundle = find_runtime(node.home(), runtime.id)) node.offer(*bundle, Node::Twin::no);
}

std::string FarmerRuntimes::root(const RuntimeId& id) {
  touch_runtime(node_.home(), id);
  mark_runtime(node_.home(), id);
  offered_.ran(id);
  return runtime_root(node_.home(), id);
}

void FarmerRuntimes::prepare(const PrepareRuntime& effect) {
  const RuntimeId id = effect.runtime;
  if (preparing_.count(id)) return;
  if (is_unpacked(runtime_root(node_.home(), id))) {
    touch_runtime(node_.home(), id);
    return options_.hear(RuntimeReady{id});
  }
  if (preparing_.size() >= max_preparing) return options_.hear(RuntimeLost{id, "this farmer is getting " + std::to_string(max_preparing) + " other runtimes"});
  preparing_[id] = {next_number_++, 0};
  if (auto bundle = find_runtime(node_.home(), id)) return check_and_unpack(id, *bundle);
  fetch(effect);
}

void FarmerRuntimes::fetch(const PrepareRuntime& effect) {
  const RuntimeId id = effect.runtime;
  FetchTorrent request;
  request.v2_hash = rename_id<Hash>(id);
  request.parent_dir = node_.home().runtime_dir(id);
  // Other farmers are likely to have it, and one that has not is a wasted dial.
  request.holders = node_.peers_up();
  if (request.holders.size() > max_asked) request.holders.resize(max_asked);
  request.holders.push_back(effect.holder);
  request.peers = effect.peers;
  const std::int64_t left = effect.awarded ? options_.limit_bytes : offered_.left(node_.now());
  request.max_bytes = std::min(options_.limit_bytes / 2, left);  // packed, and unpacked beside it
  request.stall_ms = fetch_stall_ms;
  std::error_code ec;
  fs::create_directories(request.parent_dir, ec);
  const std::uint64_t number = preparing_[id].number;
  auto give_up = [this, id](const std::string& why) {
    let_go(id);
    lost(id, why);
  };
  node_.later(fetch_limit_ms, [this, id, number, give_up] {
    if (under_way(id, number)) give_up("it was not here within " + format_duration(fetch_limit_ms));
  });
  // As soon as its size is known it counts as fetched, however far it comes.
  const auto counting = std::make_shared<std::function<void(std::int64_t)>>([this, id, counted = effect.awarded](std::int64_t bytes) mutable {
    if (!std::exchange(counted, true)) offered_.fetched(node_.now(), id, bytes);
  });
  auto progress = [this, id, number, give_up, count = counting](const FetchProgress& moved) {
    if (!under_way(id, number)) return;
    (*count)(moved.total_bytes);
    tell(id, "fetching", moved.done_bytes, moved.total_bytes);
    if (preparing_[id].bytes > 0) return;
    // Room is made before the disk fills.
    if (auto room = make_room(id, 2 * moved.total_bytes); !room) give_up(room.error().message);
  };
  auto end = [this, id, number, count = counting, short_of = left < options_.limit_bytes / 2](const FetchDone* fetched, const std::string& problem) {
    if (fetched) (*count)(fetched->torrent.total_size);
    if (!under_way(id, number)) return;
    if (!fetched) {
      // What came of it is where the next attempt begins; a folder without anything is of no use.
      std::error_code ignored;
      fs::remove(node_.home().runtime_dir(id), ignored);
      return lost(id, short_of ? problem + "; " + offered_.why(node_.now()) : problem);
    }
    auto kept = keep_bundle(fetched->torrent, node_.home().runtime_dir(id));
    if (!kept) return lost(id, kept.error().message);
    check_and_unpack(id, *kept);
  };
  node_.fetch(std::move(request), end, progress);
}

void FarmerRuntimes::check_and_unpack(const RuntimeId& id, const StoredBundle& bundle) {
  auto unfit = [this, id](const std::string& why) {
    let_go(id);
    lost(id, why);
  };
  auto manifest = read_runtime_manifest(bundle);
  if (!manifest) return unfit(manifest.error().message);
  if (const auto own = own_machine(); manifest->machine != "any" && manifest->machine != own) return unfit("the runtime is for " + manifest->machine + ", this machine is " + own);
  const bool packed_here = is_packed_here(node_.home(), id);
  if (auto room = make_room(id, (packed_here ? 0 : bundle.torrent.total_size) + manifest->disk_bytes); !room) return unfit(room.error().message);
  node_.offer(bundle, Node::Twin::no);
  node_.work([this, id, bundle, manifest = *manifest, home = node_.home(), number = preparing_[id].number, unfit]() -> std::function<void()> {
    std::int64_t told = 0;
    auto unpacked = unpack_runtime(image_path(bundle), manifest, runtime_root(home, id), [&](std::int64_t done) {
      if (done - told >= tell_every_bytes) {
        told = done;
        node_.post([this, id, done, total = bundle.torrent.total_size] { tell(id, "unpacking", done, total); });
      }
      return !node_.leaving();
    });
    return [this, id, number, unpacked, unfit] {
      if (!under_way(id, number)) return;
      if (unpacked) return done(id);
      if (unpacked.error().code == Code::invalid) return unfit(unpacked.error().message);
      lost(id, unpacked.error().message);
    };
  });
}

/// Room for all of it; what is there of it already does not count twice.
Result<void> FarmerRuntimes::make_room(const RuntimeId& id, std::int64_t needed) {
  std::vector<CachedRuntime> cached;
  for (const auto& runtime : stored_runtimes(node_.home())) {
    if (runtime.id == id) continue;
    auto other = preparing_.find(runtime.id);
    const bool busy = other != preparing_.end() || options_.in_use(runtime.id);
    // What was packed here is its user's; its unpacked tree is the cache's.
    const std::int64_t own = runtime.packed_here ? runtime.manifest.disk_bytes * runtime.unpacked : runtime.bytes;
    cached.push_back({runtime.id, other != preparing_.end() ? std::max(own, other->second.bytes) : own, runtime.last_used_ms, busy, runtime.ran});
  }
  auto going = choose_evictions(std::move(cached), options_.limit_bytes, needed);
  if (!going) return going.error();
  preparing_[id].bytes = needed;
  for (const RuntimeId& each : *going) {
    options_.note(Note{"runtime_removed", {{"runtime", to_hex(each)}}});
    options_.hear(RuntimeLost{each, {}});
    let_go(each);
  }
  return {};
}

bool FarmerRuntimes::under_way(const RuntimeId& id, std::uint64_t number) const {
  auto mine = preparing_.find(id);
  return mine != preparing_.end() && mine->second.number == number;
}

/// Gone for everybody at once; the many files go in a worker.
void FarmerRuntimes::let_go(const RuntimeId& id) {
  auto aside = set_aside_runtime(node_.home(), id, false);
  if (!aside) options_.note(Note{"runtime_problem", {{"runtime", to_hex(id)}, {"reason", aside.error().message}}});
  if (!find_runtime(node_.home(), id)) node_.after_commit([this, id] { node_.swarm().remove(rename_id<Hash>(id)); });
  if (aside && !aside->empty())
    node_.work([path = *aside]() -> std::function<void()> {
      std::error_code ec;
      fs::remove_all(path, ec);
      return {};
    });
}

void FarmerRuntimes::done(const RuntimeId& id) {
  preparing_.erase(id);
  touch_runtime(node_.home(), id);
  options_.hear(RuntimeReady{id});
}

void FarmerRuntimes::lost(const RuntimeId& id, const std::string& reason) {
  preparing_.erase(id);
  options_.hear(RuntimeLost{id, reason});
}

void FarmerRuntimes::tell(const RuntimeId& id, const char* doing, std::int64_t done_bytes, std::int64_t total_bytes) {
  options_.note(Note{"runtime", {{"runtime", to_hex(id)}, {"doing", doing}, {"done_bytes", std::to_string(done_bytes)}, {"total_bytes", std::to_string(total_bytes)}}});
}

}  // namespace tnode
