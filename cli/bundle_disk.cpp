// Walking, hashing, checking, merging and copying: see bundle_disk.h.
#include "cli/bundle_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include "core/bundle_paths.h"
#include "core/file_hasher.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t read_bytes = 1 << 20;
constexpr std::int64_t worth_a_second_thread = 16 << 20;

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() { if (fd >= 0) close(fd); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

Error system_error(const std::string& what, const std::string& path) {
  return fail(errno == ENOENT || errno == ENOTDIR ? Code::not_found : Code::io, "cannot " + what + " " + path + ": " + std::strerror(errno) + (errno == ENOSPC || errno == EDQUOT ? " (the disk is full)" : ""));
}

const char* kind_of(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Result<void> walk(int dir_fd, const std::string& prefix, const std::string& shown, std::size_t depth, std::vector<FoundFile>& found) {
  if (depth > max_path_depth) return fail(Code::invalid, shown + prefix + " is deeper than " + std::to_string(max_path_depth) + " folders");
  DIR* dir = fdopendir(dir_fd);
  if (!dir) {
    close(dir_fd);
    return system_error("read", shown + prefix);
  }
  struct Closer { DIR* d; ~Closer() { closedir(d); } } closer{dir};
  while (dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = prefix.empty() ? name : prefix + "/" + name;
    struct stat status;
    if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return system_error("look at", shown + path);
    if (S_ISDIR(status.st_mode)) {
      int below = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below < 0) return system_error("open", shown + path);
      if (auto good = walk(below, path, shown, depth + 1, found); !good) return good;
    } else if (S_ISREG(status.st_mode)) {
      if (found.size() >= max_bundle_files) return fail(Code::invalid, shown + " holds more than " + std::to_string(max_bundle_files) + " files");
      found.push_back({path, status.st_size, (status.st_mode & S_IXUSR) != 0});
    } else {
      return fail(Code::invalid, shown + path + " is " + kind_of(status.st_mode) + "; only files and folders travel in a torrent");
    }
  }
  return {};
}

Result<FileHasher::Digest> hash_file(const std::string& path, std::int64_t size, std::int64_t piece_length) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file.fd < 0) return system_error("open", path);
  FileHasher hasher(piece_length);
  std::string buffer(read_bytes, '\0');
  std::int64_t done = 0;
  for (;;) {
    ssize_t got = read(file.fd, buffer.data(), buffer.size());
    if (got < 0) return system_error("read", path);
    if (got == 0) break;
    done += got;
    hasher.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
  }
  if (done != size) return fail(Code::io, path + " changed while it was read; try again when nothing writes to it");
  return hasher.finish();
}

/// A name of its own beside a path: two threads may write one path, and the last whole one wins.
constexpr std::string_view temporary_mark = ".new-";
std::string temporary_beside(const std::string& path) {
  static std::atomic<unsigned> count{0};
  return path + std::string(temporary_mark) + std::to_string(getpid()) + "-" + std::to_string(count++);
}

/// All that is left of a file, by the kernel alone where the file systems allow it. False with errno set.
bool copy_bytes(int from, int to) {
  ssize_t done;
  while ((done = copy_file_range(from, nullptr, to, nullptr, 1 << 30, 0)) > 0) {}
  if (done == 0) return true;
  if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return false;
  std::string buffer(read_bytes, '\0');
  while ((done = read(from, buffer.data(), buffer.size())) > 0)
    for (ssize_t at = 0; at < done;) {
      ssize_t put = write(to, buffer.data() + at, static_cast<std::size_t>(done - at));
      if (put < 0) return false;
      at += put;
    }
  return done == 0;
}

Result<bool> same_content(const std::string& a, const std::string& b) {
  Descriptor left(open(a.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)), right(open(b.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (left.fd < 0) return system_error("open", a);
  if (right.fd < 0) return system_error("open", b);
  struct stat left_status, right_status;
  if (fstat(left.fd, &left_status) != 0 || fstat(right.fd, &right_status) != 0) return system_error("look at", a);
  if (left_status.st_size != right_status.st_size || ((left_status.st_mode ^ right_status.st_mode) & S_IXUSR) != 0) return false;
  std::string one(read_bytes, '\0'), other(read_bytes, '\0');
  for (;;) {
    ssize_t got = read(left.fd, one.data(), one.size());
    if (got < 0) return system_error("read", a);
    if (got == 0) return true;
    for (ssize_t at = 0; at < got;) {
      ssize_t more = read(right.fd, other.data() + at, static_cast<std::size_t>(got - at));
      if (more <= 0) return system_error("read", b);
      at += more;
    }
    if (std::memcmp(one.data(), other.data(), static_cast<std::size_t>(got)) != 0) return false;
  }
}

}  // namespace

Result<void> write_file_atomically(const std::string& path, std::string_view bytes) {
  const std::string temporary = temporary_beside(path);
  auto failed = [&](const char* what) {
    auto error = system_error(what, path);
    unlink(temporary.c_str());
    return error;
  };
  {
    Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (file.fd < 0) return system_error("write", path);
    while (!bytes.empty()) {
      ssize_t put = write(file.fd, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failed("write");
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return failed("replace");
  return {};
}

Result<Bytes> read_file(const std::string& path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));  // a pipe would wait for its writer
  struct stat status;
  if (file.fd < 0 || fstat(file.fd, &status) != 0) return system_error("open", path);
  if (!S_ISREG(status.st_mode)) return fail(Code::io, "cannot read " + path + ": it is " + kind_of(status.st_mode) + ", not a file");
  Bytes bytes(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got = read(file.fd, bytes.data() + at, bytes.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read", path);
    if (got == 0) return fail(Code::io, path + " became shorter while it was read; try again when nothing writes to it");
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

Result<std::vector<FoundFile>> list_folder(const std::string& dir) {
  int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("open the folder", dir);
  std::vector<FoundFile> found;
  if (auto good = walk(fd, "", dir + "/", 1, found); !good) return good.error();
  std::vector<std::string> paths;
  for (const auto& file : found) paths.push_back(file.path);
  if (auto good = check_bundle_paths(paths); !good) return fail(Code::invalid, dir + ": " + good.error().message);
  std::sort(found.begin(), found.end(), [](const FoundFile& a, const FoundFile& b) { return path_before(a.path, b.path); });
  return found;
}

Result<Torrent> hash_folder(const std::string& dir, const std::string& name) {
  auto found = list_folder(dir);
  if (!found) return found.error();
  std::int64_t total = 0;
  for (const auto& file : *found) total += file.size;
  const std::int64_t piece_length = piece_length_for(total);
  std::vector<std::optional<Result<FileHasher::Digest>>> digests(found->size());
  std::atomic<std::size_t> next{0};
  auto hash_some = [&] {
    for (std::size_t i; (i = next++) < digests.size();) digests[i] = hash_file(dir + "/" + (*found)[i].path, (*found)[i].size, piece_length);
  };
  std::thread second;
  if (total >= worth_a_second_thread && digests.size() > 1) second = std::thread(hash_some);
  hash_some();
  if (second.joinable()) second.join();
  std::vector<BundleFile> files;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (!digests[i]->ok()) return digests[i]->error();
    files.push_back({(*found)[i].path, (*found)[i].executable, std::move(digests[i]->value())});
  }
  return build_torrent(name, std::move(files), piece_length);
}

Result<void> check_bundle_on_disk(const Torrent& torrent, const std::string& dir) {
  for (const auto& file : torrent.files) {
    struct stat status;
    const std::string path = dir + "/" + file.path;
    if (lstat(path.c_str(), &status) != 0) {
      if (file.size == 0 && errno == ENOENT) {
        // Some clients leave empty files out, and a download of ours does not make them before it is whole.
        std::error_code ec;
        fs::create_directories(fs::path(path).parent_path(), ec);
        if (auto made = write_file_atomically(path, ""); made) continue;
      }
      return system_error("find", path);
    }
    if (!S_ISREG(status.st_mode)) return fail(Code::invalid, path + " is " + kind_of(status.st_mode));
    if (status.st_size != file.size) return fail(Code::invalid, path + " has " + std::to_string(status.st_size) + " bytes instead of " + std::to_string(file.size));
    if (file.executable && (status.st_mode & S_IXUSR) == 0) chmod(path.c_str(), 0755);
  }
  return {};
}

Result<void> merge_outputs(const std::vector<UnitFolder>& units, const std::string& destination) {
  std::map<std::string, UnitNumber> from;
  for (const auto& unit : units) {
    std::error_code ec;
    if (!fs::exists(unit.dir + "/out", ec)) continue;
    auto found = list_folder(unit.dir + "/out");
    if (!found) return found.error();
    for (const auto& file : *found) {
      const std::string source = unit.dir + "/out/" + file.path, target = destination + "/out/" + file.path;
      if (auto first = from.find(file.path); first != from.end()) {
        auto same = same_content(source, target);
        if (!same) return same.error();
        if (!*same)
          return fail(Code::invalid, "units " + std::to_string(first->second) + " and " + std::to_string(unit.unit) + " both wrote out/" + file.path + ", with different bytes; put {index} in the file's name");
        continue;
      }
      from[file.path] = unit.unit;
      fs::create_directories(fs::path(target).parent_path(), ec);
      if (link(source.c_str(), target.c_str()) == 0) continue;
      if (auto copied = copy_plain(source, target); !copied) return copied;
    }
  }
  std::vector<std::string> paths;
  for (const auto& [path, unit] : from) paths.push_back("out/" + path);
  return check_bundle_paths(paths);
}

Result<void> export_outputs(const Torrent& torrent, const std::string& dir, const std::string& destination) {
  std::error_code ec;
  fs::create_directories(destination, ec);
  if (ec) return fail(Code::io, "cannot make the folder " + destination + ": " + ec.message());
  for (const auto& file : torrent.files) {
    if (!file.path.starts_with("out/")) continue;
    const std::string target = destination + "/" + file.path.substr(4);
    fs::create_directories(fs::path(target).parent_path(), ec);
    if (auto copied = copy_plain(dir + "/" + file.path, target); !copied) return copied;
  }
  return {};
}

Result<bool> holds_file(const std::string& path, const Torrent::File& file) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return system_error("find", path);
  if (!S_ISREG(status.st_mode) || status.st_size != file.size) return false;
  if (file.size == 0) return true;
  auto digest = hash_file(path, file.size, min_piece_length);
  if (!digest) return digest.error();
  return digest->pieces_root == file.pieces_root;
}

bool is_unfinished_copy(const std::string& path) {
  const auto at = path.rfind(temporary_mark);
  if (at == std::string::npos) return false;
  const std::string numbers = path.substr(at + temporary_mark.size());
  const auto dash = numbers.find('-');
  auto digits = [](std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; };
  return dash != std::string::npos && digits(std::string_view(numbers).substr(0, dash)) && digits(std::string_view(numbers).substr(dash + 1));
}

Result<void> copy_plain(const std::string& from, const std::string& to) {
  struct stat status;
  if (lstat(from.c_str(), &status) != 0) return system_error("find", from);
  if (S_ISDIR(status.st_mode)) {
    auto found = list_folder(from);
    if (!found) return found.error();
    for (const auto& file : *found) {
      std::error_code ec;
      fs::create_directories(fs::path(to + "/" + file.path).parent_path(), ec);
      if (auto copied = copy_plain(from + "/" + file.path, to + "/" + file.path); !copied) return copied;
    }
    return {};
  }
  if (!S_ISREG(status.st_mode)) return fail(Code::invalid, from + " is " + kind_of(status.st_mode) + "; only files and folders travel in a torrent");
  Descriptor source(open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (source.fd < 0) return system_error("open", from);
  // A new file in place of an old one: whatever fails, the old one is still there, and one that is a link elsewhere is not written through.
  const std::string temporary = temporary_beside(to);
  Descriptor target(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (status.st_mode & S_IXUSR) != 0 ? 0755 : 0644));
  if (target.fd < 0) return system_error("write", to);
  const bool copied = copy_bytes(source.fd, target.fd);
  if (copied && rename(temporary.c_str(), to.c_str()) == 0) return {};
  auto error = system_error("write", to);
  unlink(temporary.c_str());
  return error;
}

}  // namespace tnode
