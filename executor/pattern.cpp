#include "executor/pattern.h"

#include <algorithm>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

bool part_matches(std::string_view pattern, std::string_view part) {
  // Greedy with one point of return: linear in practice, never exponential.
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < part.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || (pattern[p] != '*' && pattern[p] == part[t]))) ++p, ++t;
    else if (p < pattern.size() && pattern[p] == '*') star = p++, mark = t;
    else if (star != std::string_view::npos) p = star + 1, t = ++mark;
    else return false;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view path) {
  const auto patterns = split_path(pattern), parts = split_path(path);
  // reach[j]: the first i pattern parts can match the first j path parts.
  std::vector<bool> reach(parts.size() + 1, false);
  reach[0] = true;
  for (const auto& each : patterns) {
    std::vector<bool> next(parts.size() + 1, false);
    if (each == "**") {
      bool any = false;
      for (std::size_t j = 0; j <= parts.size(); ++j) next[j] = any = any || reach[j];
    } else {
      for (std::size_t j = 0; j < parts.size(); ++j) next[j + 1] = reach[j] && part_matches(each, parts[j]);
    }
    reach = std::move(next);
  }
  return reach.back();
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return matches_pattern(pattern, path); });
}

}  // namespace tnode
