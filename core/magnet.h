// Magnet links (BEP 9, BEP 53's x.pe hints, v2 hashes as multihash): how a task or a result is passed on as text. Pure.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

/// magnet:?xt=urn:btih:…&xt=urn:btmh:1220…&dn=…, with x.pe hints.
struct Magnet {
  Hash v2_hash;                            ///< zero when the link has none
  std::array<std::uint8_t, 20> v1_hash{};  ///< zero when the link has none
  std::string name;
  std::vector<std::string> peers;          ///< "host:port"
};

inline constexpr std::size_t max_magnet_bytes = 16 << 10;
inline constexpr std::size_t max_magnet_peers = 64;

std::string format_magnet(const Magnet& magnet);
/// Unknown parameters are passed over. `invalid` when a hash or a peer is malformed, two hashes contradict, or there is no hash.
/// A name that is not plain text is left out: it is for people only.
Result<Magnet> parse_magnet(std::string_view link);

}  // namespace tnode
