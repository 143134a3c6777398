// Magnet links of tasks and results as users see them.
#pragma once
#include "core/magnet.h"
#include "core/torrent.h"

namespace tnode {

/// Both hashes, the name, and where a node that has it listens (left out when that is not an address others can dial).
inline std::string magnet_of(const Hash& v2_hash, const std::array<std::uint8_t, 20>& v1_hash, const std::string& name, const std::string& endpoint) {
  Magnet magnet{v2_hash, v1_hash, name, {}};
  if (!endpoint.empty() && !endpoint.starts_with("0.0.0.0") && !endpoint.starts_with("[::]")) magnet.peers.push_back(endpoint);
  return format_magnet(magnet);
}

}  // namespace tnode
