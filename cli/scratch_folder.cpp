#include "cli/scratch_folder.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view scratch_prefix = "pack-";

}  // namespace

Result<ScratchFolder> ScratchFolder::make(const std::string& parent) {
  static std::atomic<unsigned> count{0};  // the watch folder's tasks are packed side by side
  const std::string path = parent + "/" + std::string(scratch_prefix) + std::to_string(getpid()) + "-" + std::to_string(count++);
  std::error_code ec;
  fs::remove_all(path, ec);  // of an earlier process with our number
  fs::create_directories(path, ec);
  if (ec) return fail(Code::io, "cannot make the folder " + path + ": " + ec.message());
  return ScratchFolder(path);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ec;
  if (!path_.empty()) fs::remove_all(path_, ec);
}

void sweep_scratch_folders(const std::string& parent) {
  std::error_code ec;
  std::vector<fs::path> abandoned;
  for (const auto& entry : fs::directory_iterator(parent, ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(scratch_prefix)) continue;
    const int process = std::atoi(name.c_str() + scratch_prefix.size());
    if (process <= 0 || (kill(process, 0) != 0 && errno == ESRCH)) abandoned.push_back(entry.path());
  }
  for (const auto& path : abandoned) fs::remove_all(path, ec);
}

}  // namespace tnode
