#include "executor/kernel_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tnode {

std::string read_kernel_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool write_kernel_file(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return good;
}

std::int64_t number_in_file(const std::string& path) { return std::atoll(read_kernel_file(path).c_str()); }

std::int64_t field_in_file(const std::string& path, const std::string& word) {
  std::istringstream lines(read_kernel_file(path));
  std::string name;
  std::int64_t value;
  while (lines >> name >> value)
    if (name == word) return value;
  return 0;
}

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
