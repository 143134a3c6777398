// Magnet links: see magnet.h.
#include "core/magnet.h"

#include <algorithm>
#include <charconv>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

constexpr std::string_view scheme = "magnet:?";
constexpr std::string_view v1_prefix = "urn:btih:";
constexpr std::string_view v2_prefix = "urn:btmh:";
constexpr std::string_view sha256_multihash = "1220";  // multihash: SHA-256, 32 bytes

template <std::size_t size>
bool is_zero(const std::array<std::uint8_t, size>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool is_unreserved(char c) {  // RFC 3986, section 2.3
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
}

std::string percent_encoded(std::string_view text, std::string_view also_kept = "") {
  std::string encoded;
  for (char c : text) {
    if (is_unreserved(c) || also_kept.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      std::string hex = to_hex(std::string_view(&c, 1));
      std::transform(hex.begin(), hex.end(), hex.begin(), [](char d) { return d >= 'a' ? static_cast<char>(d - 'a' + 'A') : d; });
      encoded += '%' + hex;
    }
  }
  return encoded;
}

Result<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      auto byte = i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : Result<Bytes>(fail(Code::invalid, ""));
      if (!byte) return fail(Code::invalid, "a '%' without two hex digits after it");
      decoded += *byte;
      i += 2;
    }
  }
  return decoded;
}

/// RFC 4648 base32 of exactly 20 bytes: 32 letters, no padding.
Result<Bytes> from_base32(std::string_view text) {
  Bytes bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    std::uint32_t value;
    if (c >= 'a' && c <= 'z') value = static_cast<std::uint32_t>(c - 'a');
    else if (c >= 'A' && c <= 'Z') value = static_cast<std::uint32_t>(c - 'A');
    else if (c >= '2' && c <= '7') value = static_cast<std::uint32_t>(c - '2') + 26;
    else return fail(Code::invalid, "not base32");
    bits = (bits << 5 | value) & 0xfff;
    held += 5;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xff);
    }
  }
  return bytes;
}

template <std::size_t size>
Result<void> set_hash(std::array<std::uint8_t, size>& hash, const Bytes& raw, const char* kind) {
  std::array<std::uint8_t, size> fresh;
  std::copy(raw.begin(), raw.end(), fresh.begin());
  if (is_zero(fresh)) return fail(Code::invalid, std::string("an all-zero ") + kind + " hash");
  if (!is_zero(hash) && hash != fresh) return fail(Code::invalid, std::string("two different ") + kind + " hashes");
  hash = fresh;
  return {};
}

Result<void> read_topic(Magnet& magnet, std::string_view topic) {
  if (topic.starts_with(v1_prefix)) {
    std::string_view text = topic.substr(v1_prefix.size());
    auto raw = text.size() == 40 ? from_hex(text) : text.size() == 32 ? from_base32(text) : fail(Code::invalid, "");
    if (!raw) return fail(Code::invalid, "urn:btih: needs 40 hex digits or 32 base32 letters");
    return set_hash(magnet.v1_hash, *raw, "v1");
  }
  if (topic.starts_with(v2_prefix)) {
    std::string_view text = topic.substr(v2_prefix.size());
    auto raw = text.size() == 68 && text.starts_with(sha256_multihash) ? from_hex(text.substr(4)) : fail(Code::invalid, "");
    if (!raw) return fail(Code::invalid, "urn:btmh: needs 1220 and 64 hex digits");
    return set_hash(magnet.v2_hash.bytes, *raw, "v2");
  }
  return {};  // another network's name
}

bool is_endpoint(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || !is_plain_text(text)) return false;
  std::string_view host = text.substr(0, colon), port_text = text.substr(colon + 1);
  bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  if (!bracketed && host.find_first_of(":[] /") != std::string_view::npos) return false;
  std::uint16_t port = 0;
  auto [rest, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  return error == std::errc{} && rest == port_text.data() + port_text.size() && port != 0;
}

bool is_key(std::string_view key, std::string_view name) {  // "xt", or numbered: "xt.1"
  return key == name || (key.starts_with(name) && key.size() > name.size() + 1 && key[name.size()] == '.' &&
                         key.find_first_not_of("0123456789", name.size() + 1) == std::string_view::npos);
}

Result<void> read_parameter(Magnet& magnet, std::string_view key, std::string_view raw_value) {
  bool topic = is_key(key, "xt"), name = key == "dn", peer = is_key(key, "x.pe");
  if (!topic && !name && !peer) return {};
  auto value = percent_decoded(raw_value);
  if (!value) return value.error();
  if (topic) return read_topic(magnet, *value);
  if (name) {
    if (is_plain_text(*value)) magnet.name = *value;
    return {};
  }
  if (!is_endpoint(*value)) return fail(Code::invalid, "x.pe needs HOST:PORT, not " + quoted_name(*value));
  if (magnet.peers.size() == max_magnet_peers) return fail(Code::invalid, "more than " + std::to_string(max_magnet_peers) + " x.pe hints");
  magnet.peers.push_back(*value);
  return {};
}

}  // namespace

std::string format_magnet(const Magnet& magnet) {
  std::string link(scheme);
  auto add = [&](std::string_view key, const std::string& value) {
    if (link.size() > scheme.size()) link += '&';
    link.append(key).append("=").append(value);
  };
  if (!is_zero(magnet.v1_hash))
    add("xt", std::string(v1_prefix) + to_hex({reinterpret_cast<const char*>(magnet.v1_hash.data()), magnet.v1_hash.size()}));
  if (!magnet.v2_hash.is_zero()) add("xt", std::string(v2_prefix) + std::string(sha256_multihash) + to_hex(magnet.v2_hash));
  if (!magnet.name.empty()) add("dn", percent_encoded(magnet.name));
  for (const std::string& peer : magnet.peers) add("x.pe", percent_encoded(peer, ":[]"));
  return link;
}

Result<Magnet> parse_magnet(std::string_view link) {
  auto refused = [&](const std::string& why) { return fail(Code::invalid, "the link " + quoted_name(link) + " is no magnet link of a torrent: " + why); };
  while (!link.empty() && (link.back() == '\n' || link.back() == '\r' || link.back() == ' ')) link.remove_suffix(1);
  while (!link.empty() && link.front() == ' ') link.remove_prefix(1);
  if (link.size() > max_magnet_bytes) return refused("it is longer than " + std::to_string(max_magnet_bytes) + " bytes");
  if (!link.starts_with(scheme)) return refused("it does not begin with magnet:?");
  Magnet magnet;
  for (std::string_view rest = link.substr(scheme.size()); !rest.empty();) {
    std::size_t end = std::min(rest.find('&'), rest.size());
    std::string_view parameter = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::size_t equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    if (auto ok = read_parameter(magnet, parameter.substr(0, equals), parameter.substr(equals + 1)); !ok) return refused(ok.error().message);
  }
  if (magnet.v2_hash.is_zero() && is_zero(magnet.v1_hash)) return refused("it has no xt=urn:btih: or xt=urn:btmh: hash");
  return magnet;
}

}  // namespace tnode
