// What the daemon and its runner say to each other, as bytes. Both are one program: only size is bounded, not trust.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/execution.h"

namespace tnode {

Bytes encode_request(const ExecutionRequest& request);
Result<ExecutionRequest> decode_request(std::string_view bytes);
Bytes encode_report(const ExecutionReport& report);
Result<ExecutionReport> decode_report(std::string_view bytes);

/// What the runner found when it started; the first thing it tells the daemon.
struct RunnerHello {
  std::string problem;      ///< why nothing can run, or empty
  std::string limit_mode, limit_problem;
  std::string cpu_mode;     ///< "quota", "affinity"; "" when no limit was asked for
  std::string pause_mode;   ///< "freezer", "signals"
  std::string usage_path;   ///< file with the CPU time of all sandboxes, or empty
  bool scoped = false;         ///< the groups lie in a scope that systemd made for them
  bool bounds_memory = false;  ///< a control group holds the shared memory limit
  std::string user;         ///< who sandboxes run as on the host
};
Bytes encode_hello(const RunnerHello& hello);
Result<RunnerHello> decode_hello(std::string_view bytes);

/// Frames on the socket between them: a kind, a length, bytes.
enum class RunnerFrame : std::uint32_t { run = 1, cancel = 2, report = 3, hello = 4, pause = 5, resume = 6, end_idle = 7 };
struct Frame { RunnerFrame kind; std::string_view body; };
/// False when the other side is gone.
bool send_frame(int socket, RunnerFrame kind, std::string_view body);
/// The frame that begins there, when all of it was received; `at` moves behind it.
std::optional<Frame> next_frame(std::string_view received, std::size_t& at);
inline constexpr std::size_t max_runner_frame = 256u << 20;

}  // namespace tnode
