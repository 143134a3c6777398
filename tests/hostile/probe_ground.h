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

  /// A unit of the probe alone, or with a harmless index before it and one after it that looks for what is left.
  ExecutionRequest request(const Probe& probe, bool warm = false);
  /// A unit of the same task that looks for what this one left; the same sandbox runs it, if that one came to a good end.
  ExecutionRequest look_after(const ExecutionRequest& before);
  ExecutionReport run(const ExecutionRequest& r) { return fixture_.run(r); }
  void begin(const ExecutionRequest& r) { fixture_.executor->run(r); }
  ExecutionReport wait(std::uint64_t job) { return fixture_.wait(job); }

  const std::string& limit_mode() const { return fixture_.executor->state().limit_mode; }
  bool watched() const { return limit_mode() == "watchdog"; }
  std::string complaint() const { return bait_.complaint(); }

 private:
  Invocation invocation(int index, const std::string& program) const;

  TempDir folder_;
  Bait bait_;  // before the executor: what it inherits must not reach a task
  SandboxFixture fixture_;
};

/// "exited 0", "oom", …; when an index beside the probe's own failed, that too.
std::string words_of(const ExecutionReport& report, bool warm = false);
/// What the program said, and what was said about it.
std::string story_of(const ExecutionReport& report);

}  // namespace tnode
