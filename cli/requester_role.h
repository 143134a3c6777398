// Carries out what core's Requester decides for one task: books money, fetches and assembles results, keeps the task's record.
// Owned by the node; everything here runs in the node's loop but hashing and copying, which workers do.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cli/output_folder.h"
#include "cli/task_record.h"
#include "core/requester.h"

namespace tnode {

class Node;

class RequesterRole {
 public:
  struct Watcher {
    std::function<void(const Note&)> note;                                 ///< every step of the task's life
    std::function<void(const TaskRecord&, Ending, const Requester&)> end;  ///< once, after its record is durable
  };
  /// `record` is new, or of an earlier run that goes on. The task's bundle is seeded.
  RequesterRole(Node& node, TaskRecord record, StoredBundle task, Watcher watcher);

  void hear(RequesterEvent event) { pending_.push_back(std::move(event)); }
  bool step();
  TimeMs next_deadline(TimeMs now) const;
  bool owns(const AwardId& award) const { return requester_.owns(award); }
  const TaskId& task() const { return record_.offer.task; }
  const Requester& requester() const { return requester_; }
  /// From inside the loop, when the node leaves: the task is on record as interrupted, and the next run goes on with it.
  void interrupt();
  /// Over, and nothing that was started for it is still under way.
  bool gone() const { return gone_ && busy_ == 0; }

 private:
  void carry(const Send& effect);
  void carry(const Save& effect);
  void carry(const Erase& effect);
  void carry(const Note& effect);
  void carry(const WriteHold& effect);
  void carry(const WriteDebit& effect);
  void carry(const WriteRelease& effect);
  void carry(const Witness& effect);
  void carry(const FetchResult& effect);
  void carry(const AssembleResult& effect);
  void carry(const Finished& effect);
  void written(const AwardId& award, const Result<Block>& block);
  void fetched(UnitNumber unit, const Result<StoredBundle>& bundle);
  void remember_failure(UnitNumber unit, const Requester::Accepted& accepted, const StoredBundle& bundle);
  void update_record();
  OutputFolder output_folder() const { return {record_.out, task(), record_.offer.units}; }

  Node& node_;
  TaskRecord record_;
  StoredBundle task_;
  Watcher watcher_;
  Requester requester_;
  std::vector<RequesterEvent> pending_;
  bool started_ = false, gone_ = false;
  std::string save_problem_;  // why the outputs are in the home alone
  int busy_ = 0;  // fetches and jobs of workers that will come back
  TimeMs due_ms_ = 0, record_saved_ms_ = 0;
  bool record_stale_ = false;  ///< something happened since what `status` shows was saved
};

}  // namespace tnode
