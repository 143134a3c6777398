// Small readers and writers of /proc and control-group files. Expected failures are empty values: files come and go with processes.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tnode {

/// All of a small file; empty when it cannot be read.
std::string read_kernel_file(const std::string& path);
/// In one write, as the kernel wants it. Async-signal-safe but for the caller's strings.
bool write_kernel_file(const std::string& path, const std::string& text);
/// The number behind a word in lines of "word number"; 0 when it is not there.
std::int64_t field_in(const std::string& text, std::string_view word);

/// One that is read and written again and again: opened once, when it is first needed.
class KernelFile {
 public:
  explicit KernelFile(std::string path) : path_(std::move(path)) {}
  ~KernelFile();
  KernelFile(KernelFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  KernelFile& operator=(KernelFile&&) = delete;
  std::string read() const;
  bool write(const std::string& text) const;
  std::int64_t number() const;  ///< that it begins with; 0 when there is none
  std::int64_t field(std::string_view word) const { return field_in(read(), word); }

 private:
  int opened() const;
  std::string path_;
  mutable int fd_ = -1;
};

/// What /proc/PID/stat says of a process.
struct ProcessStat {
  pid_t pid = -1, parent = -1;
  char state = 0;               ///< 'R', 'S', 'T', 'Z', …
  std::int64_t cpu_ticks = 0;   ///< its own and that of its children who were waited for
  std::string start_time;       ///< with the id it names a process for good
};
/// `pid` -1 when there is no such process.
ProcessStat process_stat(pid_t pid);
/// Its children as of now, by the lists that its threads keep.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace tnode
