// Sizes and durations as people write them: always with a unit. Pure.
#pragma once
#include <string>
#include <string_view>

#include "core/types.h"

namespace tnode {

/// "512MiB", "1.5GiB", "100MB", "4096B" → bytes. `invalid` without a unit.
Result<std::int64_t> parse_size(std::string_view text);
/// "500ms", "90s", "10m", "2h", "1d" → milliseconds. `invalid` without a unit.
Result<TimeMs> parse_duration(std::string_view text);
/// "2h", "1m 30s".
std::string format_duration(TimeMs duration);

}  // namespace tnode
