#include "swarm/swarm.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_stats.hpp>
#include <libtorrent/torrent_flags.hpp>

#include "swarm/channels.h"
#include "swarm/endpoint.h"
#include "swarm/published_items.h"
#include "swarm/session_settings.h"
#include "swarm/torrents.h"

namespace tnode {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto listen_wait = 3s;
constexpr auto stop_grace = 5ms;      // lets farewells reach the sockets
constexpr auto stop_wait = 400ms;
constexpr std::chrono::milliseconds first_search = 100ms, longest_search = 60s, search_when_met = 300s;
constexpr int wanted_descriptors = 65536;

/// The board: a swarm without content, known by a hash that anyone can compute. Nodes meet there; offers travel over their channels.
/// A torrent that is never complete is also never left: libtorrent does not dial known seeds again.
lt::info_hash_t board_hash() {
  const auto hash = sha1("tnode board 1");
  return lt::info_hash_t(lt::sha1_hash(reinterpret_cast<const char*>(hash.data())));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  rlim_t wanted = limit.rlim_max == RLIM_INFINITY ? wanted_descriptors : std::min<rlim_t>(limit.rlim_max, wanted_descriptors);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// How many others an address of ours may be of use to: the more, the larger.
int reach(const lt::address& address) {
  if (address.is_loopback()) return 0;
  if (address.is_v6() && address.to_v6().is_link_local()) return 1;
  return address.is_v6() ? 2 : 3;
}

}  // namespace

struct Swarm::Impl {
  SwarmOptions options;
  Sink sink;
  bool loopback = false;

  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::unique_ptr<lt::session> session;
  std::shared_ptr<Channels> channels;
  std::unique_ptr<Torrents> torrents;
  std::unique_ptr<PublishedItems> items;
  lt::torrent_handle board;
  std::set<std::string> unreachable;  ///< given peers of which it was said
  asio::steady_timer search_timer{context}, fetch_timer{context};
  bool fetch_timer_runs = false;
  std::chrono::milliseconds search_pause = first_search;
  std::thread thread;
  std::atomic<bool> stopping{false}, dht_answers{false};
  bool running = false;       ///< something may be queued in the context
  lt::session_proxy closing;  ///< the aborted session, to which what is queued points

  std::mutex mutex;
  std::condition_variable listen_changed;
  struct Listening {
    lt::tcp::endpoint tcp;
    bool tcp_listens = false, udp_listens = false;
    std::string problem;
  } listening;
  std::vector<std::pair<NodeKey, Bytes>> outbox;

  void report(SwarmEvent event) {
    if (!stopping) sink(std::move(event));
  }

  /// Runs on the network thread. An exception that left it would end the process: libtorrent throws where a handle is no longer valid.
  template <class Work>
  void post(Work work_item) {
    asio::post(context, [this, work_item = std::move(work_item)]() mutable {
      try {
        work_item();
      } catch (const std::exception& error) {
        report(SwarmProblem{std::string("libtorrent: ") + error.what()});
      }
    });
  }

  Result<void> start();
  void stop();
  static void retire(std::unique_ptr<Impl> impl);
  void join_board();
  void search();
  void run_fetch_timer();
  void on_alerts();
  void hear_listening(const std::vector<lt::alert*>& alerts);
  void on_alert(const lt::alert& alert);
  void say_unreachable(const lt::tcp::endpoint& endpoint_of, const std::string& reason);
  void dial(const lt::tcp::endpoint& endpoint_to) { if (board.is_valid()) board.connect_peer(endpoint_to); }
  std::string dht_state_path() const { return options.data_dir + "/dht.state"; }
};

Result<void> Swarm::Impl::start() {
  raise_descriptor_limit();
  loopback = is_loopback_profile(options);
  auto identity = TlsIdentity::make(options.key_seed);
  if (!identity) return identity.error();
  const NodeKey own = KeyPair::from_seed(options.key_seed).key();
  auto to_sink = [this](SwarmEvent event) { report(std::move(event)); };
  channels = std::make_shared<Channels>(own, *identity, to_sink);
  try {
    lt::session_params params = session_params_for(options);
    if (!loopback && !options.data_dir.empty()) {
      std::ifstream file(dht_state_path(), std::ios::binary);
      std::vector<char> saved{std::istreambuf_iterator<char>(file), {}};
      if (!saved.empty()) params.dht_state = lt::read_session_params(saved, lt::session::save_dht_state).dht_state;
    }
    session = std::make_unique<lt::session>(std::move(params), context);
    session->add_extension(make_channel_plugin(channels));
    session->set_alert_notify([this] { post([this] { on_alerts(); }); });
  } catch (const std::exception& error) {
    return fail(Code::unavailable, std::string("libtorrent cannot start: ") + error.what());
  }
  torrents = std::make_unique<Torrents>(*session, *channels, true, to_sink);
  items = std::make_unique<PublishedItems>(*session, options.key_seed, to_sink);
  running = true;
  thread = std::thread([this] { context.run(); });
  post([this] { if (options.join_board) join_board(); });

  std::unique_lock lock(mutex);
  listen_changed.wait_for(lock, listen_wait, [this] { return (listening.tcp_listens && listening.udp_listens) || !listening.problem.empty(); });
  if (!listening.problem.empty() || !listening.tcp_listens) {
    std::string why = listening.problem.empty() ? "no answer from libtorrent" : listening.problem;
    lock.unlock();
    stop();
    return fail(Code::unavailable, "cannot listen on " + (options.listen.empty() ? std::string("the default port") : options.listen) + ": " + why +
                                       "; choose another address with --listen IP:PORT");
  }
  return {};
}

void Swarm::Impl::stop() {
  if (stopping.exchange(true)) return;
  if (!thread.joinable()) return;
  asio::post(context, [this] {
    search_timer.cancel();
    fetch_timer.cancel();
    channels->stop();
    session->pause();
    auto timer = std::make_shared<asio::steady_timer>(context, stop_grace);
    timer->async_wait([this, timer](const boost::system::error_code&) {
      if (!loopback && !options.data_dir.empty()) {
        auto state = lt::write_session_params_buf(session->session_state(lt::session::save_dht_state), lt::session::save_dht_state);
        std::ofstream(dht_state_path(), std::ios::binary).write(state.data(), static_cast<std::streamsize>(state.size()));
      }
      board = {};
      torrents.reset();
      items.reset();
      closing = session->abort();
      session.reset();
      work.reset();
    });
  });
  // The context runs dry when the last socket is closed; one that does not close is not waited for.
  std::mutex wait_mutex;
  std::condition_variable done;
  bool joined = false;
  std::thread joiner([&] {
    thread.join();
    std::lock_guard lock(wait_mutex);
    joined = true;
    done.notify_one();
  });
  {
    std::unique_lock lock(wait_mutex);
    running = !done.wait_for(lock, stop_wait, [&] { return joined; });
    if (running) context.stop();
  }
  joiner.join();
}

/// Stops and destroys. One that did not run dry is kept until the process ends instead: what is still queued in its context points into the
/// session, and neither can go before the other.
void Swarm::Impl::retire(std::unique_ptr<Impl> impl) {
  static std::mutex kept_mutex;
  static auto* kept = new std::vector<std::unique_ptr<Impl>>;
  impl->stop();
  if (!impl->running) return;
  std::lock_guard lock(kept_mutex);
  kept->push_back(std::move(impl));
}

void Swarm::Impl::join_board() {
  lt::add_torrent_params params;
  params.info_hashes = board_hash();
  params.save_path = options.data_dir.empty() ? "." : options.data_dir;
  params.flags = lt::torrent_flags::paused;
  for (const auto& peer : options.peers)
    if (auto to = parse_endpoint(peer)) params.peers.push_back(*to);
  lt::error_code ec;
  board = session->add_torrent(std::move(params), ec);
  if (ec) return report(SwarmProblem{"cannot join the board: " + ec.message()});
  board.resume();  // dials the peers given at once
  search();
}

/// Looks for other nodes: often while none is met, rarely afterwards.
void Swarm::Impl::search() {
  if (!board.is_valid()) return;
  board.force_dht_announce();
  if (channels->count() == 0)
    for (const auto& peer : options.peers)
      if (auto to = parse_endpoint(peer)) dial(*to);
  search_timer.expires_after(search_pause);
  search_pause = channels->count() == 0 ? std::min(search_pause * 2, longest_search) : search_when_met;
  search_timer.async_wait([this](const boost::system::error_code& ec) {
    if (ec || stopping) return;
    try {
      search();
    } catch (const std::exception& error) {
      report(SwarmProblem{std::string("libtorrent: ") + error.what()});
    }
  });
}

void Swarm::Impl::run_fetch_timer() {
  if (fetch_timer_runs || !torrents->fetching()) return;
  fetch_timer_runs = true;
  fetch_timer.expires_after(std::chrono::milliseconds(Torrents::tick_ms));
  fetch_timer.async_wait([this](const boost::system::error_code& ec) {
    fetch_timer_runs = false;
    if (ec || stopping) return;
    try {
      torrents->tick();
    } catch (const std::exception& error) {
      report(SwarmProblem{std::string("libtorrent: ") + error.what()});
    }
    run_fetch_timer();
  });
}

void Swarm::Impl::on_alerts() {
  if (!session || stopping) return;
  std::vector<lt::alert*> alerts;
  session->pop_alerts(&alerts);
  hear_listening(alerts);
  for (const lt::alert* alert : alerts) on_alert(*alert);
}

/// Sockets are opened all at once, one alert each: who waits for them is to see all.
void Swarm::Impl::hear_listening(const std::vector<lt::alert*>& alerts) {
  std::lock_guard lock(mutex);
  for (const lt::alert* alert : alerts) {
    if (auto* listens = lt::alert_cast<lt::listen_succeeded_alert>(alert)) {
      const lt::tcp::endpoint at(listens->address, static_cast<std::uint16_t>(listens->port));
      if (listens->socket_type == lt::socket_type_t::tcp && (!listening.tcp_listens || reach(at.address()) > reach(listening.tcp.address()))) {
        listening.tcp_listens = true;
        listening.tcp = at;
      }
      if (listens->socket_type == lt::socket_type_t::utp) listening.udp_listens = true;
    } else if (auto* failed = lt::alert_cast<lt::listen_failed_alert>(alert)) {
      // An interface without IPv6 fails beside one that works: only a node that listens nowhere has a problem.
      if (!options.listen.empty() && failed->socket_type != lt::socket_type_t::tcp_ssl) listening.problem = failed->error.message();
    }
  }
  listen_changed.notify_all();
}

void Swarm::Impl::say_unreachable(const lt::tcp::endpoint& endpoint_of, const std::string& reason) {
  const std::string endpoint = format_endpoint(endpoint_of);
  const bool given = std::find(options.peers.begin(), options.peers.end(), endpoint) != options.peers.end();
  if (given && unreachable.insert(endpoint).second) report(PeerUnreachable{endpoint, reason});
}

void Swarm::Impl::on_alert(const lt::alert& alert) {
  if (lt::alert_cast<lt::dht_bootstrap_alert>(&alert)) {
    search_pause = first_search;
    search();
  } else if (auto* stats = lt::alert_cast<lt::session_stats_alert>(&alert)) {
    static const int messages_index = lt::find_metric_idx("dht.dht_messages_in");
    dht_answers = stats->counters()[messages_index] > 0;
  } else if (auto* gone = lt::alert_cast<lt::peer_disconnected_alert>(&alert)) {
    if (gone->op == lt::operation_t::connect) say_unreachable(gone->endpoint, gone->error.message());
  } else if (!items->on_alert(alert)) {
    torrents->on_alert(alert);
    run_fetch_timer();
  }
}

// --- the port ---

Swarm::Swarm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Swarm::~Swarm() { Impl::retire(std::move(impl_)); }

Result<std::unique_ptr<Swarm>> Swarm::start(SwarmOptions options, Sink sink) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->sink = std::move(sink);
  if (auto good = impl->start(); !good) {
    Impl::retire(std::move(impl));
    return good.error();
  }
  return std::unique_ptr<Swarm>(new Swarm(std::move(impl)));
}

void Swarm::send(const NodeKey& to, Bytes message) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->outbox.emplace_back(to, std::move(message));
    if (impl_->outbox.size() > 1) return;  // a flush is under way and takes it along
  }
  impl_->post([impl = impl_.get()] {
    std::vector<std::pair<NodeKey, Bytes>> messages;
    {
      std::lock_guard lock(impl->mutex);
      messages.swap(impl->outbox);
    }
    for (const auto& [key, message_bytes] : messages) impl->channels->send(key, message_bytes);
    impl->channels->flush();
  });
}

void Swarm::seed(SeedTorrent torrent) {
  impl_->post([impl = impl_.get(), torrent = std::move(torrent)] { impl->torrents->seed(torrent); });
}

void Swarm::fetch(FetchTorrent request) {
  impl_->post([impl = impl_.get(), request = std::move(request)]() mutable {
    impl->torrents->fetch(std::move(request));
    impl->run_fetch_timer();
  });
}

void Swarm::remove(const Hash& v2_hash) {
  impl_->post([impl = impl_.get(), v2_hash] { impl->torrents->remove(v2_hash); });
}

void Swarm::publish_item(const std::string& salt, Bytes value, std::int64_t seq) {
  impl_->post([impl = impl_.get(), salt, value = std::move(value), seq] { impl->items->publish(salt, value, seq); });
}

void Swarm::find_item(const NodeKey& key, const std::string& salt) {
  impl_->post([impl = impl_.get(), key, salt] { impl->items->find(key, salt); });
}

void Swarm::dial(const std::string& endpoint) {
  auto to = parse_endpoint(endpoint);
  if (to) impl_->post([impl = impl_.get(), to = *to] { impl->dial(to); });
}

void Swarm::ban(const NodeKey& key) {
  impl_->post([impl = impl_.get(), key] { impl->channels->ban(key); });
}

std::string Swarm::listen_endpoint() const {
  std::lock_guard lock(impl_->mutex);
  return format_endpoint(impl_->listening.tcp);
}

bool Swarm::dht_answers() const {
  impl_->post([impl = impl_.get()] { if (impl->session) impl->session->post_session_stats(); });
  return impl_->dht_answers;
}

}  // namespace tnode
