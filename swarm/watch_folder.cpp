#include "swarm/watch_folder.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>
#include <vector>

namespace tnode {
namespace fs = std::filesystem;
namespace {

// A file found at the start may still be written by somebody who opened it before we looked: it has to stand still for this long.
constexpr std::chrono::milliseconds still_for{500};
// A program that copies a file sets its times and mode after closing it.
constexpr std::chrono::milliseconds after_close{150};

}  // namespace

struct WatchFolder::Impl {
  std::string dir;
  Sink sink;
  int notify = -1, stop = -1;
  std::thread thread;
  using Clock = std::chrono::steady_clock;
  struct Unsettled { Clock::time_point due; off_t size; };
  std::map<std::string, Unsettled> unsettled;

  ~Impl() {
    if (notify >= 0) close(notify);
    if (stop >= 0) close(stop);
  }

  void tell(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) sink(path);
  }

  static std::optional<off_t> size_of(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return status.st_size;
  }

  void wait_for(const std::string& path, std::chrono::milliseconds pause) {
    if (auto size = size_of(path)) unsettled[path] = {Clock::now() + pause, *size};
  }

  void look() {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(dir, ec)) {
      struct stat status;
      const bool old = lstat(entry.path().c_str(), &status) == 0 && status.st_mtime + 2 < std::time(nullptr);
      wait_for(entry.path().string(), old ? std::chrono::milliseconds(0) : still_for);
    }
  }

  /// Tells of what stood still long enough; gives the time until the next is due, -1 for none.
  int settle() {
    std::vector<std::string> settled;
    Clock::time_point next = Clock::time_point::max();
    for (auto& [path, each] : unsettled) {
      const auto size = size_of(path);
      if (size && *size != each.size) each = {Clock::now() + still_for, *size};
      if (!size || each.due <= Clock::now()) settled.push_back(path);
      else next = std::min(next, each.due);
    }
    for (const std::string& path : settled) {
      unsettled.erase(path);
      tell(path);
    }
    if (next == Clock::time_point::max()) return -1;
    // What fell due while the others were told is due now: less than nothing would be poll's word for ever.
    return std::max(0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count()));
  }

  void run() {
    look();
    for (;;) {
      const int pause = settle();
      pollfd watched[] = {{notify, POLLIN, 0}, {stop, POLLIN, 0}};
      int ready = poll(watched, 2, pause);
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
          // Moved in it is whole; closed by its writer it is nearly so.
          if (event->mask & IN_CLOSE_WRITE) wait_for(path, after_close);
          else tell(path);
        }
      }
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
