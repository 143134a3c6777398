// A farmer's cache of runtimes: gets them from the swarm, unpacks them, and lets the longest unused go when the limit is met.
// Owned by the farmer's role; everything runs in the node's loop but unpacking and removing, which workers do.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "cli/node.h"
#include "core/farmer.h"

namespace tnode {

class FarmerRuntimes {
 public:
  struct Options {
    std::int64_t limit_bytes = 0;                        ///< of all that came from the swarm, and of all that is unpacked
    std::function<void(FarmerEvent)> hear;               ///< RuntimeReady and RuntimeLost
    std::function<bool(const RuntimeId&)> in_use;        ///< never let go
    std::function<void(const Note&)> note;               ///< progress
  };
  FarmerRuntimes(Node& node, Options options);

  void prepare(const PrepareRuntime& effect);
  /// The folder that tasks see as their root; used now.
  std::string root(const RuntimeId& id);
  bool at_rest() const { return preparing_.empty(); }

 private:
  struct Preparing { std::uint64_t number = 0; std::int64_t bytes = 0; };  // which attempt it is, and what it takes once that is known

  void fetch(const PrepareRuntime& effect);
  void check_and_unpack(const RuntimeId& id, const StoredBundle& bundle);
  Result<void> make_room(const RuntimeId& id, std::int64_t needed);
  bool under_way(const RuntimeId& id, std::uint64_t number) const;
  void let_go(const RuntimeId& id);
  void done(const RuntimeId& id);
  void lost(const RuntimeId& id, const std::string& reason);
  void tell(const RuntimeId& id, const char* doing, std::int64_t done_bytes, std::int64_t total_bytes);

  Node& node_;
  Options options_;
  std::map<RuntimeId, Preparing> preparing_;
  OfferedRuntimes offered_;
  std::uint64_t next_number_ = 1;
};

/// Where a runtime is unpacked.
std::string runtime_root(const Home& home, const RuntimeId& id);

}  // namespace tnode
