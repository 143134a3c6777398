#include "swarm/torrents.h"

#include <algorithm>

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_info.hpp>
#include <libtorrent/torrent_status.hpp>

#include "swarm/endpoint.h"

namespace tnode {
namespace {

constexpr int first_lookup_ms = 200, longest_lookup_ms = 30'000;

lt::sha1_hash v1_of(const std::array<std::uint8_t, 20>& hash) { return lt::sha1_hash(reinterpret_cast<const char*>(hash.data())); }
lt::sha256_hash v2_of(const Hash& hash) { return lt::sha256_hash(reinterpret_cast<const char*>(hash.bytes.data())); }
bool is_zero(const std::array<std::uint8_t, 20>& hash) { return std::all_of(hash.begin(), hash.end(), [](auto byte) { return byte == 0; }); }

lt::info_hash_t hashes_of(const FetchTorrent& request) {
  lt::info_hash_t hashes;
  if (!is_zero(request.v1_hash)) hashes.v1 = v1_of(request.v1_hash);
  if (!request.v2_hash.is_zero()) hashes.v2 = v2_of(request.v2_hash);
  return hashes;
}

std::string key_of(const lt::info_hash_t& hashes) { return hashes.get_best().to_string(); }

/// The flags of everything here: no queueing, no waiting for a user.
lt::torrent_flags_t plain_flags() { return lt::torrent_flags::update_subscribe | lt::torrent_flags::need_save_resume; }

/// The .torrent of a complete download, made whole with the piece layers that came over the wire.
Result<Torrent> torrent_of(const lt::torrent_handle& handle) {
  auto info = handle.torrent_file_with_hashes();
  if (!info) return fail(Code::invalid, "the torrent has no metadata");
  auto section = info->info_section();
  std::string_view bytes(section.data(), static_cast<std::size_t>(section.size()));
  auto torrent = parse_canonical_info(bytes);
  if (!torrent || !torrent->bytes.empty()) return torrent;
  std::map<std::string, std::string> layers;
  const auto& files = info->files();
  for (auto file : files.file_range()) {
    auto layer = info->piece_layer(file);
    if (files.pad_file_at(file) || files.file_size(file) <= info->piece_length()) continue;
    layers[files.root(file).to_string()] = std::string(layer.data(), static_cast<std::size_t>(layer.size()));
  }
  std::string whole = "d4:info" + std::string(bytes) + "12:piece layersd";
  for (const auto& [root, layer] : layers) whole += "32:" + root + std::to_string(layer.size()) + ":" + layer;
  return parse_canonical_torrent(whole + "ee");
}

}  // namespace

void Torrents::seed(const SeedTorrent& request) {
  lt::error_code ec;
  auto info = std::make_shared<lt::torrent_info>(lt::span<const char>(request.torrent.data(), static_cast<std::ptrdiff_t>(request.torrent.size())), ec, lt::from_span);
  if (ec) return report_(SwarmProblem{"a torrent that should be seeded is refused by libtorrent: " + ec.message()});
  auto canonical = parse_canonical_torrent(request.torrent);  // the v1 twin is not
  const Hash id = canonical ? canonical->v2_hash : Hash{};
  if (canonical && seeded_.count(id)) return;
  lt::add_torrent_params params;
  params.ti = info;
  params.save_path = request.parent_dir;
  params.flags = plain_flags() | lt::torrent_flags::seed_mode;
  if (!request.announce) params.flags |= lt::torrent_flags::disable_dht | lt::torrent_flags::disable_lsd;
  // Without these the first upload would hash everything again.
  params.have_pieces.resize(info->num_pieces(), true);
  params.verified_pieces.resize(info->num_pieces(), true);
  auto handle = session_.add_torrent(std::move(params), ec);
  if (ec == lt::errors::duplicate_torrent) return;
  if (ec) return report_(SwarmProblem{"cannot seed " + info->name() + ": " + ec.message()});
  if (dht_ && request.announce) handle.force_dht_announce();
  if (canonical) seeded_[id] = {handle, std::move(*canonical), request.parent_dir};
}

void Torrents::fetch(FetchTorrent request) {
  if (auto known = seeded_.find(request.v2_hash); known != seeded_.end() && !request.v2_hash.is_zero())
    return report_(FetchDone{request.v2_hash, known->second.torrent, known->second.parent_dir + "/" + known->second.torrent.name});
  lt::add_torrent_params params;
  lt::error_code ec;
  if (!request.torrent.empty()) {
    params.ti = std::make_shared<lt::torrent_info>(lt::span<const char>(request.torrent.data(), static_cast<std::ptrdiff_t>(request.torrent.size())), ec, lt::from_span);
    if (ec) return report_(FetchFailed{request.v2_hash, "libtorrent refuses the torrent: " + ec.message()});
    if (request.max_bytes > 0 && params.ti->total_size() > request.max_bytes)
      return report_(FetchFailed{request.v2_hash, "it has " + std::to_string(params.ti->total_size()) + " bytes; at most " + std::to_string(request.max_bytes) + " are taken here"});
  } else {
    params.info_hashes = hashes_of(request);
  }
  const Key key = key_of(params.ti ? params.ti->info_hashes() : params.info_hashes);
  if (auto running = fetches_.find(key); running != fetches_.end()) {
    running->second.request.holders.insert(running->second.request.holders.end(), request.holders.begin(), request.holders.end());
    running->second.request.peers.insert(running->second.request.peers.end(), request.peers.begin(), request.peers.end());
    return add_peers(running->second);
  }
  params.save_path = request.parent_dir;
  params.flags = plain_flags() | lt::torrent_flags::paused;
  // A magnet's payload waits until its metadata was looked at.
  if (!params.ti) params.flags |= lt::torrent_flags::default_dont_download;
  for (const NodeKey& holder : request.holders)
    if (auto endpoint = channels_.endpoint_of(holder)) params.peers.push_back(*endpoint);
  for (const std::string& peer : request.peers)
    if (auto endpoint = parse_endpoint(peer)) params.peers.push_back(*endpoint);
  const bool checks_first = params.ti != nullptr;
  Fetch fetch{std::move(request), {}, checks_first, false, -1, Clock::now(), Clock::now(), 0};
  fetch.handle = session_.add_torrent(std::move(params), ec);
  if (ec) return report_(FetchFailed{fetch.request.v2_hash, "libtorrent refuses the torrent: " + ec.message()});
  // Resuming a paused torrent dials its peers at once; otherwise they would wait for the next one-second tick.
  // A .torrent has to look at its files first: see torrent_checked_alert.
  if (!checks_first) fetch.handle.resume();
  fetches_.emplace(key, std::move(fetch));
}

void Torrents::remove(const Hash& v2_hash) {
  if (auto it = seeded_.find(v2_hash); it != seeded_.end()) {
    session_.remove_torrent(it->second.handle);
    seeded_.erase(it);
  }
  for (auto it = fetches_.begin(); it != fetches_.end();) {
    if (it->second.request.v2_hash != v2_hash) { ++it; continue; }
    session_.remove_torrent(it->second.handle);
    it = fetches_.erase(it);
  }
}

Torrents::Fetch* Torrents::find(const lt::torrent_handle& handle, Key& key) {
  for (auto& [name, fetch] : fetches_)
    if (fetch.handle == handle) { key = name; return &fetch; }
  return nullptr;
}

void Torrents::on_alert(const lt::alert& alert) {
  auto* about = dynamic_cast<const lt::torrent_alert*>(&alert);
  if (!about) return;
  Key key;
  Fetch* fetch = find(about->handle, key);
  if (!fetch) {
    // A seed whose files are gone or unreadable: say so, and stop offering what is not there.
    if (lt::alert_cast<lt::torrent_error_alert>(&alert) || lt::alert_cast<lt::file_error_alert>(&alert)) report_(SwarmProblem{alert.message()});
    return;
  }
  if (lt::alert_cast<lt::metadata_received_alert>(&alert)) {
    admit(*fetch);
  } else if (lt::alert_cast<lt::torrent_checked_alert>(&alert)) {
    if (!fetch->request.torrent.empty()) fetch->handle.resume();
  } else if (lt::alert_cast<lt::torrent_finished_alert>(&alert)) {
    // A torrent of which nothing is wanted yet counts as finished too.
    auto status = fetch->handle.status({});
    if (!fetch->admitted || !status.is_seeding || fetch->flushing) return;
    fetch->flushing = true;
    fetch->handle.flush_cache();
  } else if (lt::alert_cast<lt::cache_flushed_alert>(&alert)) {
    if (fetch->flushing) finish(key, *fetch);
  } else if (auto* failed = lt::alert_cast<lt::file_error_alert>(&alert)) {
    give_up(key, "cannot write " + std::string(failed->filename()) + ": " + failed->error.message());
  } else if (auto* error = lt::alert_cast<lt::torrent_error_alert>(&alert)) {
    give_up(key, error->error.message());
  } else if (auto* metadata = lt::alert_cast<lt::metadata_failed_alert>(&alert)) {
    report_(SwarmProblem{"a peer sent wrong metadata: " + metadata->error.message()});
  }
}

void Torrents::admit(Fetch& fetch) {
  auto info = fetch.handle.torrent_file();
  if (!info) return;
  const FetchTorrent& request = fetch.request;
  Key key = key_of(info->info_hashes());
  for (const auto& [name, each] : fetches_)
    if (&each == &fetch) key = name;
  if (request.canonical) {
    auto section = info->info_section();
    auto torrent = parse_canonical_info({section.data(), static_cast<std::size_t>(section.size())});
    if (!torrent) return give_up(key, "it is no bundle of tnode: " + torrent.error().message);
    // A bundle is written into the user's folder: it must not choose a name there that could be anyone's.
    if (!torrent->name.starts_with(bundle_name_prefix)) return give_up(key, "it is no bundle of tnode: its name " + quoted_name(torrent->name) + " is none of tnode's");
  }
  if (request.max_bytes > 0 && info->total_size() > request.max_bytes)
    return give_up(key, "it has " + std::to_string(info->total_size()) + " bytes; at most " + std::to_string(request.max_bytes) + " are taken here");
  fetch.admitted = true;
  fetch.moved = Clock::now();
  fetch.handle.unset_flags(lt::torrent_flags::default_dont_download);
  fetch.handle.prioritize_files(std::vector<lt::download_priority_t>(static_cast<std::size_t>(info->num_files()), lt::default_priority));
}

void Torrents::finish(const Key& key, Fetch& fetch) {
  auto torrent = torrent_of(fetch.handle);
  if (!torrent && fetch.request.canonical) return give_up(key, torrent.error().message);
  FetchDone done{fetch.request.v2_hash, {}, {}, fetch.handle.status({}).total_payload_download};
  auto info = fetch.handle.torrent_file();
  if (torrent) done.torrent = std::move(*torrent);
  else {
    // A foreign torrent: its content is what its hash says, but its form is not ours.
    done.torrent.name = info->name();
    done.torrent.total_size = info->total_size();
  }
  done.dir = fetch.request.parent_dir + "/" + info->name();
  if (torrent) {
    if (done.v2_hash.is_zero()) done.v2_hash = done.torrent.v2_hash;
    seeded_[done.torrent.v2_hash] = {fetch.handle, done.torrent, fetch.request.parent_dir};
  }
  fetches_.erase(key);
  report_(std::move(done));
}

void Torrents::give_up(const Key& key, std::string reason) {
  auto it = fetches_.find(key);
  if (it == fetches_.end()) return;
  Hash id = it->second.request.v2_hash;
  session_.remove_torrent(it->second.handle);
  fetches_.erase(it);
  report_(FetchFailed{id, std::move(reason)});
}

void Torrents::add_peers(Fetch& fetch) {
  for (const NodeKey& holder : fetch.request.holders)
    if (auto endpoint = channels_.endpoint_of(holder)) fetch.handle.connect_peer(*endpoint);
  for (const std::string& peer : fetch.request.peers)
    if (auto endpoint = parse_endpoint(peer)) fetch.handle.connect_peer(*endpoint);
}

/// The v2 hash is what was asked for; the v1 hash beside it is somebody's word. A wrong one hides the torrent: connections name it first.
void Torrents::doubt_v1(const Key& key) {
  auto it = fetches_.find(key);
  FetchTorrent request = std::move(it->second.request);
  const auto moved = it->second.moved;
  session_.remove_torrent(it->second.handle);
  fetches_.erase(it);
  request.v1_hash = {};
  fetch(std::move(request));
  if (auto again = fetches_.find(key); again != fetches_.end()) again->second.moved = moved;
}

void Torrents::tick() {
  const auto now = Clock::now();
  std::vector<Key> stalled, doubted;
  for (auto& [key, fetch] : fetches_) {
    auto status = fetch.handle.status({});
    if (status.total_wanted_done != fetch.last_done && fetch.admitted) {
      fetch.last_done = status.total_wanted_done;
      fetch.moved = now;
      report_(FetchProgress{fetch.request.v2_hash, status.total_wanted_done, status.total_wanted});
    }
    if (fetch.request.stall_ms > 0 && now - fetch.moved > std::chrono::milliseconds(fetch.request.stall_ms)) stalled.push_back(key);
    else if (!fetch.admitted && !is_zero(fetch.request.v1_hash) && !fetch.request.v2_hash.is_zero() && fetch.request.stall_ms > 0 &&
             now - fetch.moved > std::chrono::milliseconds(fetch.request.stall_ms / 2)) doubted.push_back(key);
    if (status.num_peers > 0 || now < fetch.next_lookup) continue;
    // Libtorrent's own announcer takes its torrents one by one, half a minute each: look up by hand while nobody is found.
    fetch.next_lookup = now + std::chrono::milliseconds(std::min(first_lookup_ms << std::min(fetch.lookups++, 10), longest_lookup_ms));
    if (dht_) fetch.handle.force_dht_announce();
    add_peers(fetch);
  }
  for (const Key& key : doubted) doubt_v1(key);
  for (const Key& key : stalled) {
    const Fetch& fetch = fetches_.at(key);
    give_up(key, fetch.admitted ? "nobody had the rest of it for " + std::to_string(fetch.request.stall_ms / 1000) + " s"
                                : "nobody had it for " + std::to_string(fetch.request.stall_ms / 1000) + " s");
  }
}

}  // namespace tnode
