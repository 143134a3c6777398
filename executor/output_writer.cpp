#include "executor/output_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/bundle_paths.h"
#include "executor/pattern.h"

namespace tnode {
namespace {

/// All indices of a unit together.
constexpr std::int64_t disks_per_unit = 64;

Error io_error(const std::string& path) { return fail(Code::io, "cannot write " + path + ": " + std::strerror(errno)); }

}  // namespace

Result<void> OutputWriter::begin(const std::string& path, std::int64_t size, bool executable) {
  check(!open_, "a file inside a file");
  open_ = true;
  path_ = path;
  left_ = size;
  // By length, not by what it takes in the sandbox: a file with holes, or with many names, grows when it is streamed out.
  if (size > limits_.disk_bytes - index_bytes_)
    return fail(Code::refused, "the outputs come to " + std::to_string(index_bytes_) + " bytes and, with " + quoted_name(path) + ", " + std::to_string(size) + " more; the limit is " +
                                   std::to_string(limits_.disk_bytes) + ", all the disk it has (holes and hard links count in full)");
  index_bytes_ += size;
  skipped_ = !matches_any(patterns_, path);
  if (skipped_) return left_ == 0 ? end_file() : Result<void>();
  if (auto good = check_bundle_paths({path}); !good) return good;
  index_paths_.push_back(path);
  current_ = {size, executable, {}};
  hash_ = Sha256();
  repeated_ = written_.count(path) != 0;
  if (!repeated_) {
    if (static_cast<std::int64_t>(written_.size()) >= limits_.output_files)
      return fail(Code::refused, "there are " + std::to_string(written_.size() + 1) + " output files and may be more; the limit is " + std::to_string(limits_.output_files));
    bytes_ += size;
    if (bytes_ > limits_.disk_bytes * disks_per_unit)
      return fail(Code::refused, "the unit's outputs come to " + std::to_string(bytes_) + " bytes or more; the limit is " + std::to_string(limits_.disk_bytes * disks_per_unit));
    const std::string target = folder_ + "/" + path;
    std::error_code ec;
    std::filesystem::create_directories(std::filesystem::path(target).parent_path(), ec);
    fd_ = open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, executable ? 0755 : 0644);
    if (fd_ < 0) {
      // A folder of one index and a file of another at one path.
      if (errno == EEXIST || errno == EISDIR || errno == ENOTDIR) return fail(Code::invalid, quoted_name(path) + " is a file for one index and a folder for another");
      return io_error(target);
    }
  }
  return left_ == 0 ? end_file() : Result<void>();
}

Result<void> OutputWriter::data(std::string_view bytes) {
  check(open_ && static_cast<std::int64_t>(bytes.size()) <= left_, "more data than was announced");
  left_ -= static_cast<std::int64_t>(bytes.size());
  if (!skipped_) {
    hash_.update(bytes);
    while (fd_ >= 0 && !bytes.empty()) {
      ssize_t put = write(fd_, bytes.data(), bytes.size());
      if (put < 0) return io_error(folder_ + "/" + path_);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  return left_ == 0 ? end_file() : Result<void>();
}

Result<void> OutputWriter::end_file() {
  open_ = false;
  close_file();
  if (skipped_) return {};
  current_.content = hash_.finish();
  auto [earlier, fresh] = written_.try_emplace(path_, current_);
  if (!fresh && (earlier->second.content != current_.content || earlier->second.executable != current_.executable))
    return fail(Code::invalid, "two indices of one unit wrote " + quoted_name(path_) + " with different bytes; put {index} in the file's name");
  return {};
}

void OutputWriter::close_file() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void OutputWriter::discard() {
  close_file();
  std::error_code ec;
  std::filesystem::remove_all(folder_ + "/out", ec);
  std::filesystem::remove(folder_, ec);  // only when nothing else is in it
}

Result<void> OutputWriter::end_index() {
  index_bytes_ = 0;
  return check_bundle_paths(std::exchange(index_paths_, {}));
}

Result<std::vector<OutputFile>> OutputWriter::finish() const {
  std::vector<std::string> paths;
  std::vector<OutputFile> files;
  for (const auto& [path, file] : written_) {
    paths.push_back(path);
    files.push_back({path, file.size, file.executable});
  }
  if (auto good = check_bundle_paths(paths); !good) return good.error();
  return files;
}

}  // namespace tnode
