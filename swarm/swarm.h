// The swarm adapter: one libtorrent session, its torrents, the DHT, and a TLS channel to every tnode peer met.
// Owns its network thread. Never decides anything about tasks or credit: it reports events to the sink it was given.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/crypto.h"
#include "core/torrent.h"
#include "core/types.h"

namespace tnode {

struct SwarmOptions {
  std::string listen;                  ///< "IP:PORT", port 0 picks one; empty: all interfaces, libtorrent's default port
  std::vector<std::string> bootstrap;  ///< "HOST:PORT" DHT routers
  std::vector<std::string> peers;      ///< "HOST:PORT" nodes to dial at once, on the board swarm
  std::string data_dir;                ///< DHT state and the board's payload live here
  bool join_board = true;
  bool bulk = false;                   ///< mmap disk back end (long-lived, large data) instead of posix
  Seed key_seed{};                     ///< the node key: TLS identity

  bool listens_everywhere() const { return listen.empty() || listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:"); }
};

/// A complete bundle on disk, or about to be there.
struct SeedTorrent {
  Bytes torrent;           ///< .torrent bytes
  std::string parent_dir;  ///< files are at <parent_dir>/<torrent name>/…
  bool announce = true;    ///< tell the DHT
};

/// A torrent to be downloaded. Canonical form is checked by whoever asked, before the data is used.
struct FetchTorrent {
  Hash v2_hash;                            ///< zero when only v1 is known
  std::array<std::uint8_t, 20> v1_hash{};  ///< zero when only v2 is known
  Bytes torrent;                           ///< .torrent bytes when at hand, else empty
  std::string parent_dir;
  std::vector<NodeKey> holders;            ///< nodes we have a channel with that are known to have it: dialled at once
  std::vector<std::string> peers;          ///< "host:port" hints
  std::int64_t max_bytes = 0;              ///< refuse before downloading when the payload is larger; 0: no bound
  TimeMs stall_ms = 0;                     ///< give up after so long without a new byte; 0: never
  bool canonical = true;                   ///< check with parse_canonical_torrent as soon as metadata is there; refuse otherwise
};

// What the swarm reports. Each is posted from the network thread and must not block it.
struct PeerUp { NodeKey key; std::string endpoint; };     ///< a channel is open (after TLS 1.3, both keys proved)
struct PeerDown { NodeKey key; };                         ///< the last channel to that key ended
struct MessageIn { NodeKey from; Bytes message; };        ///< one frame from a channel, ≤ 16 KiB
struct FetchDone { Hash v2_hash; Torrent torrent; std::string dir; std::int64_t received_bytes = 0; };  ///< verified by libtorrent's piece hashes; keeps seeding. What was there already was not received
struct FetchFailed { Hash v2_hash; std::string reason; };
struct FetchProgress { Hash v2_hash; std::int64_t done_bytes = 0, total_bytes = 0; };
struct ItemFound { NodeKey key; std::string salt; std::int64_t seq = 0; Bytes value; bool last = false; };  ///< empty value: nobody has one; `last`: the search is over
struct ItemPublished { std::string salt; std::int64_t seq = 0; int nodes = 0; };  ///< on how many DHT nodes
struct SwarmProblem { std::string what; };                ///< for logs: an address in use, disk error, …
struct PeerUnreachable { std::string endpoint, reason; };  ///< one of `SwarmOptions::peers`, said once; it is dialled again
using SwarmEvent =
    std::variant<PeerUp, PeerDown, MessageIn, FetchDone, FetchFailed, FetchProgress, ItemFound, ItemPublished, SwarmProblem, PeerUnreachable>;

/// Largest message the channel carries.
inline constexpr std::size_t max_message_bytes = 16 << 10;

class Swarm {
 public:
  using Sink = std::function<void(SwarmEvent)>;
  /// Starts the session. `unavailable` when the address cannot be listened on.
  static Result<std::unique_ptr<Swarm>> start(SwarmOptions options, Sink sink);
  /// Stops within ~10 ms where peers answer; nothing is reported afterwards.
  ~Swarm();

  // All of these may be called from any thread, return at once and do their work on the network thread.
  /// Sends a frame; dropped silently when there is no channel (PeerDown was or will be reported).
  void send(const NodeKey& to, Bytes message);
  void seed(SeedTorrent torrent);
  void fetch(FetchTorrent request);
  /// Stops seeding or fetching; files stay.
  void remove(const Hash& v2_hash);
  /// Publishes a value (bencoded, at most 1,000 bytes) under this node's key and `salt` in the DHT (BEP 44); reports ItemPublished. Nodes
  /// forget it after two hours: to be said again. A value that is there under a higher `seq` stays, and is reported as ItemFound.
  void publish_item(const std::string& salt, Bytes value, std::int64_t seq);
  /// Looks another key's value up; reports ItemFound, perhaps more than once, the newest last.
  void find_item(const NodeKey& key, const std::string& salt);
  /// Dials an address on the board swarm.
  void dial(const std::string& endpoint);
  /// Removes a key's channels and refuses new ones until the swarm stops.
  void ban(const NodeKey& key);

  std::string listen_endpoint() const;  ///< "IP:PORT" really listened on; of several the one that most others may reach
  /// Anything came in over the DHT. As of the last call, or a little later: each call asks anew.
  bool dht_answers() const;

 private:
  struct Impl;
  explicit Swarm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tnode
