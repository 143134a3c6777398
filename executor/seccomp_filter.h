// The system-call filter of every sandbox: what code may not even ask the kernel for.
#pragma once
#include "core/result.h"

namespace tnode {

/// A descriptor (memfd) that holds the filter as a BPF program, for bwrap --seccomp. Closed on exec.
Result<int> seccomp_filter();

}  // namespace tnode
