#include "cli/task_file_keys.h"

#include <algorithm>
#include <utility>

#include "cli/quantities.h"

namespace tnode::task_file_keys {

bool has(const Words& words, const std::string& word) { return std::find(words.begin(), words.end(), word) != words.end(); }

std::string joined(const Words& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string unknown_key_hint(const std::string& key, const Words& known) {
  if (const auto near = nearest_word(key, known); !near.empty()) return "; did you mean '" + near + "'?";
  const std::vector<std::pair<std::string, const Words*>> sections{
      {"array", &array_keys}, {"resources", &resource_keys}, {"timeouts", &timeout_keys}, {"quorum", &quorum_keys}, {"market", &market_keys}};
  for (const auto& [section, keys] : sections)
    if (keys != &known && has(*keys, key)) return "; did you mean '" + section + "." + key + "'?";
  if (has(task_keys, key)) return "; '" + key + "' belongs at the top, not indented";
  return "; known here: " + joined(known);
}

}  // namespace tnode::task_file_keys
