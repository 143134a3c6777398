#include <cstdio>

#include "cli/commands.h"
#include "core/bundle_paths.h"

namespace tnode {

int fail_with(const Error& error) {
  std::fprintf(stderr, "tnode: %s\n", shown_text(error.message).c_str());
  switch (error.code) {
    case Code::timeout: return exit_timeout;
    case Code::credit: return exit_no_credit;
    case Code::invalid:
    case Code::not_found:
    case Code::exists:
    case Code::io:
    case Code::unavailable:
    case Code::newer:
    case Code::refused: return exit_error;
  }
  return exit_error;
}

}  // namespace tnode
