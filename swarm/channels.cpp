#include "swarm/channels.h"

#include <algorithm>

#include <libtorrent/bt_peer_connection.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/peer_connection_handle.hpp>
#include <libtorrent/torrent_handle.hpp>

#include "swarm/endpoint.h"

namespace tnode {
namespace {

constexpr int local_message_id = 20;                       // BEP 10: ours to choose; below 20 are libtorrent's own
constexpr int max_extended_bytes = 128 << 10;              // a longer `tn` message ends the connection
constexpr int max_backlog_bytes = 8 << 20;                 // a peer that does not read is let go
constexpr int handshake_wait_ticks = 10;                   // seconds from extension handshake to a channel
constexpr std::size_t max_messages_a_tick = 20'000;        // a peer that says more in a second than anyone can answer is let go,
constexpr std::size_t max_message_bytes_a_tick = 32 << 20; // or what it said would pile up in front of the node's loop
constexpr std::size_t tls_bytes_per_message = 32 << 10;    // several TLS records travel in one extension message
constexpr std::string_view extension_name = "tn";
constexpr std::string_view key_name = "tn_key";

}  // namespace

/// One peer connection that may carry a channel.
class Link : public lt::peer_plugin {
 public:
  Link(std::weak_ptr<Channels> channels, const lt::peer_connection_handle& connection)
      : channels_(std::move(channels)), connection_(connection), outgoing_(connection_.is_outgoing()) {
    set_no_delay();
  }

  lt::string_view type() const override { return "tn"; }

  void add_handshake(lt::entry& handshake) override {
    auto channels = channels_.lock();
    if (!channels) return;
    handshake["m"].dict()[std::string(extension_name)] = local_message_id;
    handshake[std::string(key_name)] = std::string(channels->own_.view());
  }

  void on_connected() override { set_no_delay(); }

  bool on_extension_handshake(const lt::bdecode_node& handshake) override {
    auto channels = channels_.lock();
    if (!channels || channels->stopped_ || handshake.type() != lt::bdecode_node::dict_t) return false;
    auto messages = handshake.dict_find_dict("m");
    auto claimed = handshake.dict_find_string_value(lt::string_view(key_name.data(), key_name.size()));
    auto id = messages ? messages.dict_find_int_value(lt::string_view(extension_name.data(), extension_name.size()), 0) : 0;
    auto key = NodeKey::from_bytes({claimed.data(), claimed.size()});
    if (id < 1 || id > 255 || !key) return false;
    if (greeted_) return true;  // a repeated handshake changes nothing
    greeted_ = true;
    remote_message_id_ = static_cast<int>(id);
    claimed_key_ = *key;
    auto remote = connection_.remote();
    auto port = outgoing_ ? remote.port() : handshake.dict_find_int_value("p", 0);
    if (port > 0 && port < 65536) dialable_ = lt::tcp::endpoint(remote.address(), static_cast<std::uint16_t>(port));
    channels->greeted(*this);
    return true;
  }

  bool on_extended(int length, int message, lt::span<const char> body) override {
    if (message != local_message_id) return false;
    if (length > max_extended_bytes) return end("a `tn` message is too long"), true;
    if (static_cast<int>(body.size()) < length) return true;  // fragments come until the whole is there
    auto channels = channels_.lock();
    if (!channels || channels->stopped_ || !greeted_ || closed_) return true;
    if (!tls_) {
      if (outgoing_) return end("TLS data before we asked for it"), true;
      tls_ = std::make_unique<TlsChannel>(channels->identity_, TlsChannel::Role::listener);
    }
    const bool was_established = tls_->established();
    auto messages = tls_->receive({body.data(), static_cast<std::size_t>(body.size())});
    // An alert that explains the end is worth sending too.
    flush();
    if (!messages) return end(messages.error().message.c_str()), true;
    if (!was_established && tls_->established()) {
      if (tls_->peer_key() != claimed_key_) return end("the key it proved is not the one it named"), true;
      channels->established(*this);
    }
    messages_in_tick_ += messages->size();
    for (const Bytes& bytes : *messages) bytes_in_tick_ += bytes.size();
    if (messages_in_tick_ > max_messages_a_tick || bytes_in_tick_ > max_message_bytes_a_tick) return end("it floods"), true;
    for (Bytes& bytes : *messages) {
      if (closed_) break;
      channels->message(*this, std::move(bytes));
    }
    return true;
  }

  void on_disconnect(const lt::error_code&) override {
    if (closed_) return;
    closed_ = true;
    if (auto channels = channels_.lock(); channels && greeted_) channels->closed(*this);
  }

  void tick() override {  // once a second
    messages_in_tick_ = bytes_in_tick_ = 0;
    if (closed_ || !tls_ || tls_->established()) return;
    if (++handshake_ticks_ >= handshake_wait_ticks) end("no TLS handshake in time");
  }

  // Called by Channels.
  void dial() {
    if (closed_ || tls_) return;
    auto channels = channels_.lock();
    if (!channels) return;
    tls_ = std::make_unique<TlsChannel>(channels->identity_, TlsChannel::Role::dialler);
    flush();
  }
  bool send(std::string_view message) { return !closed_ && tls_ && tls_->established() && tls_->send(message).ok(); }
  void flush() {
    if (closed_ || !tls_) return;
    Bytes out = tls_->take_outgoing();
    if (out.empty()) return;
    Bytes wire;
    wire.reserve(out.size() + 64);
    for (std::size_t at = 0; at < out.size(); at += tls_bytes_per_message) {
      std::string_view part = std::string_view(out).substr(at, tls_bytes_per_message);
      std::size_t length = part.size() + 2;
      for (int shift = 24; shift >= 0; shift -= 8) wire += static_cast<char>(length >> shift);
      wire += static_cast<char>(20);  // BEP 10: an extended message
      wire += static_cast<char>(remote_message_id_);
      wire += part;
    }
    auto native = connection_.native_handle();
    if (!native || native->send_buffer_size() > max_backlog_bytes) return end("it does not read");
    connection_.send_buffer(wire.data(), static_cast<int>(wire.size()));
  }
  void end(const char*) {
    if (!closed_) connection_.disconnect(boost::asio::error::connection_aborted, lt::operation_t::unknown, lt::peer_connection_interface::normal);
  }
  bool outgoing() const { return outgoing_; }
  bool can_dial() const { return outgoing_ && !tls_ && !closed_; }
  const NodeKey& key() const { return claimed_key_; }
  const std::optional<lt::tcp::endpoint>& dialable() const { return dialable_; }
  std::string remote_text() const {
    return format_endpoint(dialable_ ? *dialable_ : connection_.remote());
  }

 private:
  void set_no_delay() {
    // libtorrent never sets it, and Nagle would hold a message back until the one before is acknowledged.
    lt::error_code ignored;
    if (auto native = connection_.native_handle()) native->get_socket().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  }

  std::weak_ptr<Channels> channels_;
  lt::bt_peer_connection_handle connection_;
  const bool outgoing_;
  bool greeted_ = false, closed_ = false;
  int remote_message_id_ = 0, handshake_ticks_ = 0;
  std::size_t messages_in_tick_ = 0, bytes_in_tick_ = 0;
  NodeKey claimed_key_;
  std::optional<lt::tcp::endpoint> dialable_;
  std::unique_ptr<TlsChannel> tls_;
};

namespace {

class TorrentPlugin : public lt::torrent_plugin {
 public:
  explicit TorrentPlugin(std::weak_ptr<Channels> channels) : channels_(std::move(channels)) {}
  std::shared_ptr<lt::peer_plugin> new_connection(const lt::peer_connection_handle& connection) override {
    if (connection.type() != lt::connection_type::bittorrent) return nullptr;  // web seeds speak no extensions
    return std::make_shared<Link>(channels_, connection);
  }

 private:
  std::weak_ptr<Channels> channels_;
};

class SessionPlugin : public lt::plugin {
 public:
  explicit SessionPlugin(std::shared_ptr<Channels> channels) : channels_(std::move(channels)) {}
  std::shared_ptr<lt::torrent_plugin> new_torrent(const lt::torrent_handle&, lt::client_data_t) override { return std::make_shared<TorrentPlugin>(channels_); }

 private:
  std::weak_ptr<Channels> channels_;
};

}  // namespace

Channels::Channels(NodeKey own, std::shared_ptr<TlsIdentity> identity, Swarm::Sink report)
    : own_(own), identity_(std::move(identity)), report_(std::move(report)) {}

std::shared_ptr<lt::plugin> make_channel_plugin(const std::shared_ptr<Channels>& channels) { return std::make_shared<SessionPlugin>(channels); }

void Channels::greeted(Link& link) {
  const NodeKey& key = link.key();
  if (key == own_ || banned_.count(key)) return link.end("not wanted");
  spares_[key].insert(&link);
  if (!up_.count(key) && link.can_dial()) link.dial();
}

void Channels::established(Link& link) {
  const NodeKey& key = link.key();
  spares_[key].erase(&link);
  auto& links = up_[key];
  links.push_back(&link);
  if (links.size() == 1) report_(PeerUp{key, link.remote_text()});
}

void Channels::closed(Link& link) {
  const NodeKey key = link.key();
  unflushed_.erase(&link);
  spares_[key].erase(&link);
  auto it = up_.find(key);
  if (it != up_.end()) {
    auto& links = it->second;
    const bool in_use = !links.empty() && links.front() == &link;
    std::erase(links, &link);
    if (links.empty()) up_.erase(it);
    if (!stopped_ && in_use) {
      // What was on its way is lost: both sides hear of it even when another channel takes over, so that they say it again.
      report_(PeerDown{key});
      if (!links_left(key)) dial_spare(key);
      else report_(PeerUp{key, up_[key].front()->remote_text()});
    }
  } else if (!stopped_) {
    dial_spare(key);
  }
  if (spares_[key].empty()) spares_.erase(key);
}

void Channels::dial_spare(const NodeKey& key) {
  for (Link* spare : spares_[key]) {
    if (!spare->can_dial()) continue;
    spare->dial();
    return;
  }
}

void Channels::message(const Link& link, Bytes bytes) { report_(MessageIn{link.key(), std::move(bytes)}); }

void Channels::send(const NodeKey& to, std::string_view message) {
  auto it = up_.find(to);
  if (it == up_.end()) return;
  if (it->second.front()->send(message)) unflushed_.insert(it->second.front());
}

void Channels::flush() {
  // Flushing may end a connection, which takes it out of the set.
  while (!unflushed_.empty()) {
    Link* link = *unflushed_.begin();
    unflushed_.erase(unflushed_.begin());
    link->flush();
  }
}

void Channels::ban(const NodeKey& key) {
  banned_.insert(key);
  std::vector<Link*> links(spares_[key].begin(), spares_[key].end());
  if (auto it = up_.find(key); it != up_.end()) links.insert(links.end(), it->second.begin(), it->second.end());
  for (Link* link : links) link->end("banned");
}

std::optional<lt::tcp::endpoint> Channels::endpoint_of(const NodeKey& key) const {
  auto it = up_.find(key);
  if (it == up_.end()) return std::nullopt;
  for (const Link* link : it->second)
    if (link->dialable()) return link->dialable();
  return std::nullopt;
}

}  // namespace tnode
