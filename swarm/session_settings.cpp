#include "swarm/session_settings.h"

#include <cstdlib>

#include <libtorrent/alert.hpp>
#include <libtorrent/mmap_disk_io.hpp>
#include <libtorrent/posix_disk_io.hpp>
#include <libtorrent/settings_pack.hpp>

namespace tnode {
namespace {

using sp = lt::settings_pack;

constexpr int connections_limit = 2000;
constexpr int listen_queue = 512;
constexpr int max_metadata_bytes = 64 << 20;  // info dictionaries of the largest bundles allowed

void common(sp& s) {
  s.set_str(sp::user_agent, "tnode/0.1");
  s.set_str(sp::handshake_client_version, "tnode/0.1");
  s.set_int(sp::alert_mask, lt::alert_category::error | lt::alert_category::status | lt::alert_category::storage | lt::alert_category::dht | lt::alert_category::connect);
  s.set_int(sp::alert_queue_size, 100'000);
  // Two seeds have nothing to exchange but messages: without this they hang up, and the channel with them.
  s.set_bool(sp::close_redundant_connections, false);
  // The queueing defaults stop announcing past a few torrents.
  s.set_int(sp::active_downloads, -1);
  s.set_int(sp::active_seeds, -1);
  s.set_int(sp::active_limit, -1);
  s.set_int(sp::active_dht_limit, -1);
  s.set_int(sp::active_lsd_limit, -1);
  s.set_int(sp::connections_limit, connections_limit);
  s.set_int(sp::listen_queue_size, listen_queue);
  s.set_int(sp::max_metadata_size, max_metadata_bytes);
  s.set_int(sp::max_failcount, 20);
  s.set_int(sp::unchoke_slots_limit, 64);
  s.set_int(sp::max_peer_recv_buffer_size, 4 << 20);
  s.set_bool(sp::allow_multiple_connections_per_ip, true);
  // Serving a file need not write its access time.
  s.set_bool(sp::no_atime_storage, true);
}

void loopback(sp& s, const SwarmOptions& options) {
  std::string bootstrap;
  for (const auto& node : options.bootstrap) bootstrap += (bootstrap.empty() ? "" : ",") + node;
  s.set_str(sp::listen_interfaces, options.listen);
  s.set_int(sp::max_retry_port_bind, 0);
  s.set_bool(sp::listen_system_port_fallback, false);
  s.set_str(sp::dht_bootstrap_nodes, bootstrap);
  s.set_bool(sp::enable_dht, true);
  s.set_bool(sp::enable_lsd, false);  // multicast does not run on loopback
  s.set_bool(sp::enable_upnp, false);
  s.set_bool(sp::enable_natpmp, false);
  // uTP on loopback is 30 times slower than TCP.
  s.set_bool(sp::enable_incoming_utp, false);
  s.set_bool(sp::enable_outgoing_utp, false);
  s.set_int(sp::out_enc_policy, sp::pe_disabled);
  // A private DHT has all its nodes at one address; these limits are there against that, so they belong to the public profile alone.
  s.set_bool(sp::dht_restrict_routing_ips, false);
  s.set_bool(sp::dht_restrict_search_ips, false);
  s.set_bool(sp::dht_ignore_dark_internet, false);
  s.set_int(sp::dht_block_ratelimit, 1'000'000);
  s.set_int(sp::dht_upload_rate_limit, 100'000'000);
  s.set_int(sp::dht_max_dht_items, 100'000);
  s.set_int(sp::dht_max_torrents, 100'000);
  s.set_int(sp::dht_max_peers, 1000);
  s.set_int(sp::connection_speed, 500);
  s.set_int(sp::min_reconnect_time, 2);
  s.set_bool(sp::rate_limit_ip_overhead, false);
}

void public_profile(sp& s, const SwarmOptions& options) {
  if (!options.listen.empty()) {
    s.set_str(sp::listen_interfaces, options.listen);
    s.set_int(sp::max_retry_port_bind, 0);
    s.set_bool(sp::listen_system_port_fallback, false);
  }
  if (!options.bootstrap.empty()) {
    std::string bootstrap = s.get_str(sp::dht_bootstrap_nodes);
    for (const auto& node : options.bootstrap) bootstrap += (bootstrap.empty() ? "" : ",") + node;
    s.set_str(sp::dht_bootstrap_nodes, bootstrap);
  }
  s.set_int(sp::min_reconnect_time, 10);
}

}  // namespace

bool is_loopback_profile(const SwarmOptions& options) { return options.listen.rfind("127.", 0) == 0 || options.listen.rfind("[::1]", 0) == 0; }

lt::session_params session_params_for(const SwarmOptions& options) {
  // libtorrent parses the whole CA bundle for HTTPS trackers, 40-90 ms; this program uses no tracker.
  setenv("SSL_CERT_FILE", "/dev/null", 1);
  lt::session_params params;
  params.settings = lt::default_settings();
  common(params.settings);
  if (is_loopback_profile(options)) loopback(params.settings, options);
  else public_profile(params.settings, options);
  // Who joins no board is passing by: asks the DHT without becoming a part of it that others would wait for in vain (BEP 43).
  params.settings.set_bool(sp::dht_read_only, !options.join_board);
  params.disk_io_constructor = options.bulk ? lt::mmap_disk_io_constructor : lt::posix_disk_io_constructor;
  return params;
}

}  // namespace tnode
