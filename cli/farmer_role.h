// Carries out what core's Farmer decides: fetches tasks, has units run, packs and seeds results, books what is earned.
// Owned by the node; everything here runs in the node's loop but hashing, which workers do.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/farmer_audits.h"
#include "cli/farmer_runtimes.h"
#include "cli/node.h"
#include "core/farmer.h"
#include "core/torrent.h"
#include "executor/executor.h"

namespace tnode {

/// Alters what a unit left in its folder before it is packed: how tests build a farmer that lies.
using Tamper = std::function<void(const std::string& collected_dir, ExecutionReport& report)>;

struct FarmerRoleOptions {
  FarmerOptions farmer;                       ///< key, balance and nonce secret are filled in
  std::int64_t max_task_bytes = 8LL << 30;    ///< a larger task is not fetched
  std::int64_t max_mirror_bytes = 1LL << 30;  ///< a larger result is not kept alive for others
  std::int64_t runtime_cache_bytes = 0;       ///< what runtimes may take on disk
  Tamper tamper;
};

class FarmerRole {
 public:
  using Observer = std::function<void(const Note&)>;
  FarmerRole(Node& node, FarmerRoleOptions options, Observer observer);

  void heard(const ItemFound& item) { chain_audits_.heard(item); }
  void hear(FarmerEvent event) { pending_.push_back(std::move(event)); }
  void on_report(const ExecutionReport& report);
  /// Lets the role decide if anything happened or is due; true when something came of it.
  bool step();
  TimeMs next_deadline(TimeMs now) const { return farmer_.next_deadline(now); }
  const Farmer& farmer() const { return farmer_; }
  /// A task that the user put into the watch folder: fetched and kept ready, and offers for it are welcome.
  void watch(const TaskId& task, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<std::string> peers,
             std::function<void(const std::string& problem)> end);
  /// Nothing runs, no mirror is being fetched.
  bool at_rest() const { return farmer_.idle() && jobs_.empty() && mirroring_ == 0 && runtimes_.at_rest(); }

 private:
  struct Task { TaskSpec spec; std::string bundle_dir; std::vector<std::pair<std::string, std::string>> foreign_inputs; };
  struct Job { TaskId task; UnitNumber unit = 0; std::string dir; };

  void carry(const Send& effect);
  void carry(const Save& effect);
  void carry(const Erase& effect);
  void carry(const Note& effect);
  void carry(const FetchTask& effect);
  void carry(const PrepareRuntime& effect) { runtimes_.prepare(effect); }
  void carry(const AuditChain& effect) { chain_audits_.audit(effect); }
  void carry(const RunUnit& effect);
  void carry(const StopUnit& effect);
  void carry(const EndIdle& effect);
  void carry(const FreezeUnits& effect);
  void carry(const ThawUnits& effect);
  void carry(const SeedResult& effect);
  void carry(const DropResult& effect);
  void carry(const KeepHold& effect);
  void carry(const WriteCredit& effect);
  void carry(const MirrorResult& effect);
  void carry(const Meet& effect);

  std::int64_t largest_fetch() const;
  void get_task(const TaskId& task, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<NodeKey> holders, std::vector<std::string> peers,
                std::function<void(const std::string& problem)> end);
  void open_task(const TaskId& task, const Torrent& torrent, std::function<void(const std::string& problem)> end);
  void get_foreign_inputs(const TaskId& task, Task opened, std::function<void(const std::string& problem)> end);
  void reseed();
  void look_at_audits();
  /// Has a bundle among the results, from the net if need be; `end` gets nullptr when it cannot be had.
  void mirror(const ResultId& id, const std::array<std::uint8_t, 20>& v1_hash, const NodeKey& holder, Node::Twin twin, std::function<void(const StoredBundle*)> end);

  Node& node_;
  FarmerRoleOptions options_;
  Observer observer_;
  Farmer farmer_;
  FarmerRuntimes runtimes_;
  FarmerAudits chain_audits_;
  std::vector<FarmerEvent> pending_;
  bool started_ = false;
  TimeMs due_ms_ = 0;
  std::map<TaskId, Task> tasks_;
  std::map<TaskId, std::vector<std::function<void(const std::string&)>>> fetching_;
  std::map<std::uint64_t, Job> jobs_;
  int mirroring_ = 0;
  std::map<NodeKey, std::filesystem::file_time_type> audits_;  // when what they say was last read
};

}  // namespace tnode
