// The folder of the user's that a task's outputs go to: whether they may, before anything is paid for, and putting them there.
// DIR.torrent beside DIR says whose outputs are in it: a result's name is derived from its task. Functions of folders; safe in any thread.
#pragma once
#include <functional>
#include <string>

#include "cli/results.h"

namespace tnode {

struct OutputFolder {
  std::string dir;  ///< absolute, without a slash at its end
  TaskId task;
  UnitNumber units = 1;
};

/// An absolute path as OutputFolder wants it.
std::string folder_path(const std::string& given);
/// Whether the folder can be made or written. `invalid` for one that cannot have a DIR.torrent beside it, `io` naming what is in the way.
Result<void> check_writable(const OutputFolder& folder);
/// Whether outputs would neither mix with nor replace what is the user's: the folder is absent, empty, or holds nothing but an earlier
/// result of the same task, untouched. `exists`, naming a file, otherwise.
Result<void> check_unmixed(const OutputFolder& folder);
/// The first of DIR, DIR-2, DIR-3, … that is unmixed and not `taken`.
Result<OutputFolder> free_folder(OutputFolder folder, const std::function<bool(const std::string& dir)>& taken = {});

/// Copies a result's outputs there, and its .torrent and twin beside. What is left there of an earlier result of the task goes.
Result<void> save_outputs(const StoredBundle& result, const OutputFolder& folder);

inline constexpr int max_folder_number = 10'000;

}  // namespace tnode
