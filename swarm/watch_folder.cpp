#include "swarm/watch_folder.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <thread>

namespace tnode {
namespace fs = std::filesystem;
namespace {

// A file found at the start may still be written by somebody who opened it before we looked: it has to stand still for this long.
constexpr int still_for_ms = 500;

}  // namespace

struct WatchFolder::Impl {
  std::string dir;
  Sink sink;
  int notify = -1, stop = -1;
  std::thread thread;
  struct Seen { std::int64_t size; timespec changed; };
  std::map<std::string, Seen> unsettled;

  ~Impl() {
    if (notify >= 0) close(notify);
    if (stop >= 0) close(stop);
  }

  void tell(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) sink(path);
  }

  void look() {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(dir, ec)) {
      struct stat status;
      if (lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) unsettled[entry.path().string()] = {status.st_size, status.st_mtim};
    }
  }

  void settle() {
    for (auto it = unsettled.begin(); it != unsettled.end();) {
      struct stat status;
      if (lstat(it->first.c_str(), &status) != 0) {
        it = unsettled.erase(it);
        continue;
      }
      timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      const auto age_ms = (now.tv_sec - status.st_mtim.tv_sec) * 1000 + (now.tv_nsec - status.st_mtim.tv_nsec) / 1'000'000;
      if (age_ms >= 0 && age_ms < still_for_ms) {
        ++it;
        continue;
      }
      const std::string path = it->first;
      it = unsettled.erase(it);
      tell(path);
    }
  }

  void run() {
    look();
    settle();
    for (;;) {
      pollfd watched[] = {{notify, POLLIN, 0}, {stop, POLLIN, 0}};
      int ready = poll(watched, 2, unsettled.empty() ? -1 : still_for_ms / 2);
      if (ready < 0 && errno != EINTR) return;
      if (watched[1].revents) return;
      if (watched[0].revents) {
        alignas(inotify_event) char buffer[64 * (sizeof(inotify_event) + NAME_MAX + 1)];
        ssize_t got = read(notify, buffer, sizeof buffer);
        for (ssize_t at = 0; at < got;) {
          const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
          at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
          if (event->mask & IN_Q_OVERFLOW) look();
          if (event->len == 0 || (event->mask & IN_ISDIR)) continue;
          const std::string path = dir + "/" + event->name;
          unsettled.erase(path);  // its writer closed it: it is whole
          tell(path);
        }
      }
      settle();
    }
  }
};

WatchFolder::WatchFolder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

WatchFolder::~WatchFolder() {
  std::uint64_t one = 1;
  if (write(impl_->stop, &one, sizeof one) == sizeof one && impl_->thread.joinable()) impl_->thread.join();
}

Result<std::unique_ptr<WatchFolder>> WatchFolder::start(const std::string& dir, Sink sink) {
  std::error_code ec;
  fs::create_directories(dir, ec);
  auto impl = std::make_unique<Impl>();
  impl->dir = dir;
  impl->sink = std::move(sink);
  impl->notify = inotify_init1(IN_CLOEXEC);
  impl->stop = eventfd(0, EFD_CLOEXEC);
  // Written to the end, or moved in: a file that is only created is not there yet.
  if (impl->notify < 0 || impl->stop < 0 || inotify_add_watch(impl->notify, dir.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
    return fail(Code::io, "cannot watch the folder " + dir + ": " + std::strerror(errno));
  Impl* running = impl.get();
  impl->thread = std::thread([running] { running->run(); });
  return std::unique_ptr<WatchFolder>(new WatchFolder(std::move(impl)));
}

}  // namespace tnode
