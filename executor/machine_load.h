// How busy this machine is with the work of others than tnode: counted by the kernel, read from /proc. Reads a few small files; starts nothing.
#pragma once
#include <functional>
#include <string>

#include "core/owner_watch.h"

namespace tnode {

class MachineLoad {
 public:
  /// `own_cpu_ms`: CPU time that tnode itself, its sandboxes included, has used so far. `proc` and `dev` are where those are mounted.
  explicit MachineLoad(std::function<std::int64_t()> own_cpu_ms, std::string proc = "/proc", std::string dev = "/dev");
  /// What happened since the last call; the first one tells of nothing.
  OwnerSample sample(TimeMs now);

 private:
  struct CpuTime { std::int64_t busy_ms = 0, all_ms = 0, own_ms = 0; };
  CpuTime cpu_time() const;
  std::optional<std::int64_t> pressure() const;
  std::optional<TimeMs> input_age(TimeMs now) const;

  std::function<std::int64_t()> own_cpu_ms_;
  std::string proc_, dev_;
  CpuTime last_;
};

}  // namespace tnode
