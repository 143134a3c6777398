#include "cli/runtime_pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/bundle_disk.h"
#include "cli/scratch_folder.h"
#include "cli/runtime_store.h"
#include "core/bundle_paths.h"
#include "core/tree_image.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t read_bytes = 1 << 20;

Error system_error(const std::string& what, const std::string& path) {
  const bool denied = errno == EACCES || errno == EPERM;
  return fail(errno == ENOENT ? Code::not_found : Code::io, "cannot " + what + " " + quoted_name(path) + ": " + std::strerror(errno) + (denied ? "; pack it as its owner, or as root" : ""));
}

/// Writes the image of one folder.
class Packer {
 public:
  Packer(std::ostream& out, const std::function<void(std::int64_t)>& progress) : out_(out), progress_(progress), buffer_(read_bytes, '\0') {}
  Result<void> pack(int root);

  RuntimeManifest manifest;
  std::int64_t left_out = 0;

 private:
  Result<void> folder(int fd, const std::string& prefix);
  Result<void> entry(int parent, const std::string& name, const std::string& path);
  Result<void> file(int parent, const std::string& name, ImageEntry entry);
  Result<void> begin(const ImageEntry& entry);
  void write(std::string_view bytes);

  std::ostream& out_;
  const std::function<void(std::int64_t)>& progress_;
  Bytes buffer_;
  TreeOrder order_;
  dev_t device_ = 0;
  std::int64_t written_ = 0;
};

Result<void> Packer::pack(int root) {
  struct stat status;
  if (fstat(root, &status) != 0) return system_error("look at", "the folder");
  device_ = status.st_dev;
  if (auto good = folder(root, ""); !good) return good;
  write(tree_end());
  if (!out_.flush()) return fail(Code::io, "cannot write the image: is the disk full?");
  manifest.entries = order_.entries();
  if (manifest.machine.empty()) manifest.machine = "any";
  return {};
}

Result<void> Packer::folder(int fd, const std::string& prefix) {
  DIR* dir = fdopendir(dup(fd));
  if (!dir) return system_error("read", prefix);
  std::vector<std::string> names;
  while (dirent* each = readdir(dir)) names.emplace_back(each->d_name);
  closedir(dir);
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) { return path_before(a, b); });
  for (const auto& name : names) {
    if (name == "." || name == "..") continue;
    const std::string path = prefix.empty() ? name : prefix + "/" + name;
    if (belongs_to_machine(path)) {
      ++left_out;
      continue;
    }
    if (auto good = entry(fd, name, path); !good) return good;
  }
  return {};
}

Result<void> Packer::entry(int parent, const std::string& name, const std::string& path) {
  struct stat status;
  if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return system_error("look at", path);
  if (S_ISREG(status.st_mode)) return file(parent, name, {ImageEntry::Kind::file, path, status.st_size, (status.st_mode & 0111) != 0, {}});
  if (S_ISLNK(status.st_mode)) {
    Bytes target(max_tree_path_bytes + 1, '\0');
    const ssize_t size = readlinkat(parent, name.c_str(), target.data(), target.size());
    if (size < 0) return system_error("read the link", path);
    target.resize(static_cast<std::size_t>(size));
    return begin({ImageEntry::Kind::link, path, 0, false, target});
  }
  if (!S_ISDIR(status.st_mode)) {
    ++left_out;
    return {};
  }
  if (auto good = begin({ImageEntry::Kind::folder, path, 0, false, {}}); !good) return good;
  if (status.st_dev != device_) return {};  // something is mounted there, /proc perhaps: an empty folder
  const int below = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (below < 0) return system_error("open", path);
  auto good = folder(below, path);
  close(below);
  return good;
}

Result<void> Packer::file(int parent, const std::string& name, ImageEntry entry) {
  const int fd = openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error("open", entry.path);
  auto good = begin(entry);
  std::int64_t done = 0;
  while (good) {
    const ssize_t got = read(fd, buffer_.data(), buffer_.size());
    if (got < 0) good = system_error("read", entry.path);
    if (got <= 0) break;
    const std::string_view part(buffer_.data(), static_cast<std::size_t>(got));
    // The first program says whose machine it is for.
    if (done == 0 && manifest.machine.empty() && entry.executable) manifest.machine = machine_of_program(part);
    done += got;
    write(part);
  }
  close(fd);
  if (!good) return good;
  if (done != entry.size) return fail(Code::io, quoted_name(entry.path) + " changed while it was read; try again when nothing writes to it");
  write(Bytes(tree_padding(done), '\0'));
  return {};
}

Result<void> Packer::begin(const ImageEntry& entry) {
  if (auto good = order_.add(entry); !good) return good;
  manifest.disk_bytes += disk_bytes_of(entry.size);
  write(encode_image_entry(entry));
  return {};
}

void Packer::write(std::string_view bytes) {
  out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  written_ += static_cast<std::int64_t>(bytes.size());
  progress_(written_);
}

}  // namespace

Result<PackedRuntime> pack_runtime(const Home& home, const std::string& dir, const std::function<void(std::int64_t)>& progress) {
  const int root = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return system_error("open the folder", dir);
  auto scratch = ScratchFolder::make(home.runtimes_dir());
  if (!scratch) {
    close(root);
    return scratch.error();
  }
  const std::string bundle_dir = scratch->path() + "/bundle";
  std::error_code ec;
  fs::create_directories(bundle_dir, ec);
  std::ofstream out(bundle_dir + "/" + runtime_image_file, std::ios::binary | std::ios::trunc);
  Packer packer(out, progress);
  auto packed = packer.pack(root);
  close(root);
  if (!packed) return packed.error();
  out.close();
  if (packer.manifest.entries == 0) return fail(Code::invalid, "there is nothing to pack in " + dir);
  const Bytes manifest = encode_runtime_manifest(packer.manifest);
  if (auto written = write_file_atomically(bundle_dir + "/" + runtime_manifest_file, manifest); !written) return written.error();
  auto torrent = hash_folder(bundle_dir, runtime_name(manifest));
  if (!torrent) return torrent.error();
  const RuntimeId id = rename_id<RuntimeId>(torrent->v2_hash);
  const std::string parent = home.runtime_dir(id);
  auto bundle = find_bundle(parent);
  if (!bundle) {
    fs::create_directories(parent, ec);
    fs::remove_all(parent + "/" + torrent->name, ec);
    fs::rename(bundle_dir, parent + "/" + torrent->name, ec);
    if (ec) return fail(Code::io, "cannot move the runtime to " + parent + ": " + ec.message());
    bundle = keep_bundle(*torrent, parent);
    if (!bundle) return bundle.error();
  }
  return PackedRuntime{std::move(*bundle), packer.manifest, packer.left_out};
}

}  // namespace tnode
