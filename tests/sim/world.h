// A world of nodes, links and time. Owns all of them and the queue of what happens next; the faults it may draw are its options.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "core/messages.h"
#include "tests/sim/laws.h"
#include "tests/sim/random.h"

namespace tnode::sim {

class SimNode;
struct NodeTerms;

/// What may go wrong while faults are on. Chances are per mille.
struct Faults {
  TimeMs max_delay_ms = 20;       ///< of a message; bounded below by 1
  int slow_message = 0;           ///< a message takes up to 3 s instead
  int lost_message = 0;           ///< a message is lost, and its channel with it
  int repeated_message = 0;       ///< a frame arrives twice
  int crash_before_commit = 0;    ///< at the end of a node's turn: nothing of it is durable, nothing is sent
  int crash_after_commit = 0;     ///< all of it is durable, a part of its messages leaves
  int failed_fetch = 0;
  TimeMs max_down_ms = 20'000;    ///< of a crashed node or a cut link
};

struct WorldOptions {
  std::uint64_t seed = 1;
  Faults faults;
  bool trace = false;             ///< tell the story on stderr
  bool real_store = false;        ///< ledgers are real files, compared with the model; else the model alone
};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  SimNode& add(const NodeTerms& terms);
  /// Lets two nodes meet, now and after every break.
  void acquaint(SimNode& a, SimNode& b);
  void acquaint_all();
  /// Breaks their channel; it stays broken until `join`.
  void part(SimNode& a, SimNode& b);
  void join(SimNode& a, SimNode& b);
  /// From now on nothing goes wrong: links come back, crashed nodes start again.
  void heal();

  void at(TimeMs when, std::function<void()> action);
  void after(TimeMs delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  /// Lets time pass until `done`, at most `limit` of simulated time; whether it came true.
  bool run_until(const std::function<bool()>& done, TimeMs limit);
  void run_for(TimeMs duration) { run_until([] { return false; }, duration); }

  TimeMs now() const { return now_; }
  Random& random() { return random_; }
  const Faults& faults() const { return options_.faults; }
  void now_fails(const Faults& faults) { options_.faults = faults; }
  const WorldOptions& options() const { return options_; }
  Laws& laws() { return laws_; }
  const std::vector<std::unique_ptr<SimNode>>& nodes() const { return nodes_; }
  SimNode* node(const NodeKey& key) const;
  /// For files of the real stores; gone with the world.
  std::string folder();
  std::uint64_t steps() const { return steps_; }

  /// One line of the story, when it is told.
  void trace(const SimNode& node, const std::string& what) const;

  /// What each result's own manifest says of how its unit ended.
  std::map<ResultId, Outcome> bundles;

  // For nodes.
  void send(SimNode& from, const NodeKey& to, const Bytes& frame);
  void node_went(SimNode& node);
  void node_came(SimNode& node);

 private:
  struct Link {
    SimNode* side[2] = {};
    bool parted = false, up = false;
    std::uint64_t session = 0;     // counts the channels that there were
    TimeMs alive_ms[2] = {};       // messages towards that side arrive until then: what was on its way outlives the break, and its sender
    bool told[2] = {};             // that side knows of the channel
    TimeMs told_ms[2] = {};        // when it will or did learn of it
    TimeMs arrival_ms[2] = {};     // of the last message towards that side: a channel keeps order
    TimeMs settled_ms = 0;         // both sides know by then that the last channel broke
  };
  Link& link(SimNode& a, SimNode& b);
  void open(Link& link);
  void close(Link& link);

  struct Happening {
    TimeMs when;
    std::uint64_t number;
    std::function<void()> action;
    bool operator>(const Happening& other) const { return std::tie(when, number) > std::tie(other.when, other.number); }
  };

  WorldOptions options_;
  Random random_;
  Laws laws_;
  TimeMs now_ = 1'700'000'000'000;
  std::uint64_t next_number_ = 0, steps_ = 0;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> queue_;
  std::string folder_;
  std::map<std::pair<NodeKey, NodeKey>, Link> links_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace tnode::sim
