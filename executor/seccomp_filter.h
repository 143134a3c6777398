// The system-call filter of every sandbox: what code may not even ask the kernel for. seccomp_rules.h says what; this makes it a program.
#pragma once
#include "core/result.h"
#include "executor/seccomp_rules.h"

namespace tnode {

/// A descriptor (memfd) that holds the filter as a BPF program, for bwrap --seccomp. Closed on exec.
Result<int> seccomp_filter(FilterOptions options = {});

}  // namespace tnode
