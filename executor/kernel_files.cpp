#include "executor/kernel_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace tnode {

namespace {

/// To its end, or to the first error: a process that ends takes its files along.
std::string read_all(int fd) {
  std::string text;
  char buffer[8192];
  for (ssize_t got; (got = pread(fd, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  return text;
}

bool write_at_once(int fd, const std::string& text) { return pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()); }

}  // namespace

std::string read_kernel_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text = read_all(fd);
  close(fd);
  return text;
}

bool write_kernel_file(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = write_at_once(fd, text);
  close(fd);
  return good;
}

std::int64_t field_in(const std::string& text, std::string_view word) {
  std::istringstream lines(text);
  std::string name;
  std::int64_t value;
  while (lines >> name >> value)
    if (name == word) return value;
  return 0;
}

KernelFile::~KernelFile() {
  if (fd_ >= 0) close(fd_);
}

int KernelFile::opened() const {
  for (int mode : {O_RDWR, O_RDONLY, O_WRONLY})
    if (fd_ < 0) fd_ = open(path_.c_str(), mode | O_CLOEXEC);
  return fd_;
}

std::string KernelFile::read() const { return opened() < 0 ? std::string() : read_all(fd_); }
bool KernelFile::write(const std::string& text) const { return opened() >= 0 && write_at_once(fd_, text); }
std::int64_t KernelFile::number() const { return std::atoll(read().c_str()); }

ProcessStat process_stat(pid_t pid) {
  const std::string text = read_kernel_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = text.rfind(')');  // a name may hold anything, brackets too
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 2));
  ProcessStat stat;
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {
    if (i == 3) stat.state = field.front();
    else if (i == 4) stat.parent = std::atoi(field.c_str());
    else if (i >= 14 && i <= 17) stat.cpu_ticks += std::atoll(field.c_str());
    else if (i == 22) stat.start_time = field, stat.pid = pid;
  }
  return stat;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  const std::string threads = "/proc/" + std::to_string(pid) + "/task";
  DIR* dir = opendir(threads.c_str());
  if (!dir) return found;
  while (dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    std::istringstream list(read_kernel_file(threads + "/" + entry->d_name + "/children"));
    for (pid_t child; list >> child;) found.push_back(child);
  }
  closedir(dir);
  return found;
}

}  // namespace tnode
