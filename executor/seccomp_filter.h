// The system-call filter of every sandbox: what code may not even ask the kernel for.
#pragma once
#include "core/result.h"

namespace tnode {

struct FilterOptions {
  /// No control group bounds memory: then none may be had that belongs to no process's map, and so is seen by nobody.
  bool watched_memory = false;
  /// Sandboxes are kept on some of the machine's CPUs, by the mask that they inherit: it is not theirs to change.
  bool pinned = false;
};

/// A descriptor (memfd) that holds the filter as a BPF program, for bwrap --seccomp. Closed on exec.
Result<int> seccomp_filter(FilterOptions options = {});

}  // namespace tnode
