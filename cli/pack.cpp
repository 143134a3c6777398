#include "cli/pack.h"

#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/scratch_folder.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

std::string task_name(std::string_view manifest) { return "tnode-" + to_hex(sha256(manifest).view().substr(0, 8)); }

}  // namespace

Result<StoredBundle> pack_task(const Home& home, const TaskFile& task) {
  const Bytes manifest = encode_manifest(task.spec);
  const std::string name = task_name(manifest);
  sweep_scratch_folders(home.work_dir());
  auto scratch = ScratchFolder::make(home.work_dir());
  if (!scratch) return scratch.error();
  const std::string dir = scratch->path() + "/" + name;
  std::error_code ec;
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
