// What `tnode seed` says: a line for each step that people want to know of, and the answer at the end.
#pragma once
#include <map>
#include <string>

#include "cli/home.h"
#include "cli/offer_terms.h"
#include "cli/output.h"
#include "core/requester.h"

namespace tnode {

class SeedReport {
 public:
  /// `passing`: node and home are gone when the answer is read, as a devnet's are.
  SeedReport(Output& output, const Home& home, const PackedTask& task, bool passing) : output_(output), home_(home), task_(task), passing_(passing) {}
  /// From now on links name this address.
  void listens(const std::string& endpoint) { endpoint_ = endpoint; }

  void show(const Note& note);
  /// Why it ended, then the answer.
  void show_end(const TaskRecord& record, Ending ending, const std::map<NodeKey, Micro>& paid);
  void answer(const TaskRecord& record, const std::map<NodeKey, Micro>& paid);
  std::string task_magnet() const { return magnet(task_.bundle.torrent.v2_hash, task_.bundle.torrent.v1_hash, task_.terms.name, endpoint_); }

 private:
  static std::string magnet(const Hash& v2_hash, const std::array<std::uint8_t, 20>& v1_hash, const std::string& name, const std::string& endpoint);
  std::string lasting_endpoint() const { return passing_ ? "" : endpoint_; }
  std::string result_magnet(const TaskRecord& record) const;
  Json summary(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const;
  std::string files_text(const TaskRecord& record) const;
  std::string text(const TaskRecord& record, const std::map<NodeKey, Micro>& paid) const;

  Output& output_;
  const Home& home_;
  const PackedTask& task_;
  bool passing_;
  std::string endpoint_;
  std::int64_t accepted_ = 0;
};

/// The failures on record as programs read them.
Json failures_json(const TaskRecord& record);

}  // namespace tnode
