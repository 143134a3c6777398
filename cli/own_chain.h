// Watches over this node's own chain: hears of blocks that it signed and does not have. While the chain is in doubt (a restored key, a store
// that is gone, older, or copied) it asks the DHT and every node met, puts together what is missing, and says when it is known that nothing is:
// until then nothing is signed. Owned by the node, runs in its loop; docs/keys.md tells the rules.
#pragma once
#include <functional>
#include <map>
#include <set>

#include "cli/restored.h"
#include "cli/results.h"
#include "core/chain_recovery.h"
#include "core/messages.h"
#include "swarm/swarm.h"

namespace tnode {

class Node;

class OwnChain {
 public:
  /// `mark`: what an earlier run or a restore left to be found out.
  OwnChain(Node& node, Store& store, std::optional<RestoredMark> mark);
  bool in_doubt() const { return recovery_.has_value(); }
  /// What it still waits for, for people; empty when not in doubt.
  std::string waits_for() const;
  /// Called once, when it is known that nothing is missing.
  void on_trusted(std::function<void()> action) { trusted_ = std::move(action); }
  /// What moves money is done afterwards.
  void hold_back(std::function<void()> action);

  void met(const NodeKey& peer);
  void left(const NodeKey& peer);
  void answer(const NodeKey& peer, const AskBlocks& ask);
  void take(const NodeKey& peer, const OwnBlocks& blocks);
  void heard(const ItemFound& item);

 private:
  void look();
  void ask(const NodeKey& peer, std::uint64_t from);
  void see(const Block& block);
  void stop_at(const Block& newer);
  void fetch_bundles();
  void advance();
  void catch_up(const ChainReport& chain);
  void trust_if_known();
  void release_orphans();

  Node& node_;
  Store& store_;
  RestoredMark mark_;
  std::optional<ChainRecovery> recovery_;      // while in doubt
  struct Asked { std::uint64_t from = 0; TimeMs at_ms = 0; };
  std::map<NodeKey, Asked> asked_;             // until the answer
  std::set<NodeKey> answered_;
  std::optional<PublishedHead> published_;
  bool searched_ = false;                      // a search of the DHT came to its end
  bool head_shown_ = false;                    // somebody has our newest block
  bool fetching_ = false;
  std::optional<std::uint64_t> parted_at_;     // two blocks of ours at one place
  std::string fetch_problem_;
  TimeMs searched_ms_ = 0, fetched_ms_ = 0, changed_ms_ = 0;
  std::vector<std::function<void()>> held_back_;
  std::function<void()> trusted_;
};

inline constexpr TimeMs own_head_search_ms = 5'000;   ///< how often the DHT is asked, in doubt
inline constexpr TimeMs own_fetch_retry_ms = 15'000;  ///< how often bundles that could not be had are tried again
inline constexpr TimeMs own_settle_ms = 3'000;        ///< quiet after the last that was learnt: others may know more
inline constexpr TimeMs own_ask_again_ms = 10'000;    ///< who has not answered by then is asked again, in doubt
inline constexpr std::size_t most_held_back = 1'024;
inline constexpr TimeMs orphan_look_ms = 60'000;      ///< how often it is looked for HOLDs that no task is behind

}  // namespace tnode
