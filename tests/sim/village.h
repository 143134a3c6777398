// A small world without faults, and the words in which stories about it are told.
#pragma once
#include "tests/catch.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace tnode::sim {

inline constexpr TimeMs minute = 60'000, hour = 60 * minute;
using Crash = SimNode::Crash;

/// Everybody knows everybody; the ledgers are real stores.
struct Village : World {
  explicit Village(std::uint64_t seed = 1) : World(WorldOptions{seed, {}, false, true}) {}
  SimNode& requester(Micro line_micro = 1000 * credit_micro) {
    NodeTerms terms;
    terms.farms = false;
    terms.line_micro = line_micro;
    return added(terms);
  }
  SimNode& farmer(Behaviour behaviour = Behaviour::honest, Micro price_micro = credit_micro, std::int64_t slots = 1) {
    NodeTerms terms;
    terms.behaviour = behaviour;
    terms.price_micro = price_micro;
    terms.slots = slots;
    return added(terms);
  }
  bool ends(const SimTask& task, TimeMs limit = hour) {
    return run_until([&] { return task.ending.has_value(); }, limit);
  }
  /// Time for what is still on its way, then the books.
  void close_books() {
    run_for(5 * minute);
    laws().settled();
  }

 private:
  SimNode& added(const NodeTerms& terms) {
    SimNode& node = add(terms);
    acquaint_all();
    return node;
  }
};

inline TaskTerms task_of_units(UnitNumber units, std::int64_t agree = 2, std::int64_t max_replicas = 5) {
  TaskTerms terms;
  terms.units = units;
  terms.agree = agree;
  terms.max_replicas = max_replicas;
  return terms;
}

inline Micro earned(const SimNode& node) { return node.balance().balance_micro; }

inline int sent(const SimNode& node, const Message& kind) {
  auto count = node.sent().find(kind.index());
  return count == node.sent().end() ? 0 : count->second;
}

template <class Effect, class Any>
bool is(const Any& effect) { return std::holds_alternative<Effect>(effect); }

template <class Kind, class Any>
bool sends(const Any& effect) {
  const auto* send = std::get_if<Send>(&effect);
  return send && std::holds_alternative<Kind>(send->message);
}

inline bool noted(const SimNode& node, const std::string& what) {
  for (const auto& note : node.notes())
    if (note.what == what) return true;
  return false;
}

}  // namespace tnode::sim
