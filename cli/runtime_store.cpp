#include "cli/runtime_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/bundle_disk.h"
#include "cli/runtime_unpack.h"
#include "cli/scratch_folder.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr const char* name_file = "name";
constexpr const char* ran_file = "ran";
constexpr std::int64_t stat_block_bytes = 512;
constexpr std::size_t max_manifest_read = 4096;

/// What lies on disk directly in a folder and one below: of a bundle, a handful of files.
std::int64_t bytes_in(const std::string& dir, int depth) {
  std::int64_t bytes = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(dir, ec)) {
    struct stat status;
    if (lstat(entry.path().c_str(), &status) != 0) continue;
    if (S_ISREG(status.st_mode)) bytes += status.st_blocks * stat_block_bytes;
    else if (S_ISDIR(status.st_mode) && depth > 0 && entry.path().filename() != runtime_root_name) bytes += bytes_in(entry.path().string(), depth - 1);
  }
  return bytes;
}

std::string read_start(const std::string& path, std::size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(bytes));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

std::vector<StoredRuntime> stored_runtimes(const Home& home) {
  std::vector<StoredRuntime> found;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(home.runtimes_dir(), ec)) {
    auto bytes = from_hex(entry.path().filename().string());
    auto id = bytes ? RuntimeId::from_bytes(*bytes) : Result<RuntimeId>(bytes.error());
    if (!id) continue;
    const std::string dir = entry.path().string();
    StoredRuntime runtime;
    runtime.id = *id;
    runtime.packed_here = is_packed_here(home, *id);
    if (runtime.packed_here) runtime.name = read_start(dir + "/" + name_file, 256);
    runtime.ran = fs::exists(dir + "/" + ran_file, ec);
    runtime.bytes = bytes_in(dir, 1);
    runtime.unpacked = is_unpacked(dir + "/" + runtime_root_name);
    if (auto bundle = find_runtime(home, *id)) {
      runtime.whole = true;
      runtime.manifest = *read_runtime_manifest(*bundle);
      if (runtime.unpacked) runtime.bytes += runtime.manifest.disk_bytes;
    }
    struct stat status;
    if (stat(dir.c_str(), &status) == 0) runtime.last_used_ms = static_cast<TimeMs>(status.st_mtim.tv_sec) * 1000 + status.st_mtim.tv_nsec / 1'000'000;
    found.push_back(std::move(runtime));
  }
  return found;
}

Result<StoredBundle> find_runtime(const Home& home, const RuntimeId& id) {
  auto bundle = find_bundle(home.runtime_dir(id));
  if (!bundle) return bundle;
  if (auto manifest = read_runtime_manifest(*bundle); !manifest) return manifest.error();
  return bundle;
}

Result<RuntimeManifest> read_runtime_manifest(const StoredBundle& bundle) {
  const std::string bytes = read_start(bundle.dir() + "/" + runtime_manifest_file, max_manifest_read);
  auto manifest = decode_runtime_manifest(bytes);
  if (!manifest) return fail(manifest.error().code, "it is no runtime: " + manifest.error().message);
  const auto& files = bundle.torrent.files;
  if (bundle.torrent.name != runtime_name(bytes) || files.size() != 2 || files[0].path != runtime_manifest_file || files[1].path != runtime_image_file)
    return fail(Code::invalid, "it is no runtime: a bundle of one has a manifest that its name belongs to, an image, and nothing else");
  return manifest;
}

Result<void> name_runtime(const Home& home, const RuntimeId& id, const std::string& name) {
  return write_file_atomically(home.runtime_dir(id) + "/" + name_file, name);
}

void touch_runtime(const Home& home, const RuntimeId& id) { utimensat(AT_FDCWD, home.runtime_dir(id).c_str(), nullptr, 0); }

void mark_runtime(const Home& home, const RuntimeId& id) { close(open((home.runtime_dir(id) + "/" + ran_file).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)); }

bool is_packed_here(const Home& home, const RuntimeId& id) {
  std::error_code ec;
  return fs::exists(home.runtime_dir(id) + "/" + name_file, ec);
}

Result<std::string> set_aside_runtime(const Home& home, const RuntimeId& id, bool also_packed) {
  static std::atomic<unsigned> count{0};
  const std::string dir = home.runtime_dir(id), aside = home.runtimes_dir() + "/" + runtime_gone_prefix + std::to_string(getpid()) + "-" + std::to_string(count++);
  const std::string what = !also_packed && is_packed_here(home, id) ? dir + "/" + runtime_root_name : dir;
  std::error_code ec;
  fs::rename(what, aside, ec);
  if (ec == std::errc::no_such_file_or_directory) return std::string();
  if (ec) return fail(Code::io, "cannot remove " + what + ": " + ec.message());
  return aside;
}

void sweep_runtimes(const Home& home) {
  sweep_scratch_folders(home.runtimes_dir());
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(home.runtimes_dir(), ec)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (name.starts_with(runtime_gone_prefix)) {
      fs::remove_all(entry.path(), ignored);
    } else {
      fs::remove_all(entry.path() / (std::string(runtime_root_name) + runtime_partial_suffix), ignored);
    }
  }
}

}  // namespace tnode
