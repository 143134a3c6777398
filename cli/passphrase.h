// A passphrase from whoever sits at the terminal, unseen, or from a file. Never from the command line, which others may read.
#pragma once
#include <string>

#include "core/types.h"

namespace tnode {

inline constexpr std::size_t least_passphrase = 8, most_passphrase = 1024;  ///< bytes

/// The first line of `file`, or, when that is empty, what is typed: twice when it is `fresh`, so that nobody locks himself out.
/// `invalid` when it is too short or too long, or the two differ; `unavailable` without a terminal.
Result<std::string> read_passphrase(const std::string& file, bool fresh);

}  // namespace tnode
