// task.yaml: what a person writes to have something computed. Reads it and everything it names on disk, and reports all mistakes
// at once, each with its place. Never packs, hashes or sends anything; docs/task-yaml.md is the reference.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/task_file_tree.h"
#include "core/magnet.h"
#include "core/task.h"
#include "core/types.h"

namespace tnode {

/// A file or folder of the user's that travels in the task's torrent.
struct TaskInput {
  std::string from;  ///< absolute path of a regular file or a folder
  std::string to;    ///< appears as in/<to>
};

/// Another torrent that the task reads. The hash alone is in the spec; the whole link helps to find peers.
struct LinkedInput {
  std::string to;
  Magnet magnet;
};

/// What a task costs and how long it may take: not part of what is computed.
struct Terms {
  std::string name = "task";  ///< for people; a plain file name, so that NAME.torrent can be written
  TimeMs queue_ms = 600'000, run_ms = 300'000, total_ms = 86'400'000;
  std::int64_t agree = 2, max_replicas = 5;
  bool adaptive = false;  ///< farmers of proven record may decide units alone, checked at random
  Micro max_price_micro = credit_micro;  ///< per unit
  std::string warm;                        ///< the offer's hint how to run it faster
};

struct TaskFile {
  TaskSpec spec;  ///< passes check_task; local inputs are not in it
  Terms terms;
  std::vector<TaskInput> inputs;
  std::vector<LinkedInput> linked_inputs;
  std::optional<Magnet> runtime_magnet;  ///< when the runtime is not the host's
};

/// Either the task, or at least one problem.
struct TaskFileResult {
  std::optional<TaskFile> task;
  std::vector<TaskFileProblem> problems;  ///< by place, the first of the file first
  std::vector<TaskFileProblem> warnings;  ///< what is allowed and probably not meant
};

/// Reads and checks a task.yaml. `settings` are the "dotted.key=value" of --set, applied before anything is checked.
TaskFileResult read_task_file(const std::string& path, const std::vector<std::string>& settings = {});
/// The same for a text in hand; relative inputs are looked up in `folder`, which is absolute.
TaskFileResult read_task_text(std::string_view text, const std::string& shown_name, const std::string& folder, const std::vector<std::string>& settings = {});
/// The terms alone from --set, for a task that is a .torrent already.
TaskFileResult read_terms(const std::string& name, const std::vector<std::string>& settings);

inline constexpr std::size_t max_inputs = 256;
inline constexpr std::size_t max_task_name_bytes = 100;
inline constexpr std::int64_t max_agree = 64;  ///< what an offer can carry
inline constexpr TimeMs max_timeout_ms = 365LL * 86'400'000;
inline constexpr std::size_t max_problems = 200;  ///< more are counted, not listed

}  // namespace tnode
