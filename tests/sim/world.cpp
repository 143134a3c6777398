#include "tests/sim/world.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "tests/sim/sim_node.h"

namespace tnode::sim {

World::World(WorldOptions options) : options_(options), random_(options.seed), laws_(*this) {}
World::~World() {
  nodes_.clear();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

SimNode& World::add(const NodeTerms& terms) {
  nodes_.push_back(std::make_unique<SimNode>(*this, terms, static_cast<int>(nodes_.size())));
  nodes_.back()->start();
  return *nodes_.back();
}

SimNode* World::node(const NodeKey& key) const {
  for (const auto& node : nodes_)
    if (node->key() == key) return node.get();
  return nullptr;
}

std::string World::folder() {
  if (!folder_.empty()) return folder_;
  // In memory where there is such a place: what is tested is what the store does, not how long a disk takes.
  const std::string memory = "/dev/shm";
  const auto parent = access(memory.c_str(), W_OK) == 0 ? std::filesystem::path(memory) : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "tnode-sim-XXXXXX").string();
  demand(mkdtemp(pattern.data()) != nullptr, "a folder for the stores can be made");
  return folder_ = pattern;
}

void World::trace(const SimNode& node, const std::string& what) const {
  if (options_.trace) std::fprintf(stderr, "%8.3f  %d  %s\n", static_cast<double>(now_ - 1'700'000'000'000) / 1000, node.number(), what.c_str());
}

// --- time ---

void World::at(TimeMs when, std::function<void()> action) { queue_.push({std::max(when, now_), next_number_++, std::move(action)}); }

bool World::run_until(const std::function<bool()>& done, TimeMs limit) {
  const TimeMs end = now_ + limit;
  while (!done()) {
    if (queue_.empty() || queue_.top().when > end) {
      now_ = end;
      return false;
    }
    auto action = std::move(const_cast<Happening&>(queue_.top()).action);
    now_ = queue_.top().when;
    queue_.pop();
    ++steps_;
    action();
  }
  return true;
}

// --- links ---

World::Link& World::link(SimNode& a, SimNode& b) {
  const bool ordered = a.key() < b.key();
  SimNode &first = ordered ? a : b, &second = ordered ? b : a;
  Link& link = links_[{first.key(), second.key()}];
  link.side[0] = &first;
  link.side[1] = &second;
  return link;
}

void World::acquaint(SimNode& a, SimNode& b) {
  Link& l = link(a, b);
  if (!l.up) open(l);
}

void World::acquaint_all() {
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) acquaint(*nodes_[j], *nodes_[i]);
}

void World::part(SimNode& a, SimNode& b) {
  Link& l = link(a, b);
  l.parted = true;
  close(l);
}

void World::join(SimNode& a, SimNode& b) {
  Link& l = link(a, b);
  l.parted = false;
  open(l);
}

void World::open(Link& l) {
  if (l.up || l.parted || !l.side[0]->running() || !l.side[1]->running()) return;
  if (now_ < l.settled_ms) return at(l.settled_ms, [this, &l] { open(l); });
  l.up = true;
  const std::uint64_t session = ++l.session;
  for (int i : {0, 1}) {
    l.told[i] = false;
    l.alive_ms[i] = std::numeric_limits<TimeMs>::max();
    l.told_ms[i] = l.arrival_ms[i] = now_ + random_.between(1, options_.faults.max_delay_ms);
    at(l.told_ms[i], [&l, i, session] {
      if (l.session != session || !l.up) return;
      l.told[i] = true;
      l.side[i]->peer_came(l.side[1 - i]->key());
    });
  }
}

void World::close(Link& l) {
  if (!l.up) return;
  l.up = false;
  l.settled_ms = now_;
  for (int i : {0, 1}) {
    l.alive_ms[i] = now_ - 1;
    if (!l.told[i]) continue;
    l.alive_ms[i] = now_ + random_.between(0, options_.faults.max_delay_ms);
    l.told[i] = false;
    const std::uint64_t life = l.side[i]->life();
    const TimeMs notices = l.alive_ms[i] + random_.between(0, options_.faults.lost_message ? 5'000 : 50);
    l.settled_ms = std::max(l.settled_ms, notices + 1);
    at(notices, [&l, i, life] {
      if (l.side[i]->life() == life) l.side[i]->peer_left(l.side[1 - i]->key());
    });
  }
  // The swarm tries again by itself.
  at(l.settled_ms + random_.between(1, options_.faults.lost_message ? 5'000 : 200), [this, &l] { open(l); });
}

void World::node_went(SimNode& node) {
  for (auto& [ends, l] : links_)
    if (l.side[0] == &node || l.side[1] == &node) close(l);
}

void World::node_came(SimNode& node) {
  for (auto& [ends, l] : links_)
    if (l.side[0] == &node || l.side[1] == &node) open(l);
}

void World::send(SimNode& from, const NodeKey& to, const Bytes& frame) {
  demand(frame.size() <= max_frame_bytes, "a frame of " + std::to_string(frame.size()) + " bytes does not fit the channel");
  SimNode* receiver = node(to);
  demand(receiver != nullptr, "a message to nobody");
  Link& l = link(from, *receiver);
  const int i = l.side[0] == receiver ? 0 : 1;
  if (!l.up || !l.told[1 - i]) return;
  const Faults& faults = options_.faults;
  if (random_.chance(faults.lost_message)) return close(l);
  const TimeMs delay = random_.chance(faults.slow_message) ? random_.between(100, 3'000) : random_.between(1, faults.max_delay_ms);
  const TimeMs arrival = std::max({now_ + delay, l.told_ms[i], l.arrival_ms[i]});
  l.arrival_ms[i] = arrival;
  const int times = random_.chance(faults.repeated_message) ? 2 : 1;
  for (int n = 0; n < times; ++n)
    at(arrival, [this, &l, i, session = l.session, life = receiver->life(), frame] {
      if (l.session == session && now_ <= l.alive_ms[i] && l.side[i]->life() == life) l.side[i]->frame_came(l.side[1 - i]->key(), frame);
    });
}

void World::heal() {
  options_.faults = Faults{};
  for (auto& node : nodes_) node->come_back();
  for (auto& [ends, l] : links_) {
    l.parted = false;
    open(l);
  }
}

}  // namespace tnode::sim
