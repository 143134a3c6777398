// What must hold in every simulated world, whatever goes wrong, watched from outside: money, votes, and who may be believed.
#pragma once
#include <map>
#include <set>
#include <string>

#include "core/effects.h"
#include "core/requester.h"
#include "tests/sim/violation.h"

namespace tnode::sim {

class World;
class SimNode;
struct SimTask;

/// What the channel carries at most (swarm/swarm.h says the same).
inline constexpr std::size_t max_frame_bytes = 16 << 10;

class Laws {
 public:
  explicit Laws(World& world) : world_(world) {}

  // Asked at every turn of a node, before its messages leave.
  void note(const SimNode& node, const SimTask& task, const Note& note);
  void message_leaves(const SimNode& from, const NodeKey& to, const Message& message);
  /// A farmer's lease is durably over: if it is awarded again, its units run again.
  void lease_over(const Bytes& award);
  /// After a commit that wrote blocks: money is conserved, nothing is paid or held twice.
  void money();
  /// Once everything is over: each agreed vote was paid its price once, nothing else was, nothing is held or unclaimed.
  void settled();

 private:
  void commit_leaves(const Commit& commit);
  void reveal_leaves(const Reveal& reveal);
  World& world_;
  std::map<std::pair<AwardId, UnitNumber>, Hash> commits_;    // of honest farmers: the one word that each gave
  std::set<std::pair<AwardId, UnitNumber>> asked_;            // commit sets that left a requester
  std::map<Hash, std::pair<AwardId, UnitNumber>> nonces_;
};

}  // namespace tnode::sim
