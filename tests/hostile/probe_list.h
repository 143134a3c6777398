// The probes as tests/hostile/probes tells them: each a small program, with the end it must come to written beside it.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "core/execution.h"

namespace tnode {

/// Where a probe runs: in a sandbox that starts for it (cold); in one that ran a unit of the task and idled since (warm); there too, as a fork of
/// `warm: python3`; or as the task's own warm command, before it serves.
enum class Place : std::uint8_t { cold, warm, forked, served };
inline constexpr std::array<std::pair<Place, const char*>, 4> places{{{Place::cold, "cold"}, {Place::warm, "warm"}, {Place::forked, "forked"}, {Place::served, "served"}}};
std::string name_of(Place place);

struct Probe {
  std::string name;  ///< "module.program"
  /// "exited 0", "oom", …; the second where no control group limits memory and processes.
  std::map<Place, std::pair<std::string, std::string>> ends;
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
