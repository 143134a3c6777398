#include "cli/output_folder.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "cli/bundle_disk.h"
#include "core/result_manifest.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

using Files = std::map<std::string, Torrent::File>;  // by their path below the folder

/// What DIR.torrent says is in the folder, when it is of this task.
Files earlier_result(const OutputFolder& folder) {
  auto bytes = read_file(folder.dir + ".torrent");
  auto torrent = bytes ? parse_canonical_torrent(*bytes) : Result<Torrent>(bytes.error());
  if (!torrent) return {};
  const bool whole = torrent->name == result_name(whole_result_manifest(folder.task, folder.units));
  const bool only_unit = folder.units == 1 && torrent->name == result_name(unit_result_manifest(folder.task, 0, Outcome{}, -1));
  if (!whole && !only_unit) return {};
  Files files;
  for (const auto& each : torrent->files)
    if (each.path.starts_with("out/")) files[each.path.substr(4)] = each;
  return files;
}

/// All that is below a folder and no folder itself; nothing when there is no such folder.
Result<std::vector<std::string>> contents_of(const std::string& dir) {
  std::vector<std::string> paths;
  std::error_code ec;
  if (!fs::exists(fs::symlink_status(dir, ec))) return paths;
  for (auto it = fs::recursive_directory_iterator(dir, ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec))
    if (!fs::is_directory(it->symlink_status())) paths.push_back(it->path().lexically_relative(dir).string());
  if (ec) return fail(Code::io, "cannot read the folder " + dir + ": " + ec.message());
  return paths;
}

bool untouched(const std::string& path, const Torrent::File& file) {
  auto same = holds_file(path, file);
  return same && *same;
}

}  // namespace

std::string folder_path(const std::string& given) {
  std::string path = fs::absolute(given).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<void> check_writable(const OutputFolder& folder) {
  if (folder.dir == "/") return fail(Code::invalid, "the outputs cannot go to / itself: give --out a folder with a name");
  std::error_code ec;
  fs::path at = folder.dir;
  while (!fs::exists(fs::symlink_status(at, ec)) && at.has_relative_path()) at = at.parent_path();
  auto refuse = [&](const fs::path& what, const std::string& why) { return fail(Code::io, "the outputs cannot go to " + folder.dir + ": " + what.string() + why + "; give another --out"); };
  if (!fs::is_directory(at, ec)) return refuse(at, " is no folder");
  // A folder that is there already gets its torrents beside it.
  for (const fs::path& each : {at, at == folder.dir ? at.parent_path() : at})
    if (access(each.c_str(), W_OK | X_OK) != 0) return refuse(each, std::string(" cannot be written (") + std::strerror(errno) + ")");
  return {};
}

Result<void> check_unmixed(const OutputFolder& folder) {
  auto paths = contents_of(folder.dir);
  if (!paths) return paths.error();
  if (paths->empty()) return {};
  const Files earlier = earlier_result(folder);
  auto refuse = [&](const std::string& why) { return fail(Code::exists, folder.dir + why + "; give another --out, or --overwrite to have outputs replace files of the same names"); };
  if (earlier.empty()) return refuse(" is there already and holds no earlier result of this task (" + paths->front() + ")");
  for (const auto& path : *paths) {
    if (is_unfinished_copy(path)) continue;
    const auto file = earlier.find(path);
    if (file == earlier.end()) return refuse(" holds something beside an earlier result (" + path + ")");
    if (!untouched(folder.dir + "/" + path, file->second)) return refuse(" holds an earlier result in which " + path + " was changed");
  }
  return {};
}

Result<OutputFolder> free_folder(OutputFolder folder, const std::function<bool(const std::string& dir)>& taken) {
  const std::string base = folder.dir;
  for (int number = 2;; ++number) {
    auto unmixed = check_unmixed(folder);
    if (unmixed && !(taken && taken(folder.dir))) return folder;
    if (!unmixed && unmixed.error().code != Code::exists) return unmixed.error();
    if (number > max_folder_number) return fail(Code::exists, base + " and " + std::to_string(max_folder_number) + " folders with a number behind that name are there already; give --out DIR");
    folder.dir = base + "-" + std::to_string(number);
  }
}

Result<void> save_outputs(const StoredBundle& result, const OutputFolder& folder) {
  std::error_code ec;
  fs::create_directories(folder.dir, ec);
  if (ec) return fail(Code::io, "cannot make the folder " + folder.dir + ": " + ec.message());
  Files stale = earlier_result(folder);
  for (const auto& file : result.torrent.files)
    if (file.path.starts_with("out/")) stale.erase(file.path.substr(4));
  for (const auto& [path, file] : stale)
    if (untouched(folder.dir + "/" + path, file)) fs::remove(folder.dir + "/" + path, ec);
  if (auto paths = contents_of(folder.dir))
    for (const auto& path : *paths)
      if (is_unfinished_copy(path)) fs::remove(folder.dir + "/" + path, ec);
  // The torrents first: after a kill in between they say whose outputs these are.
  if (auto written = write_torrent_and_twin(result, folder.dir); !written) return written;
  return export_outputs(result.torrent, result.dir(), folder.dir);
}

}  // namespace tnode
