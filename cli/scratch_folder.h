// A folder for what is half packed: never found by others, gone with its scope, and swept by the next one when its process was killed.
#pragma once
#include <string>

#include "core/types.h"

namespace tnode {

class ScratchFolder {
 public:
  /// Makes a new folder below `parent`, named by this process. `io` when that cannot be.
  static Result<ScratchFolder> make(const std::string& parent);
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// Removes the scratch folders below `parent` of processes that are gone: others may be packing beside us.
void sweep_scratch_folders(const std::string& parent);

}  // namespace tnode
