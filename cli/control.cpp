#include "cli/control.h"

#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/node.h"

namespace tnode {
namespace {

constexpr std::string_view cancel_prefix = "cancel-";

}  // namespace

ControlFolder::ControlFolder(Node& node, std::function<void(const TaskId&)> cancel) {
  auto folder = WatchFolder::start(node.home().control_dir(), [&node, cancel](const std::string& path) {
    node.post([path, cancel] {
      const std::string name = std::filesystem::path(path).filename().string();
      if (!name.starts_with(cancel_prefix)) return;
      auto bytes = from_hex(name.substr(cancel_prefix.size()));
      auto task = bytes ? TaskId::from_bytes(*bytes) : Result<TaskId>(bytes.error());
      if (!task) return;  // half-written, or not a request at all
      std::error_code ec;
      std::filesystem::remove(path, ec);
      cancel(*task);
    });
  });
  if (folder) folder_ = std::move(*folder);
}

Result<void> ask_to_cancel(const Home& home, const TaskId& task) {
  return write_file_atomically(home.control_dir() + "/" + std::string(cancel_prefix) + to_hex(task), "");
}

}  // namespace tnode
