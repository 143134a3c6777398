// When a farmer rests: while its user says so (`tnode pause`), or while the machine's owner works (`--when idle`). Tells the farmer's role.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "core/owner_watch.h"
#include "executor/machine_load.h"

namespace tnode {

class Node;

class FarmPausing {
 public:
  /// `when_idle`: looks at the machine's load once a second. Lives as long as the node's loop runs.
  FarmPausing(Node& node, bool when_idle);
  void by_user(bool paused);

 private:
  void look();
  void tell();

  Node& node_;
  bool paused_by_user_ = false;
  std::optional<std::string> owner_;  // why the owner comes first now
  OwnerWatch watch_;
  std::unique_ptr<MachineLoad> load_;
  std::string told_;
};

}  // namespace tnode
