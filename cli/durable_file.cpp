#include "cli/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace tnode {
namespace {

Error io_error(const std::string& what) { return fail(Code::io, what + ": " + std::strerror(errno)); }

/// A name is durable when its folder is.
Result<void> sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error("cannot open the folder " + folder);
  const bool synced = fsync(fd) == 0;
  Error problem = io_error("cannot sync the folder " + folder);
  close(fd);
  return synced ? Result<void>() : problem;
}

/// The content under a name of its own, beside `path`.
Result<std::string> write_beside(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + "." + std::to_string(getpid());
  unlink(temporary.c_str());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return io_error("cannot write " + temporary);
  bool written = true;
  while (written && !bytes.empty()) {
    const ssize_t put = write(file, bytes.data(), bytes.size());
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
    written = put > 0 || (put < 0 && errno == EINTR);
  }
  written = written && fsync(file) == 0;
  Error problem = io_error("cannot write " + temporary);
  close(file);
  if (written) return temporary;
  unlink(temporary.c_str());
  return problem;
}

}  // namespace

Result<void> write_durably(const std::string& path, std::string_view bytes) {
  auto temporary = write_beside(path, bytes);
  if (!temporary) return temporary.error();
  if (rename(temporary->c_str(), path.c_str()) == 0) return sync_folder_of(path);
  Error problem = io_error("cannot write " + path);
  unlink(temporary->c_str());
  return problem;
}

Result<void> write_new_durably(const std::string& path, std::string_view bytes) {
  auto temporary = write_beside(path, bytes);
  if (!temporary) return temporary.error();
  // A link, not a rename: when two begin at once, the first stands.
  const bool linked = link(temporary->c_str(), path.c_str()) == 0;
  Error problem = errno == EEXIST ? fail(Code::exists, path + " is there already") : io_error("cannot write " + path);
  unlink(temporary->c_str());
  return linked ? sync_folder_of(path) : problem;
}

Result<void> remove_durably(const std::string& path) {
  if (unlink(path.c_str()) != 0) return errno == ENOENT ? Result<void>() : io_error("cannot remove " + path);
  return sync_folder_of(path);
}

}  // namespace tnode
