// Sizes, durations and nearest words: how people write quantities in task.yaml and flags. Pure; a number without its unit is refused.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace tnode {

/// How the two are written, for messages that ask for one.
inline constexpr const char* size_form = "a size with its unit, such as 512MiB, 2GiB or 64kB";
inline constexpr const char* duration_form = "a duration with its unit, such as 500ms, 30s, 10m, 1h30m or 2d";

/// "512MiB", "1.5GiB", "800kB", "64B" → bytes. At most three decimals; a fraction of a byte is cut off. `invalid` says what was expected.
Result<std::int64_t> parse_size(std::string_view text);
/// "10m", "500ms", "1h30m", "2d" → milliseconds; whole numbers, larger units first.
Result<TimeMs> parse_duration(std::string_view text);

inline constexpr const char* cpu_share_form = "a share of the machine such as 50%, or a number of CPUs such as 1.5";
/// "50%" of `cpus` CPUs, "1.5" CPUs → thousandths of one CPU. `invalid` for none, and for more than the machine has.
Result<std::int64_t> parse_cpu_share(std::string_view text, std::int64_t cpus);

/// 1,610,612,736 → "1.5 GiB"; for people, rounded to one decimal.
std::string format_size(std::int64_t bytes);
/// 5,400,000 → "1h 30m"; for people, the two largest units.
std::string format_duration(TimeMs duration_ms);

/// The word that was probably meant: fewest edits (a swap of neighbours is one), at most a third of the word. Empty when nothing is near.
std::string nearest_word(std::string_view written, const std::vector<std::string>& known);

}  // namespace tnode
