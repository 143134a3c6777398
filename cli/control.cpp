#include "cli/control.h"

#include <filesystem>
#include <optional>

#include "cli/bundle_disk.h"
#include "cli/node.h"
#include "cli/runtime_store.h"

namespace tnode {
namespace {

constexpr std::string_view cancel_prefix = "cancel-", serve_prefix = "runtime-";

/// The id in a request's name; nothing when it is another request, half-written, or none at all.
template <class Id>
std::optional<Id> id_in(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  auto bytes = from_hex(name.substr(prefix.size()));
  auto id = bytes ? Id::from_bytes(*bytes) : Result<Id>(bytes.error());
  return id ? std::optional(*id) : std::nullopt;
}

}  // namespace

ControlFolder::ControlFolder(Node& node, std::function<void(const TaskId&)> cancel) {
  auto folder = WatchFolder::start(node.home().control_dir(), [&node, cancel](const std::string& path) {
    node.post([&node, path, cancel] {
      const std::string name = std::filesystem::path(path).filename().string();
      const auto task = id_in<TaskId>(name, cancel_prefix);
      const auto runtime = id_in<RuntimeId>(name, serve_prefix);
      if (!task && !runtime) return;
      std::error_code ec;
      std::filesystem::remove(path, ec);
      if (task) return cancel(*task);
      if (auto bundle = find_runtime(node.home(), *runtime)) node.offer(*bundle, Node::Twin::no);
    });
  });
  if (folder) folder_ = std::move(*folder);
}

Result<void> ask_to_cancel(const Home& home, const TaskId& task) {
  return write_file_atomically(home.control_dir() + "/" + std::string(cancel_prefix) + to_hex(task), "");
}

Result<void> ask_to_serve(const Home& home, const RuntimeId& runtime) {
  return write_file_atomically(home.control_dir() + "/" + std::string(serve_prefix) + to_hex(runtime), "");
}

}  // namespace tnode
