// What the system-call filter refuses, as data: read by the filter that carries it out, by the tests that try each, and by docs/sandbox.md's table.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace tnode {

/// A test of one argument, by the bits that the kernel looks at.
struct ArgumentTest {
  enum class Kind { equal, differs, above } kind = Kind::equal;
  unsigned argument = 0;
  std::uint64_t mask = ~0ULL;  ///< of `equal`: which bits count
  std::uint64_t value = 0;
};

/// What differs from farmer to farmer.
struct FilterOptions {
  /// No control group bounds memory: then none may be had that belongs to no process's map, and so is seen by nobody.
  bool watched_memory = false;
  /// Sandboxes are kept on some of the machine's CPUs, by the mask that they inherit: it is not theirs to change.
  bool pinned = false;
};

/// A few calls that are refused for one reason. A name that this machine's kernel does not have is passed over.
struct SyscallRule {
  std::vector<const char*> calls;
  int error = 0;                              ///< what the caller gets; 0: it is told that it worked
  std::vector<std::vector<ArgumentTest>> when;  ///< refused when all tests of one line hold; empty: always
  const char* words = "";                     ///< `when`, for people
  const char* reason = "";
  bool FilterOptions::* only_with = nullptr;  ///< refused only where this is so

  bool holds(const FilterOptions& options) const { return !only_with || options.*only_with; }
};
const std::vector<SyscallRule>& syscall_rules();

/// Calls with higher numbers came to Linux after this list was made, and do not exist for a task. From 424 on, numbers are the same on all machines.
inline constexpr std::uint32_t newest_syscall = 456;

}  // namespace tnode
