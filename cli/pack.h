// From a task.yaml to a bundle in the home: inputs copied, manifest written, torrent built.
#pragma once
#include <functional>

#include "cli/results.h"
#include "cli/task_file.h"

namespace tnode {

/// The bundle of the task, kept in its place in the home.
Result<StoredBundle> pack_task(const Home& home, const TaskFile& task);
/// `invalid` for a bundle that, by its name, is no task but a result, a certificate, a runtime or something foreign.
Result<void> check_task_name(const std::string& name);
/// Decodes the manifest of a bundle and checks that its name belongs to it. `invalid` for a torrent that is no task.
Result<TaskSpec> read_manifest(const StoredBundle& bundle);

}  // namespace tnode
