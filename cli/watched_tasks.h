// The watch folder of `farm`: what users drop in is taken up, then moved to done/, or to rejected/ with the reason beside it.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "cli/output.h"
#include "core/types.h"
#include "swarm/watch_folder.h"

namespace tnode {

class Node;

class WatchedTasks {
 public:
  static Result<std::unique_ptr<WatchedTasks>> start(Node& node, const std::string& dir, const Output& output);
  bool busy() const { return !taken_.empty(); }

 private:
  WatchedTasks(Node& node, std::string dir, const Output& output) : node_(node), dir_(std::move(dir)), output_(output) {}
  void take(const std::string& path);
  void take_torrent(const std::string& path);
  void take_magnet(const std::string& path);
  void take_task_file(const std::string& path);
  void watch(const std::string& path, const Hash& v2_hash, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<std::string> peers);
  void done(const std::string& path, const TaskId& task, const std::string& what);
  void reject(const std::string& path, const std::string& reason);
  void move_to(const std::string& folder, const std::string& path, const std::string& reason);

  Node& node_;
  std::string dir_;
  const Output& output_;
  std::map<std::string, bool> taken_;  // paths that are being worked on
  std::unique_ptr<WatchFolder> folder_;
};

}  // namespace tnode
