// task.yaml, the file that a user writes: read with positions, and all that is wrong with it said at once.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/task.h"
#include "core/types.h"

namespace tnode {

/// A file or folder of the user's that travels with the task.
struct TaskInput { std::string from; std::string to; };  ///< absolute path; name below in/

/// What a task costs and how long it may take: not part of what is computed.
struct Terms {
  std::string name = "task";
  TimeMs queue_ms = 600'000, run_ms = 300'000, total_ms = 86'400'000;
  std::int64_t agree = 2, max_replicas = 5;
  Micro max_price_micro = 1 * credit_micro;
};

struct TaskFile {
  TaskSpec spec;
  Terms terms;
  std::vector<TaskInput> inputs;
};

struct TaskFileProblem {
  std::string file;
  int line = 0, column = 0;  ///< from 1; 0 where there is no place
  std::string text;          ///< what was expected
  std::string shown() const;
};

struct TaskFileResult {
  std::optional<TaskFile> task;            ///< set when there is no problem
  std::vector<TaskFileProblem> problems;   ///< in the order of the file
};

/// `settings` are "key.key=value" of --set, over what the file says.
TaskFileResult read_task_file(const std::string& path, const std::vector<std::string>& settings);
/// The terms alone from --set, for a task that is a .torrent already.
TaskFileResult read_terms(const std::string& name, const std::vector<std::string>& settings);

}  // namespace tnode
