// How a command that is no node waits for its swarm: a queue of events between the network thread and the command.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "swarm/swarm.h"

namespace tnode {

/// What the swarm reports, for a command that waits for one thing after another.
class Waiting {
 public:
  void tell(SwarmEvent event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
  }
  void interrupt() {
    std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_one();
  }
  bool interrupted() const {
    std::lock_guard lock(mutex_);
    return interrupted_;
  }
  /// The next event; nothing when interrupted, or after `wait_ms`.
  std::optional<SwarmEvent> next(TimeMs wait_ms) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(wait_ms), [this] { return interrupted_ || !events_.empty(); });
    if (interrupted_ || events_.empty()) return std::nullopt;
    SwarmEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<SwarmEvent> events_;
  bool interrupted_ = false;
};

}  // namespace tnode
