// What is computed: the part of a task that its hash covers. Names, prices and people are not in it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

/// The indices of a task. A task without an array has index 0 alone.
struct ArraySpec {
  std::int64_t first = 0, last = 0;   ///< inclusive range, used when `values` is empty
  std::vector<std::string> values;    ///< index i is its 0-based place; replaces {value}
  std::int64_t batch = 1;             ///< consecutive indices in a unit
  bool operator==(const ArraySpec&) const = default;
};

/// Resources that can change a result, and so are part of what is computed.
struct Resources {
  std::int64_t cpus = 1;
  std::int64_t memory_bytes = 512LL << 20;
  std::int64_t disk_bytes = 256LL << 20;
  bool operator==(const Resources&) const = default;
};

/// A torrent that the task reads beside its own payload; appears as in/<to>.
struct ForeignInput {
  std::string to;
  Hash v2_hash;
  bool operator==(const ForeignInput&) const = default;
};

struct TaskSpec {
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  std::string runtime = "host";
  std::vector<ForeignInput> foreign_inputs;
  std::vector<std::string> outputs = {"out/**"};
  /// A program of the task's own that starts once and forks for each index (docs/task-yaml.md#warm); empty: each index starts by itself.
  std::vector<std::string> warm;
  ArraySpec array;
  Resources resources;
  bool operator==(const TaskSpec&) const = default;
};

/// The canonical bytes of the `manifest` file: a bencoded dictionary, documented in docs/wire.md.
Bytes encode_manifest(const TaskSpec& spec);
/// Decodes, checks every bound, re-encodes and compares. `newer` when the version is unknown.
Result<TaskSpec> decode_manifest(std::string_view bytes);
/// What decode_manifest demands of the content: names, patterns, counts, and that expanding a unit stays small.
Result<void> check_task(const TaskSpec& spec);

/// Indices and units. A unit is `batch` consecutive indices; the last may be shorter.
std::int64_t index_count(const TaskSpec& spec);
UnitNumber unit_count(const TaskSpec& spec);

/// One run of the command.
struct Invocation {
  std::int64_t index = 0;  ///< what {index} and TNODE_INDEX say
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;  ///< whole environment but TNODE_TASK: PATH HOME LANG TZ, TNODE_INDEX, the task's own
};
/// The runs of one unit in order, with {index} and {value} replaced in command and env.
std::vector<Invocation> expand_unit(const TaskSpec& spec, UnitNumber unit);

/// tnode's own warm command for Python is this file in the sandbox, run by python3.
inline constexpr const char* warm_python_path = "/warm/python3.py";
/// The hint of an offer that a task may be run by it: how, never what.
inline constexpr const char* warm_python_hint = "python3";
/// What an offer's hint may be about: the hint is known, and the command is one that tnode's own warm command takes.
bool fits_warm_hint(const TaskSpec& spec, const std::string& hint);
/// The program that starts once for all indices: the task's own, or the one that the hint names; empty: none.
std::vector<std::string> warm_command(const TaskSpec& spec, const std::string& hint);
/// Its environment: what is the same for every index.
std::map<std::string, std::string> warm_environment(const TaskSpec& spec);

// Bounds that decode_manifest and the task.yaml reader share.
inline constexpr std::size_t max_command_parts = 1024;
inline constexpr std::size_t max_manifest_bytes = 4 << 20;
inline constexpr std::int64_t max_indices = 10'000'000;
inline constexpr std::int64_t max_units = 1'000'000;
inline constexpr std::size_t max_outputs = 256, max_env = 1024, max_foreign_inputs = 64;
/// Command and environment of one index after replacing; Linux takes 128 KiB a string and 2 MiB in all.
inline constexpr std::int64_t max_invocation_bytes = 1 << 20;
/// The same for all indices of a unit, so that a manifest of a few bytes cannot fill a farmer's memory.
inline constexpr std::int64_t max_unit_expansion_bytes = 64 << 20;

}  // namespace tnode
