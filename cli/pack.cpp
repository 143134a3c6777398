#include "cli/pack.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "cli/bundle_disk.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

std::string task_name(std::string_view manifest) { return "tnode-" + to_hex(sha256(manifest).view().substr(0, 8)); }

/// Half-packed folders go away whatever happens.
struct Scratch {
  explicit Scratch(std::string folder) : path(std::move(folder)) {}
  ~Scratch() {
    std::error_code ec;
    fs::remove_all(path, ec);
  }
  std::string path;
};

constexpr std::string_view scratch_prefix = "pack-";

/// What packers that were killed left behind: named by their process, which is gone.
void clear_abandoned(const std::string& work_dir) {
  std::error_code ec;
  std::vector<fs::path> abandoned;
  for (const auto& entry : fs::directory_iterator(work_dir, ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(scratch_prefix)) continue;
    const int process = std::atoi(name.c_str() + scratch_prefix.size());
    if (process > 0 && kill(process, 0) != 0 && errno == ESRCH) abandoned.push_back(entry.path());
  }
  for (const auto& path : abandoned) fs::remove_all(path, ec);
}

}  // namespace

Result<StoredBundle> pack_task(const Home& home, const TaskFile& task) {
  const Bytes manifest = encode_manifest(task.spec);
  const std::string name = task_name(manifest);
  clear_abandoned(home.work_dir());
  static std::atomic<unsigned> count{0};  // the watch folder's tasks are packed side by side
  Scratch scratch(home.work_dir() + "/" + std::string(scratch_prefix) + std::to_string(getpid()) + "-" + std::to_string(count++));
  const std::string dir = scratch.path + "/" + name;
  std::error_code ec;
  fs::remove_all(scratch.path, ec);
  fs::create_directories(dir, ec);
  if (ec) return fail(Code::io, "cannot make the folder " + dir + ": " + ec.message());
  for (const auto& input : task.inputs) {
    const std::string to = dir + "/in/" + input.to;
    fs::create_directories(fs::path(to).parent_path(), ec);
    if (auto copied = copy_plain(input.from, to); !copied) return copied.error();
  }
  if (auto written = write_file_atomically(dir + "/manifest", manifest); !written) return written.error();
  auto torrent = hash_folder(dir, name);
  if (!torrent) return torrent.error();
  const std::string parent = home.task_dir(rename_id<TaskId>(torrent->v2_hash));
  if (auto there = find_bundle(parent)) return there;
  fs::create_directories(parent, ec);
  fs::remove_all(parent + "/" + name, ec);
  fs::rename(dir, parent + "/" + name, ec);
  if (ec) return fail(Code::io, "cannot move the task to " + parent + ": " + ec.message());
  return keep_bundle(*torrent, parent);
}

Result<void> check_task_name(const std::string& name) {
  for (const auto& [prefix, what] : {std::pair{"tnode-result-", "a result"}, {"tnode-certificate-", "a certificate"}, {"tnode-runtime-", "a runtime"}})
    if (name.starts_with(prefix)) return fail(Code::invalid, "this is " + std::string(what) + ", not a task");
  if (!name.starts_with(bundle_name_prefix)) return fail(Code::invalid, "it is no task of tnode: its name is " + quoted_name(name));
  return {};
}

Result<TaskSpec> read_manifest(const StoredBundle& bundle) {
  if (auto good = check_task_name(bundle.torrent.name); !good) return good.error();
  auto bytes = read_file(bundle.dir() + "/manifest");
  if (!bytes) return fail(bytes.error().code, "it is no task: " + bytes.error().message);
  auto spec = decode_manifest(*bytes);
  if (!spec) return fail(spec.error().code, "it is no task: " + spec.error().message);
  if (bundle.torrent.name != task_name(*bytes)) return fail(Code::invalid, "it is no task: its name does not belong to its manifest");
  return spec;
}

}  // namespace tnode
