// `tnode get`: downloads a task or a result from its swarm, like any BitTorrent client, and checks its form.
#include <sys/random.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/output.h"
#include "cli/results.h"
#include "cli/quantities.h"
#include "cli/signals.h"
#include "cli/task_record.h"
#include "core/magnet.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

struct Wanted {
  FetchTorrent request;
  std::string local_dir;  ///< a bundle of this home that holds it already
};

bool all_hex(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

Result<Wanted> wanted_by_id(const Home& home, const std::string& id) {
  Wanted wanted;
  auto from_record = [&](const TaskRecord& record) {
    const bool result = id != "last" && to_hex(record.result).starts_with(id);
    const bool whole = result || id == "last";
    if (whole && record.result.is_zero()) return false;
    wanted.request.v2_hash = whole ? rename_id<Hash>(record.result) : rename_id<Hash>(record.offer.task);
    wanted.request.v1_hash = whole ? record.result_v1 : record.offer.v1_hash;
    wanted.local_dir = whole ? home.result_dir(record.result) : home.task_dir(record.offer.task);
    return true;
  };
  if (auto key = home.existing_key(); key && fs::exists(home.store_path())) {
    Store::Options read;
    read.path = home.store_path();
    read.key = key->key();
    read.read_only = true;
    auto store = Store::open(read, 0);
    if (!store) return store.error();
    auto record = match_task_record(**store, id);
    if (record && from_record(*record)) return wanted;
    if (record) return fail(Code::not_found, "that task has no result yet; `tnode status " + id + "` says how far it is");
  }
  if (id.size() != 64) return fail(Code::not_found, "no task or result of this node has an id that starts with '" + id + "'; give the whole id (64 hex digits) or a magnet link");
  auto bytes = from_hex(id);
  wanted.request.v2_hash = *Hash::from_bytes(*bytes);
  return wanted;
}

Result<Wanted> find_wanted(const Home& home, const std::string& what) {
  Wanted wanted;
  if (what.starts_with("magnet:")) {
    auto magnet = parse_magnet(what);
    if (!magnet) return fail(Code::invalid, "this magnet link is broken: " + magnet.error().message);
    wanted.request.v2_hash = magnet->v2_hash;
    wanted.request.v1_hash = magnet->v1_hash;
    wanted.request.peers = magnet->peers;
    return wanted;
  }
  if (all_hex(what) || what == "last") return wanted_by_id(home, what);
  std::ifstream file(what, std::ios::binary);
  if (!file) return fail(Code::invalid, "'" + what + "' is neither a magnet link, nor an id, nor a file that is there");
  Bytes bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.starts_with("magnet:")) {
    while (!bytes.empty() && std::isspace(static_cast<unsigned char>(bytes.back()))) bytes.pop_back();
    return find_wanted(home, bytes);
  }
  auto torrent = parse_canonical_torrent(bytes);
  if (!torrent) return fail(Code::invalid, what + " is no task or result of tnode: " + torrent.error().message);
  wanted.request.v2_hash = torrent->v2_hash;
  wanted.request.v1_hash = torrent->v1_hash;
  wanted.request.torrent = bytes;
  return wanted;
}

/// What the swarm reports, for a command that waits for one thing.
class Waiting {
 public:
  void tell(SwarmEvent event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
  }
  void interrupt() {
    std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_one();
  }
  /// Until the fetch ended; nothing when interrupted.
  std::optional<SwarmEvent> wait(const std::function<void(const FetchProgress&)>& progress) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return interrupted_ || !events_.empty(); });
      if (interrupted_) return std::nullopt;
      SwarmEvent event = std::move(events_.front());
      events_.erase(events_.begin());
      if (auto* moved = std::get_if<FetchProgress>(&event)) progress(*moved);
      if (std::holds_alternative<FetchDone>(event) || std::holds_alternative<FetchFailed>(event)) return event;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SwarmEvent> events_;
  bool interrupted_ = false;
};

int show(Output& output, const Torrent& torrent, const std::string& dir) {
  output.answer(Json{{"id", to_hex(torrent.v2_hash)}, {"name", torrent.name}, {"bytes", torrent.total_size}, {"files", torrent.files.size()}, {"out", dir}},
                "id        " + to_hex(torrent.v2_hash) + "\nsize      " + format_size(torrent.total_size) + " in " + std::to_string(torrent.files.size()) + " files\nfiles     " + dir + "\n", to_hex(torrent.v2_hash));
  return exit_done;
}

}  // namespace

int run_get(const GlobalOptions& global, const GetOptions& options) {
  Output output(global);
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto stall = parse_duration(options.timeout);
  auto wanted = find_wanted(*home, options.what);
  auto swarm = swarm_options(global);
  for (const Error* error : {stall ? nullptr : &stall.error(), wanted ? nullptr : &wanted.error(), swarm ? nullptr : &swarm.error()})
    if (error) {
      (void)fail_with(*error);
      return error->code == Code::invalid ? exit_usage : exit_error;
    }
  const std::string out = fs::absolute(options.out).lexically_normal().string();
  std::error_code ec;
  fs::create_directories(out, ec);
  if (ec) return fail_with(fail(Code::io, "cannot make the folder " + out + ": " + ec.message()));
  if (!wanted->local_dir.empty())
    if (auto bundle = find_bundle(wanted->local_dir)) {
      if (auto copied = copy_plain(bundle->dir(), out + "/" + bundle->torrent.name); !copied) return fail_with(copied.error());
      return show(output, bundle->torrent, out + "/" + bundle->torrent.name);
    }
  Signals signals;
  Waiting waiting;
  // A passing client needs no name of its own; the home's key may belong to a node that runs.
  if (getrandom(swarm->key_seed.data(), swarm->key_seed.size(), 0) != static_cast<ssize_t>(swarm->key_seed.size())) return fail_with(fail(Code::io, "no randomness to be had"));
  swarm->bulk = true;
  swarm->data_dir = out;
  auto started = Swarm::start(*swarm, [&waiting](SwarmEvent event) { waiting.tell(std::move(event)); });
  if (!started) return fail_with(started.error());
  signals.on_signal([&waiting](int) { waiting.interrupt(); });
  wanted->request.parent_dir = out;
  wanted->request.stall_ms = *stall;
  for (const auto& peer : swarm->peers) wanted->request.peers.push_back(peer);
  (*started)->fetch(wanted->request);
  auto ended = waiting.wait([&](const FetchProgress& progress) { output.progress("download", progress.done_bytes, progress.total_bytes, ""); });
  if (!ended) {
    output.problem("interrupted; the same command goes on with what is there");
    return exit_error;
  }
  if (auto* failed = std::get_if<FetchFailed>(&*ended)) {
    output.problem("cannot download it: " + failed->reason);
    return failed->reason.starts_with("nobody") ? exit_timeout : exit_error;
  }
  const auto& done = std::get<FetchDone>(*ended);
  if (auto whole = check_bundle_on_disk(done.torrent, done.dir); !whole) return fail_with(whole.error());
  return show(output, done.torrent, done.dir);
}

}  // namespace tnode
