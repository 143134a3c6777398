// How a run ended. Part of what is voted on, so its words are pinned by golden files.
#pragma once
#include <optional>
#include <string_view>

#include "core/types.h"

namespace tnode {

enum class OutcomeKind : std::uint8_t {
  exited = 0,         // by itself: see exit_code (128 + n when a signal n ended it)
  timeout = 1,        // wall time
  cpu_limit = 2,      // CPU time
  out_of_memory = 3,
  process_limit = 4,  // fork refused and the command failed for it
  disk_limit = 5,     // the work folder or scratch was full and the command failed for it
  output_limit = 6,   // stdout or stderr above their cap
  bad_output = 7,     // a name or kind among the outputs that is refused
  inode_limit = 8,    // too many files in the work folder and scratch
  result_limit = 9,   // the outputs are too many files or bytes
};

struct Outcome {
  OutcomeKind kind = OutcomeKind::exited;
  int exit_code = 0;
  bool good() const { return kind == OutcomeKind::exited && exit_code == 0; }
  auto operator<=>(const Outcome&) const = default;
};

/// "exited", "timeout", "cpu_limit", "oom", "process_limit", "disk_limit", "output_limit", "bad_output", "inode_limit", "result_limit".
std::string_view outcome_word(OutcomeKind kind);
std::optional<OutcomeKind> outcome_from_word(std::string_view word);

}  // namespace tnode
