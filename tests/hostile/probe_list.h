// The probes as tests/hostile/probes tells them: each a small program, with the end it must come to written beside it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/execution.h"

namespace tnode {

struct Probe {
  std::string name;      ///< "module.program"
  std::string expected;  ///< "exited 0", "oom", …
  std::string watched;   ///< the same, where no control group limits memory and processes
  std::map<std::string, std::int64_t> terms;

  void set_terms(RunLimits& limits) const;
};

/// Read while the test still may: an ordinary user need not see the source folder.
struct Probes {
  Probes();
  std::vector<Probe> list;                   ///< asked of probes/run.py, on this side of the sandbox
  std::map<std::string, std::string> files;  ///< all of probes/, by name
};

}  // namespace tnode
