// Where probes run: an executor, and around it, outside, what they would like to reach.
#pragma once
#include "tests/executor/sandbox_fixture.h"
#include "tests/hostile/probe_list.h"

namespace tnode {

/// Listeners that wait for a caller, a file, and descriptors that nobody closes on exec, as libtorrent's are not.
class Bait {
 public:
  explicit Bait(const std::string& folder);
  ~Bait();
  Bait(const Bait&) = delete;
  Bait& operator=(const Bait&) = delete;

  /// What was taken; empty when nothing was.
  std::string complaint() const;
  const std::string listener_name, listener_path, file;

 private:
  std::vector<int> listeners_, held_;
};

class ProbeGround {
 public:
  explicit ProbeGround(const Probes& probes);

  /// A task's unit of the probe. Where the sandbox lives on, an index after it looks for what is left.
  ExecutionRequest request(const Probe& probe, Place place = Place::cold);
  /// A harmless unit of the same task; then `after` runs in its sandbox, and would say so if it did not.
  ExecutionRequest unit_before(const ExecutionRequest& after);
  void same_sandbox(const ExecutionReport& before, ExecutionRequest& after) const;
  /// A unit of the same task that looks for what this one left; the same sandbox runs it, if that one came to a good end.
  ExecutionRequest look_after(const ExecutionRequest& before);
  ExecutionReport run(const ExecutionRequest& r) { return fixture_.run(r); }
  void begin(const ExecutionRequest& r) { fixture_.executor->run(r); }
  ExecutionReport wait(std::uint64_t job) { return fixture_.wait(job); }

  const std::string& limit_mode() const { return fixture_.executor->state().limit_mode; }
  bool watched() const { return limit_mode() == "watchdog"; }
  std::string complaint() const { return bait_.complaint(); }

 private:
  std::map<std::string, std::string> environment(int index, Place place) const;
  Invocation invocation(int index, const std::string& program, Place place) const;
  ExecutionRequest of_the_task(const ExecutionRequest& other, Invocation only);

  TempDir folder_;
  Bait bait_;  // before the executor: what it inherits must not reach a task
  SandboxFixture fixture_;
};

/// "exited 0", "oom", …; when the index that looks for what the probe left failed, that too.
std::string words_of(const ExecutionReport& report);
/// What the program said, and what was said about it.
std::string story_of(const ExecutionReport& report);

}  // namespace tnode
