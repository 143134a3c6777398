// Makes this node's chain public: sealed segments and the open rest as torrents, the head in the DHT. Owned by the node, runs in its loop;
// hashing is done by workers.
#pragma once
#include <optional>
#include <vector>

#include "cli/results.h"
#include "core/published_chain.h"
#include "swarm/swarm.h"

namespace tnode {

class Node;

class ChainPublisher {
 public:
  explicit ChainPublisher(Node& node);
  /// The DHT's answer: how many nodes have the head.
  void heard(const ItemPublished& event);

 private:
  void look();
  void advance();
  void bundle(std::uint64_t first);
  void kept(std::uint64_t first, const Block& last, const Result<StoredBundle>& bundle);
  void say_head();
  BundleAt segment_before(std::uint64_t first) const;
  bool putting() const;
  void serve_open(std::uint64_t blocks, const StoredBundle& bundle);
  void let_open_go(std::uint64_t before);

  Node& node_;
  bool busy_ = false;
  std::uint64_t bundled_ = 0;               ///< blocks that stand in bundles
  std::optional<PublishedHead> head_;       ///< what was made last
  struct OpenBundle { std::uint64_t blocks = 0; StoredBundle bundle; };
  std::vector<OpenBundle> open_;            ///< of the open segment as it grew: those that a head in the DHT may name still
  std::uint64_t published_ = 0;             ///< blocks up to the head that the DHT took
  TimeMs published_ms_ = 0, said_ms_ = 0;
};

inline constexpr const char* segment_bucket = "segment";       ///< sealed segments' bundles, by number
inline constexpr const char* open_segment = "open";             ///< in the same bucket: the bundle of the open segment that was made last
inline constexpr std::size_t most_open_bundles = 8;             ///< when no DHT takes any head
inline constexpr TimeMs open_bundle_kept_ms = 60'000;           ///< after a newer head was published: an auditor may have the older one
inline constexpr TimeMs publish_every_ms = 2'000;               ///< how often it is looked whether the chain has grown
inline constexpr TimeMs put_wait_ms = 20'000;                   ///< a put that was not answered by then is made again
inline constexpr TimeMs republish_ms = 1'800'000;               ///< DHT nodes forget after two hours

}  // namespace tnode
