// "IP:PORT" and "[IPv6]:PORT" as libtorrent's endpoints.
#pragma once
#include <optional>
#include <string>

#include <libtorrent/socket.hpp>

namespace tnode {

inline std::optional<lt::tcp::endpoint> parse_endpoint(const std::string& text) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) return std::nullopt;
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  unsigned port = 0;
  for (char c : text.substr(colon + 1)) {
    if (c < '0' || c > '9' || (port = port * 10 + static_cast<unsigned>(c - '0')) > 65535) return std::nullopt;
  }
  boost::system::error_code ec;
  auto address = boost::asio::ip::make_address(host, ec);
  if (ec || port == 0) return std::nullopt;
  return lt::tcp::endpoint(address, static_cast<std::uint16_t>(port));
}

inline std::string format_endpoint(const lt::tcp::endpoint& endpoint) {
  auto address = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(endpoint.port());
}

}  // namespace tnode
