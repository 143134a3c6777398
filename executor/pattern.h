// Patterns of output paths: `*` and `?` within a part, `**` over any number of parts. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tnode {

bool matches_pattern(std::string_view pattern, std::string_view path);
bool matches_any(const std::vector<std::string>& patterns, std::string_view path);

}  // namespace tnode
