#include "cli/runtime_unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "cli/runtime_store.h"
#include "core/bundle_paths.h"
#include "core/tree_image.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t read_bytes = 1 << 20;
// The sandbox lays its own over these, and needs something to lay it over.
constexpr const char* covered_files[] = {"passwd", "group"};

Error system_error(const std::string& what, const std::string& path) {
  return fail(Code::io, "cannot " + what + " " + quoted_name(path) + " of the runtime: " + std::strerror(errno));
}

/// A descriptor that closes itself.
class Folder {
 public:
  explicit Folder(int fd) : fd_(fd) {}
  Folder(Folder&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Folder& operator=(Folder&& other) noexcept { std::swap(fd_, other.fd_); return *this; }
  ~Folder() { if (fd_ >= 0) close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

class Unpacker {
 public:
  Unpacker(int root, const RuntimeManifest& manifest) : manifest_(manifest) { open_.emplace_back("", Folder(root)); }
  ~Unpacker() { if (file_ >= 0) close(file_); }
  Result<void> entry(const ImageEntry& entry);
  Result<void> content(std::string_view bytes);
  Result<void> finish();

 private:
  int parent_of(const std::string& path);
  Result<void> make(const ImageEntry& entry, int parent, const std::string& name);
  Result<void> end_file();

  const RuntimeManifest& manifest_;
  std::vector<std::pair<std::string, Folder>> open_;  // the folders on the way to the current entry
  int file_ = -1;
  std::string file_path_;
  std::int64_t entries_ = 0, disk_bytes_ = 0;
};

/// The order of entries (see TreeOrder) promises that it is open.
int Unpacker::parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  while (open_.back().first != parent) open_.pop_back();
  return open_.back().second.fd();
}

Result<void> Unpacker::entry(const ImageEntry& entry) {
  if (auto good = end_file(); !good) return good;
  if (belongs_to_sandbox(entry.path)) return fail(Code::invalid, "the runtime holds " + quoted_name(entry.path) + ", which the sandbox makes itself");
  if (entry.path == "etc" && entry.kind != ImageEntry::Kind::folder) return fail(Code::invalid, "the runtime's 'etc' is no folder");
  disk_bytes_ += disk_bytes_of(entry.size);
  if (++entries_ > manifest_.entries || disk_bytes_ > manifest_.disk_bytes) return fail(Code::invalid, "the runtime holds more than its manifest says");
  const int parent = parent_of(entry.path);
  return make(entry, parent, entry.path.substr(entry.path.rfind('/') + 1));
}

Result<void> Unpacker::make(const ImageEntry& entry, int parent, const std::string& name) {
  switch (entry.kind) {
    case ImageEntry::Kind::folder: {
      if (mkdirat(parent, name.c_str(), 0755) != 0) return system_error("make the folder", entry.path);
      const int fd = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (fd < 0 || fchmod(fd, 0755) != 0) return system_error("open", entry.path);
      open_.emplace_back(entry.path, Folder(fd));
      return {};
    }
    case ImageEntry::Kind::link:
      return symlinkat(entry.target.c_str(), parent, name.c_str()) == 0 ? Result<void>() : system_error("make the link", entry.path);
    case ImageEntry::Kind::file:
      file_ = openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
      file_path_ = entry.path;
      if (file_ < 0 || fchmod(file_, entry.executable ? 0755 : 0644) != 0) return system_error("make the file", entry.path);
      return {};
  }
  return {};
}

Result<void> Unpacker::content(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(file_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error("write", file_path_);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> Unpacker::end_file() {
  if (file_ < 0) return {};
  const int fd = file_;
  file_ = -1;
  return close(fd) == 0 ? Result<void>() : system_error("write", file_path_);
}

Result<void> Unpacker::finish() {
  if (auto good = end_file(); !good) return good;
  if (entries_ != manifest_.entries || disk_bytes_ != manifest_.disk_bytes) return fail(Code::invalid, "the runtime holds less than its manifest says");
  const int root = open_.front().second.fd();
  if (mkdirat(root, "etc", 0755) != 0 && errno != EEXIST) return system_error("make the folder", "etc");
  const Folder etc(openat(root, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  for (const char* name : covered_files) {
    const int fd = openat(etc.fd(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return system_error("make the file", name);
    close(fd);
  }
  // Whole also after a power cut: a file that lost its end would make this farmer's votes wrong.
  return syncfs(root) == 0 ? Result<void>() : system_error("write", "/");
}

}  // namespace

bool is_unpacked(const std::string& root) { return fs::is_directory(fs::symlink_status(root)); }

Result<void> unpack_runtime(const std::string& image, const RuntimeManifest& manifest, const std::string& root, const std::function<bool(std::int64_t)>& progress) {
  const std::string partial = root + runtime_partial_suffix;
  std::error_code ec;
  fs::remove_all(partial, ec);
  fs::create_directories(partial, ec);
  const int root_fd = open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const Folder in(open(image.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  auto unpack = [&]() -> Result<void> {
    if (root_fd < 0) return fail(Code::io, "cannot make the folder " + partial + ": " + std::strerror(errno));
    Unpacker unpacker(root_fd, manifest);
    if (in.fd() < 0) return fail(Code::io, "cannot read " + image + ": " + std::strerror(errno));
    TreeReader reader([&](const ImageEntry& entry) { return unpacker.entry(entry); }, [&](std::string_view bytes) { return unpacker.content(bytes); });
    Bytes buffer(read_bytes, '\0');
    for (std::int64_t done = 0;;) {
      const ssize_t got = read(in.fd(), buffer.data(), buffer.size());
      if (got < 0) return fail(Code::io, "cannot read " + image + ": " + std::strerror(errno));
      if (got == 0) break;
      if (auto good = reader.feed({buffer.data(), static_cast<std::size_t>(got)}); !good) return good;
      done += got;
      if (!progress(done)) return fail(Code::refused, "the node leaves");
    }
    if (auto good = reader.finish(); !good) return good;
    return unpacker.finish();
  };
  auto unpacked = unpack();
  if (unpacked) {
    fs::rename(partial, root, ec);
    if (ec) unpacked = fail(Code::io, "cannot move " + partial + " to " + root + ": " + ec.message());
  }
  if (!unpacked) fs::remove_all(partial, ec);
  return unpacked;
}

}  // namespace tnode
