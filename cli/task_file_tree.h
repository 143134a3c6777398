// A YAML text as a plain tree in which every word knows where it stands. Owned by the task.yaml reader.
// Never expands anything: anchors and aliases are refused, so that a few bytes stay a few bytes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tnode {

/// Something wrong in a file of the user's. Line and column start at 1; line 0 means the file, or the flag, as a whole.
struct TaskFileProblem {
  std::string file;
  int line = 0, column = 0;
  std::string text;
  /// "task.yaml:3:5: …"
  std::string shown() const;
};

struct TreeEntry;

struct TreeNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  std::string file;
  int line = 0, column = 0;
  std::string text;                ///< of a scalar
  bool quoted = false;             ///< a scalar in quotes is text, whatever it looks like
  std::vector<TreeNode> items;     ///< of a list
  std::vector<TreeEntry> entries;  ///< of a map, in the order written; no key twice
  const TreeNode* find(std::string_view key) const;
  TaskFileProblem problem(std::string what) const { return {file, line, column, std::move(what)}; }
};
struct TreeEntry {
  TreeNode key;  ///< a scalar
  TreeNode value;
};

inline constexpr std::size_t max_tree_text_bytes = 4 << 20;
inline constexpr std::size_t max_tree_nodes = 400'000;
inline constexpr std::size_t max_tree_depth = 16;

/// "a list", "a map", …: for complaints about a value of the wrong kind.
const char* kind_word(const TreeNode& node);

/// Reads one YAML document. Problems are added to the list; the tree is what could be read, a null node when nothing could.
TreeNode read_yaml_tree(std::string_view text, const std::string& file, std::vector<TaskFileProblem>& problems);

/// Applies "dotted.path=YAML value" to the tree; maps on the way are made. The nodes it sets name the flag as their file.
void set_in_tree(TreeNode& root, const std::string& assignment, std::vector<TaskFileProblem>& problems);

}  // namespace tnode
