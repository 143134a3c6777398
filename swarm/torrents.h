// What a node seeds and fetches: the life of each torrent in the session. Lives in the network thread alone.
// Checks received metadata before the first byte of payload is asked for, and stops what stands still.
#pragma once
#include <chrono>
#include <map>
#include <set>
#include <string>

#include <libtorrent/session.hpp>
#include <libtorrent/torrent_handle.hpp>

#include "swarm/channels.h"
#include "swarm/swarm.h"

namespace tnode {

class Torrents {
 public:
  Torrents(lt::session& session, Channels& channels, bool dht, Swarm::Sink report) : session_(session), channels_(channels), dht_(dht), report_(std::move(report)) {}

  void seed(const SeedTorrent& request);
  void fetch(FetchTorrent request);
  void remove(const Hash& v2_hash);
  void on_alert(const lt::alert& alert);
  /// Progress reports, stalls, and new DHT lookups of fetches that found nobody. Called while fetching(), every tick_ms.
  void tick();
  bool fetching() const { return !fetches_.empty(); }

  static constexpr int tick_ms = 250;

 private:
  using Clock = std::chrono::steady_clock;
  struct Fetch {
    FetchTorrent request;
    lt::torrent_handle handle;
    bool admitted = false;      // its metadata was checked, its payload is wanted
    bool flushing = false;
    std::int64_t last_done = -1;
    Clock::time_point moved = Clock::now(), next_lookup = Clock::now();
    int lookups = 0;
  };
  using Key = std::string;  // 20 bytes: what libtorrent tells torrents apart by

  void admit(Fetch& fetch);
  void finish(const Key& key, Fetch& fetch);
  void give_up(const Key& key, std::string reason);
  void add_peers(Fetch& fetch);
  void doubt_v1(const Key& key);
  Fetch* find(const lt::torrent_handle& handle, Key& key);

  lt::session& session_;
  Channels& channels_;
  bool dht_;
  Swarm::Sink report_;
  std::map<Key, Fetch> fetches_;
  struct Seeded { lt::torrent_handle handle; Torrent torrent; std::string parent_dir; };
  std::map<Hash, Seeded> seeded_;  // what is complete and canonical, by v2 hash
};

}  // namespace tnode
