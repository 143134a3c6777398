// Two or more swarms on loopback, and a way to wait for what they report.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "swarm/swarm.h"
#include "tests/temp_dir.h"

namespace tnode {

class TestNode {
 public:
  explicit TestNode(std::uint8_t number, std::vector<std::string> peers = {}, std::vector<std::string> bootstrap = {}) {
    seed_.fill(number);
    SwarmOptions options;
    options.listen = "127.0.0.1:0";
    options.peers = std::move(peers);
    options.bootstrap = std::move(bootstrap);
    options.data_dir = dir.path;
    options.key_seed = seed_;
    auto started = Swarm::start(std::move(options), [this](SwarmEvent event) {
      std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      changed_.notify_all();
    });
    REQUIRE(started.ok());
    swarm = std::move(*started);
  }
  ~TestNode() { swarm.reset(); }

  NodeKey key() const { return KeyPair::from_seed(seed_).key(); }
  Swarm* operator->() { return swarm.get(); }

  /// Waits for the next event of a kind that fits; events of other kinds are kept. Fails after 20 s.
  template <class Event, class Fits>
  Event expect(Fits fits) {
    std::unique_lock lock(mutex_);
    Event found;
    bool there = changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (auto it = events_.begin(); it != events_.end(); ++it) {
        auto* event = std::get_if<Event>(&*it);
        if (!event || !fits(*event)) continue;
        found = std::move(*event);
        events_.erase(it);
        return true;
      }
      return false;
    });
    REQUIRE(there);
    return found;
  }
  template <class Event>
  Event expect() { return expect<Event>([](const Event&) { return true; }); }

  TempDir dir;
  std::unique_ptr<Swarm> swarm;

 private:
  Seed seed_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<SwarmEvent> events_;
};

}  // namespace tnode
