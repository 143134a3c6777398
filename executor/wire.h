// Requests and reports as bytes, between the daemon and its runner. Both are one program: only size is bounded, not trust.
#pragma once
#include <string_view>

#include "core/execution.h"

namespace tnode {

Bytes encode_request(const ExecutionRequest& request);
Result<ExecutionRequest> decode_request(std::string_view bytes);
Bytes encode_report(const ExecutionReport& report);
Result<ExecutionReport> decode_report(std::string_view bytes);

/// Frames on the socket between them: a kind, a length, bytes.
enum class RunnerFrame : std::uint32_t { run = 1, cancel = 2, report = 3, hello = 4, pause = 5, resume = 6 };
struct RunnerHeader { std::uint32_t kind = 0, length = 0; };
inline constexpr std::size_t max_runner_frame = 256u << 20;

}  // namespace tnode
