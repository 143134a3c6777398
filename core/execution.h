// The port to whatever runs a unit: what is asked, what comes back. Values only; executor/ carries it out.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/outcome.h"
#include "core/task.h"

namespace tnode {

/// Limits of one index's run, each with an outcome of its own.
struct RunLimits {
  TimeMs wall_ms = 300'000;                     // timeout
  std::int64_t cpus = 1;                        // cpu_limit at wall_ms × cpus of CPU time
  std::int64_t memory_bytes = 512LL << 20;      // oom
  std::int64_t disk_bytes = 256LL << 20;        // disk_limit: out/ and /tmp together
  std::int64_t processes = 256;                 // process_limit
  std::int64_t open_files = 1024;
  std::int64_t output_files = 10'000;           // result_limit
  std::int64_t stdio_bytes = 1 << 20;           // output_limit: stdout and stderr each
  bool operator==(const RunLimits&) const = default;
};

/// What all units that run side by side may use together; 0: no bound of that kind.
struct SharedLimits {
  std::int64_t cpu_milli = 0;     ///< thousandths of one CPU
  std::int64_t memory_bytes = 0;
};

/// One unit's work. `job` is the caller's own number and names it in the report.
struct ExecutionRequest {
  std::uint64_t job = 0;
  std::string task_dir;      ///< verified payload on the host: its `in/` is mounted read-only
  std::vector<std::pair<std::string, std::string>> foreign_inputs;  ///< (name below in/, host folder)
  std::string runtime_dir;   ///< host folder that is shown as the root; empty: this machine's own /usr
  std::string task_hex;      ///< TNODE_TASK
  std::vector<Invocation> invocations;
  std::vector<std::string> warm;     ///< the program that starts once and forks for each index; empty: none
  std::map<std::string, std::string> warm_env;
  std::vector<std::string> outputs;  ///< patterns, e.g. "out/**"
  RunLimits limits;
  std::string result_dir;    ///< an empty folder to be made; collected files land in <result_dir>/out/…
};

/// What a run used; beside the vote, never in it.
struct Usage {
  std::int64_t wall_ms = 0, cpu_ms = 0, peak_memory_bytes = 0;
  bool operator==(const Usage&) const = default;
};

/// A collected regular file.
struct OutputFile {
  std::string path;  ///< "out/…", slash separated
  std::int64_t size = 0;
  bool executable = false;
};

struct ExecutionReport {
  std::uint64_t job = 0;
  bool ran = false;            ///< false: the sandbox itself could not be had; `problem` says why, nothing is voted
  std::string problem;
  Outcome outcome;             ///< the first index that was not good, else good
  std::int64_t failed_index = -1;
  std::string failure_detail;  ///< for people: "wrote 1.0 MiB to stdout, limit 1.0 MiB", an offending name, …
  std::vector<OutputFile> files;  ///< sorted by path; empty when the outcome is not good
  Usage usage;                 ///< summed over indices; the peak is a maximum
  std::string stdout_tail, stderr_tail;  ///< last bytes of the last index that ran, ≤ 4 KiB each
};

}  // namespace tnode
