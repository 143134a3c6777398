// check(): an assertion that stays on in release builds. For programmers' mistakes only, never for bytes from outside.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace tnode {

inline void check(bool condition, const char* what,
                  std::source_location where = std::source_location::current()) {
  if (condition) return;
  std::fprintf(stderr, "tnode: internal error at %s:%u: %s\n", where.file_name(), where.line(), what);
  std::abort();
}

}  // namespace tnode
