// The key `warm` of task.yaml: whether indices are forked from a program that started once, and which.
#pragma once
#include <vector>

#include "cli/task_file.h"

namespace tnode {

/// `python3`, which becomes a term; or a command or a list of Python modules, which become part of the task. The command was read before.
void read_warm(const TreeNode& node, TaskFile& task, std::vector<TaskFileProblem>& problems);
/// `python3` alone: what can be said of a task that is packed already.
void read_warm_hint(const TreeNode& node, Terms& terms, std::vector<TaskFileProblem>& problems);

}  // namespace tnode
