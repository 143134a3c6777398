// What task.yaml names by a link or a torrent: the runtime, and the v2 magnet links that stand for content.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/task_file.h"
#include "core/magnet.h"

namespace tnode {

inline constexpr const char* runtime_forms = "'host', or a root file system by its magnet link or .torrent";
/// `host`, the magnet link of a packed runtime, or its .torrent, whose path begins in `folder`: the part of the task, and the terms that say who has it.
void read_runtime(const TreeNode& node, const std::string& given, const std::string& folder, TaskFile& task, TaskFileResult& said);
/// A link that names content safely, or nothing and a problem.
std::optional<Magnet> read_magnet(const TreeNode& node, std::vector<TaskFileProblem>& problems);

}  // namespace tnode
