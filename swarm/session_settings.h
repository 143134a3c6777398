// Which libtorrent settings a node runs with: the public profile, and the loopback profile that tests and one-machine nets use.
#pragma once
#include <libtorrent/session_params.hpp>

#include "swarm/swarm.h"

namespace tnode {

/// True when `listen` names a loopback address: private DHT, no port mapping, no public bootstrap nodes.
bool is_loopback_profile(const SwarmOptions& options);
lt::session_params session_params_for(const SwarmOptions& options);

}  // namespace tnode
