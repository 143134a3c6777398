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

/// Asked of probes/run.py, on this side of the sandbox.
std::vector<Probe> list_probes();
/// All files of probes/, by name.
std::map<std::string, std::string> probe_files();

}  // namespace tnode
