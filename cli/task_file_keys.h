// The words that task.yaml knows, and what somebody probably meant who wrote another one.
#pragma once
#include <string>
#include <vector>

namespace tnode::task_file_keys {

using Words = std::vector<std::string>;

inline const Words task_keys{"tnode", "name", "command", "env", "runtime", "warm", "inputs", "outputs", "array", "resources", "timeouts", "quorum", "market"};
inline const Words terms_keys{"name", "warm", "timeouts", "quorum", "market"};
inline const Words input_keys{"from", "to"}, array_keys{"range", "values", "lines", "batch"}, resource_keys{"cpus", "memory", "disk"},
    timeout_keys{"queue", "run", "total"}, quorum_keys{"agree", "max", "adaptive"}, market_keys{"max_price"};

bool has(const Words& words, const std::string& word);
std::string joined(const Words& words);
/// For a key that is not among `known`: the nearest one, the section that it belongs to, or all that are known. Begins with "; ".
std::string unknown_key_hint(const std::string& key, const Words& known);

}  // namespace tnode::task_file_keys
