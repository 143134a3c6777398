// The kinds of machine that a sandbox must hold on: started by root or by an ordinary user, with control groups or without. A child of the test
// becomes each in turn, by what such a machine has and lacks: no switch of the program's is touched.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace tnode {

struct Machine {
  bool root = true, control_groups = true;
  std::string name() const;
};

/// All four. Of them an ordinary user can have one, the machine as it is; the others say that they are skipped.
std::vector<Machine> machines();

/// Runs `part` in a child on such a machine, at a terminal of its own. What it returns, or threw, comes back; `skipped` says why this machine cannot be had.
struct MachineRun { std::string skipped, complaint; };
MachineRun run_on(const Machine& machine, const std::function<std::string()>& part);

}  // namespace tnode
