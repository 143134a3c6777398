// What all sandboxes of a runner share, made when it starts: programs that they can read, the filter, the user, the home as that user sees it.
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "executor/init_image.h"
#include "executor/kernel_files.h"
#include "executor/sandbox.h"
#include "executor/seccomp_filter.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr const char* user_name = "tnode";  // preferred over nobody, whom other services run as too
constexpr uid_t nobody = 65534;
constexpr const char* visible_folders[] = {"tasks", "inputs", "results", "runtimes"};  // of the home: what sandboxes may be shown; an input may be a result

std::string errno_text(const std::string& what) { return what + ": " + std::strerror(errno); }

Result<int> memory_file(const char* name, std::string_view content) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) return fail(Code::io, errno_text("memfd"));
  return fd;
}

Result<void> write_file(const std::string& path, std::string_view image) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (fd < 0) return fail(Code::io, errno_text("cannot write " + temporary));
  bool good = write(fd, image.data(), image.size()) == static_cast<ssize_t>(image.size()) && fchmod(fd, 0755) == 0;
  close(fd);
  if (!good || rename(temporary.c_str(), path.c_str()) != 0) return fail(Code::io, errno_text("cannot write " + path));
  return {};
}

/// True for `outer` itself and for what is below it.
bool lies_in(const std::string& path, const std::string& outer) { return outer == "/" || path == outer || path.starts_with(outer + "/"); }

/// Each mount of ours is copied for each sandbox, and looked at once for each folder that it shows: those that nobody needs are let go.
void drop_mounts(const std::vector<std::string>& needed) {
  constexpr const char* places[] = {"/boot", "/dev/hugepages", "/dev/mqueue", "/dev/pts", "/dev/shm", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/sys", "/tmp", "/var"};
  std::vector<std::string> mounted;
  std::istringstream lines(read_kernel_file("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skip, point;
    fields >> skip >> skip >> skip >> skip >> point;
    const bool droppable = std::any_of(std::begin(places), std::end(places), [&](const char* place) { return lies_in(point, place); });
    const bool in_use = std::any_of(needed.begin(), needed.end(), [&](const std::string& path) { return lies_in(path, point) || lies_in(point, path); });
    if (droppable && !in_use) mounted.push_back(std::move(point));
  }
  for (auto it = mounted.rbegin(); it != mounted.rend(); ++it) umount2(it->c_str(), MNT_DETACH);  // one that stays costs a little time
}

/// Root's home is closed to others, and bubblewrap runs as somebody else: show it the folders it needs in a mount namespace of our own.
Result<void> show_home(SandboxHost& host) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail(Code::unavailable, errno_text("root cannot make a mount namespace; run tnode as an ordinary user"));
  for (const char* place : {"/mnt", "/media", "/srv"}) {
    if (!fs::is_directory(place) || host.home.starts_with(std::string(place) + "/") || mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) continue;
    host.home_view = place;
    for (const char* folder : visible_folders) {
      const std::string from = host.home + "/" + folder, to = host.home_view + "/" + folder;
      if (mkdir(to.c_str(), 0755) != 0 || mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) return fail(Code::unavailable, errno_text("cannot show " + from + " to the sandbox's user"));
    }
    return {};
  }
  return fail(Code::unavailable, "none of /mnt, /media and /srv can be used to show the home to the sandbox's user");
}

}  // namespace

Result<void> SandboxHost::prepare(bool pinned) {
  for (const char* folder : visible_folders) {
    std::error_code ec;
    fs::create_directories(home + "/" + folder, ec);
    chmod((home + "/" + folder).c_str(), 0755);
  }
  if (geteuid() == 0) {
    const struct passwd* user = getpwnam(user_name);
    drop_to = user ? std::pair<uid_t, gid_t>{user->pw_uid, user->pw_gid} : std::pair<uid_t, gid_t>{nobody, nobody};
    if (auto shown = show_home(*this); !shown) return shown;
    auto needed = cgroups.places();
    needed.insert(needed.end(), {home, home_view, bwrap});
    drop_mounts(needed);
    init_path = home_view + "/init";
    warm_python_path = home_view + "/warm-python3.py";
  } else {
    init_path = home + "/sandbox-init";
    warm_python_path = home + "/sandbox-warm-python3.py";
  }
  if (auto written = write_file(init_path, init_image()); !written) return written;
  if (auto written = write_file(warm_python_path, warm_python_image()); !written) return written;
  auto filter = seccomp_filter({.watched_memory = cgroups.mode() == watchdog_mode, .pinned = pinned});
  if (!filter) return filter.error();
  auto passwd_file = memory_file("tnode-passwd", sandbox_passwd), group_file = memory_file("tnode-group", sandbox_group);
  if (!passwd_file) return passwd_file.error();
  if (!group_file) return group_file.error();
  seccomp = *filter;
  passwd = *passwd_file;
  group = *group_file;
  layout = look_at_host();
  hidden = files_to_hide();
  cgroups.starts([this](char* const* argv, int control, int errors) { become_bubblewrap(argv, control, errors); }, {this->seccomp, this->passwd, this->group});
  return {};
}

std::string SandboxHost::view(const std::string& path) const {
  if (home_view.empty() || !path.starts_with(home + "/")) return path;
  return home_view + path.substr(home.size());
}

}  // namespace tnode
