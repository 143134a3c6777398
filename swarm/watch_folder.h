// A folder that is watched: tells of each file that is there, arrives, or was written to its end. Owns one thread.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/result.h"

namespace tnode {

class WatchFolder {
 public:
  /// Called from the folder's thread with the path of a regular file; perhaps more than once for the same file.
  using Sink = std::function<void(const std::string& path)>;
  /// Makes the folder if need be; what lies in it already is told too, once it stands still.
  static Result<std::unique_ptr<WatchFolder>> start(const std::string& dir, Sink sink);
  ~WatchFolder();

 private:
  struct Impl;
  explicit WatchFolder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tnode
