// Small readers and writers of /proc and control-group files. Expected failures are empty values: files come and go with processes.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tnode {

/// All of a small file; empty when it cannot be read.
std::string read_kernel_file(const std::string& path);
/// In one write, as the kernel wants it. Async-signal-safe but for the caller's strings.
bool write_kernel_file(const std::string& path, const std::string& text);
/// The number that a file begins with; 0 when there is none.
std::int64_t number_in_file(const std::string& path);
/// The number behind a word in a file of "word number" lines; 0 when it is not there.
std::int64_t field_in_file(const std::string& path, const std::string& word);

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
