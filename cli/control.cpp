#include "cli/control.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/bundle_disk.h"
#include "cli/node.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view cancel_prefix = "cancel-";
constexpr std::string_view pause_name = "pause", resume_name = "resume";
constexpr int answer_wait_tries = 100;  // of 50 ms

void take(const std::string& path, const ControlActions& actions) {
  const std::string name = fs::path(path).filename().string();
  std::error_code ec;
  if (actions.pause && (name == pause_name || name == resume_name)) {
    fs::remove(path, ec);
    return actions.pause(name == pause_name);
  }
  if (!actions.cancel || !name.starts_with(cancel_prefix)) return;
  auto bytes = from_hex(name.substr(cancel_prefix.size()));
  auto task = bytes ? TaskId::from_bytes(*bytes) : Result<TaskId>(bytes.error());
  if (!task) return;  // half-written, or not a request at all
  fs::remove(path, ec);
  actions.cancel(*task);
}

}  // namespace

ControlFolder::ControlFolder(Node& node, ControlActions actions) {
  auto folder = WatchFolder::start(node.home().control_dir(), [&node, actions](const std::string& path) { node.post([path, actions] { take(path, actions); }); });
  if (folder) folder_ = std::move(*folder);
}

Result<void> ask_to_cancel(const Home& home, const TaskId& task) {
  return write_file_atomically(home.control_dir() + "/" + std::string(cancel_prefix) + to_hex(task), "");
}

Result<void> ask_to_pause(const Home& home, bool paused) {
  const auto nobody = [&] { return fail(Code::not_found, "no farmer runs with the home " + home.dir() + "; start one with `tnode farm`, or name its --home"); };
  if (!fs::is_directory(home.control_dir())) return nobody();
  const std::string request = home.control_dir() + "/" + std::string(paused ? pause_name : resume_name);
  if (auto asked = write_file_atomically(request, ""); !asked) return asked;
  for (int tries = 0; tries < answer_wait_tries; ++tries) {
    if (!fs::exists(request)) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::error_code ec;
  return fs::remove(request, ec) ? Result<void>(nobody()) : Result<void>();
}

}  // namespace tnode
