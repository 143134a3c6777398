// Worlds drawn from a seed: first everything goes wrong and the laws must hold; then it heals and every task must end as it should.
// TNODE_SIM_SEED=N runs that world alone (TNODE_SIM_TRACE=1 tells its story), TNODE_SIM_RUNS=N that many of them.
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "tests/catch.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

using namespace tnode;
using namespace tnode::sim;

namespace {

constexpr TimeMs fault_phase_ms = 60'000;
constexpr TimeMs healed_limit_ms = 4 * 3'600'000;  ///< several lost leases of the longest kind
constexpr TimeMs quiet_ms = 200'000;               ///< after the last task: farmers' leases end at the latest
constexpr double default_seconds = 20;

Faults drawn_faults(Random& random) {
  Faults faults;
  faults.max_delay_ms = random.chance(300) ? 400 : 20;
  auto maybe = [&](int& fault, int most) {
    if (random.chance(500)) fault = static_cast<int>(random.between(1, most));
  };
  maybe(faults.slow_message, 100);
  maybe(faults.lost_message, 80);
  maybe(faults.repeated_message, 100);
  maybe(faults.crash_before_commit, 30);
  maybe(faults.crash_after_commit, 30);
  maybe(faults.failed_fetch, 200);
  faults.max_down_ms = random.chance(500) ? 3'000 : 20'000;
  return faults;
}

Behaviour drawn_behaviour(Random& random) {
  static constexpr Behaviour bad[] = {Behaviour::slow, Behaviour::liar, Behaviour::sometimes_liar, Behaviour::colluder, Behaviour::mislabeller, Behaviour::silent, Behaviour::sleeper,
                                      Behaviour::no_reveal, Behaviour::changer, Behaviour::refuser, Behaviour::withholder, Behaviour::bad_inline};
  return random.chance(600) ? Behaviour::honest : bad[random.between(0, std::size(bad) - 1)];
}

TaskTerms drawn_task(Random& random) {
  TaskTerms terms;
  terms.units = static_cast<UnitNumber>(random.between(1, random.chance(100) ? 40 : 6));
  terms.batch = random.between(1, 2);
  terms.agree = random.between(1, 3);
  terms.max_replicas = terms.agree + random.between(0, 4);
  terms.run_ms = random.chance(500) ? 2'000 : 20'000;
  terms.fails = random.chance(150);
  terms.large = random.chance(300);
  terms.own_runtime = random.chance(250);
  terms.adaptive = random.chance(300);
  return terms;
}

/// Whether enough honest farmers are there to make the right answer win, however the others behave.
bool must_be_done(const World& world, const SimNode& requester, const SimTask& task) {
  std::int64_t wrong = 0, right = 0, without_data = 0;
  for (const auto& node : world.nodes()) {
    if (node.get() == &requester || !node->terms().farms) continue;
    wrong += votes_wrong(node->terms().behaviour);
    right += votes_right(node->terms().behaviour);
    without_data += node->terms().behaviour == Behaviour::withholder;
  }
  const std::int64_t needed = std::max(task.offer.agree, wrong + 1);
  const bool rich = requester.terms().line_micro >= 500 * credit_micro;
  return rich && wrong < task.offer.agree && right >= needed && wrong + needed <= task.offer.max_replicas && without_data < task.offer.agree;
}

/// What is not done, and why.
std::string unfinished(const World& world) {
  std::string text;
  for (const auto& node : world.nodes())
    for (const auto& task : node->tasks()) {
      if (task->done() || !task->role) continue;
      const auto counts = task->role->counts();
      text += "\nnode " + std::to_string(node->number()) + ": " + std::to_string(counts.units) + " units, " + std::to_string(counts.open) + " open, " + std::to_string(counts.leased) + " leased, " +
              std::to_string(counts.accepted) + " accepted, " + std::to_string(counts.disputed) + " disputed; next deadline in " + std::to_string(task->role->next_deadline(world.now()) - world.now()) + " ms";
      for (const auto& [farmer, why] : task->role->explain(world.now())) text += "\n  node " + std::to_string(world.node(farmer)->number()) + ": " + why;
    }
  return text;
}

struct Tally { int worlds = 0, done = 0, ended = 0; std::uint64_t steps = 0; TimeMs slowest_ms = 0; };

void live_through(std::uint64_t seed, Tally& tally) {
  Random random(seed * 7919 + 1);
  WorldOptions options;
  options.seed = seed;
  options.faults = drawn_faults(random);
  options.trace = std::getenv("TNODE_SIM_TRACE") != nullptr;
  options.real_store = seed % 4 == 0;
  World world(options);
  const auto requesters = random.between(1, 2), farmers = random.between(2, 7);
  for (int i = 0; i < requesters; ++i) {
    NodeTerms terms;
    terms.farms = random.chance(300);
    if (random.chance(150)) terms.line_micro = random.between(0, 12) * credit_micro;
    world.add(terms);
  }
  for (int i = 0; i < farmers; ++i) {
    NodeTerms terms;
    terms.behaviour = drawn_behaviour(random);
    terms.price_micro = random.between(1, 5'000) * 1'000;
    terms.slots = random.between(1, 3);
    if (random.chance(300)) terms.platform = random.chance(500) ? "debian-13/x86_64" : "debian-12/aarch64";
    world.add(terms);
  }
  // Some meet only through others, who pass the offer on.
  for (std::size_t i = 0; i < world.nodes().size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (i + 1 == world.nodes().size() || random.chance(800)) world.acquaint(*world.nodes()[i], *world.nodes()[j]);
  for (int i = 0; i < requesters; ++i)
    for (auto left = random.between(1, 2); left > 0; --left) {
      const TimeMs starts = random.between(0, 10'000);
      const TaskTerms terms = drawn_task(random);
      SimNode* node = world.nodes()[static_cast<std::size_t>(i)].get();
      world.after(starts, [node, terms] { node->offer(terms); });
    }
  for (auto faults = random.between(0, 6); faults > 0; --faults) {
    const TimeMs when = random.between(0, fault_phase_ms), lasts = random.between(1, 40'000);
    auto any = [&] { return world.nodes()[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(world.nodes().size()) - 1))].get(); };
    SimNode *one = any(), *other = any();
    if (random.chance(300)) {
      const TimeMs owner_stays = random.chance(500) ? lasts : 3 * lasts;
      world.after(when, [one] { one->pause(); });
      world.after(when + owner_stays, [one] { one->resume(); });
    }
    if (random.chance(500)) world.after(when, [one, lasts] { one->crash(lasts); });
    else if (one != other) {
      world.after(when, [&world, one, other] { world.part(*one, *other); });
      world.after(when + lasts, [&world, one, other] { world.join(*one, *other); });
    }
  }
  world.run_for(fault_phase_ms);
  world.heal();
  const TimeMs healed = world.now();
  auto over = [&] {
    for (const auto& node : world.nodes())
      for (const auto& task : node->tasks())
        if (!task->ending) return false;
    return true;
  };
  if (!world.run_until(over, healed_limit_ms)) throw Violation("every task ends" + unfinished(world));
  tally.slowest_ms = std::max(tally.slowest_ms, world.now() - healed);
  for (const auto& node : world.nodes())
    for (const auto& task : node->tasks()) {
      ++tally.ended;
      tally.done += *task->ending == Ending::done;
      const Ending right = task->terms.fails ? Ending::failed : Ending::done;
      if (must_be_done(world, *node, *task)) demand(*task->ending == right, "a task with enough honest farmers ended as " + std::string(ending_word(*task->ending)) + ": " + task->reason + unfinished(world));
    }
  world.run_for(quiet_ms);
  world.laws().settled();
  ++tally.worlds;
  tally.steps += world.steps();
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("laws_hold_and_tasks_end_in_worlds_where_everything_goes_wrong") {
  Tally tally;
  auto run = [&](std::uint64_t seed) {
    INFO("TNODE_SIM_SEED=" << seed << " runs this world again");
    try {
      live_through(seed, tally);
    } catch (const Violation& violation) {
      FAIL(violation.what());
    }
  };
  const bool alone = std::getenv("TNODE_SIM_SEED") != nullptr;
  const std::uint64_t runs = number_from("TNODE_SIM_RUNS", 0);
  const auto started = std::chrono::steady_clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(); };
  if (alone) run(number_from("TNODE_SIM_SEED", 1));
  for (std::uint64_t seed = 1; !alone && (runs ? seed <= runs : seconds() < default_seconds); ++seed) run(seed);
  WARN(tally.worlds << " worlds, " << tally.steps << " steps, " << tally.ended << " tasks ended, " << tally.done << " done; the slowest " << tally.slowest_ms / 1000 << " s after healing");
}
