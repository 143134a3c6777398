// yaml-cpp's events into a tree: see task_file_tree.h. The only file that reads YAML by that library's parser for tasks.
#include "cli/task_file_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

/// Ends a parse from inside a callback: the library has no other way out.
struct Stop {};

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& file, std::string_view text, std::vector<TaskFileProblem>& problems) : file_(file), text_(text), problems_(problems) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);  // a byte order mark, which the library's positions leave out
  }
  TreeNode take_root() { return std::move(root_); }
  /// The list or map that is being read; nothing when none is.
  const TreeNode* innermost() const { return open_.empty() ? nullptr : &open_.back().node; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { place(node(mark, TreeNode::Kind::null, anchor)); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { stop(mark, "aliases (*name) are not read here; write the value out"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    if (tag == "!") require_closed_quote(mark);
    TreeNode scalar = node(mark, TreeNode::Kind::scalar, anchor);
    scalar.text = value;
    scalar.quoted = tag == "!";
    if (!tag.empty() && tag != "?" && tag != "!") problems_.push_back(scalar.problem("tags (" + quoted_name(tag) + ") are not read here; leave it out"));
    place(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override { open(node(mark, TreeNode::Kind::list, anchor)); }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override { open(node(mark, TreeNode::Kind::map, anchor)); }
  void OnMapEnd() override { close(); }

 private:
  struct Open { TreeNode node; std::optional<TreeNode> key; };

  TreeNode node(const YAML::Mark& mark, TreeNode::Kind kind, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) stop(mark, "anchors (&name) are not read here; write the value out where it is used");
    if (++nodes_ > max_tree_nodes) stop(mark, "the file has more than " + std::to_string(max_tree_nodes) + " values; put long lists into a file and use array.lines");
    TreeNode made;
    made.kind = kind;
    made.file = file_;
    made.line = mark.line + 1;
    made.column = mark.column + 1;
    return made;
  }

  /// The library takes the end of the file for a missing quote; all that follows the open one would be part of the text.
  void require_closed_quote(const YAML::Mark& mark) {
    std::size_t at = static_cast<std::size_t>(std::max(mark.pos, 0));
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return;
    const char quote = text_[at];
    for (++at; at < text_.size(); ++at) {
      if (text_[at] == '\\' && quote == '"') ++at;
      else if (text_[at] == quote && quote == '\'' && text_.substr(at + 1, 1) == "'") ++at;
      else if (text_[at] == quote) return;
    }
    stop(mark, std::string("the quote ") + quote + " that opens here is never closed");
  }

  [[noreturn]] void stop(const YAML::Mark& mark, std::string text) {
    problems_.push_back({file_, mark.line + 1, mark.column + 1, std::move(text)});
    throw Stop{};
  }

  void open(TreeNode container) {
    if (open_.size() >= max_tree_depth) {
      problems_.push_back(container.problem("this is nested more than " + std::to_string(max_tree_depth) + " deep"));
      throw Stop{};
    }
    open_.push_back({std::move(container), std::nullopt});
  }

  void close() {
    TreeNode done = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(done));
  }

  void place(TreeNode value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == TreeNode::Kind::list) {
      parent.node.items.push_back(std::move(value));
    } else if (!parent.key) {
      parent.key = std::move(value);
    } else {
      enter(parent.node, std::move(*parent.key), std::move(value));
      parent.key.reset();
    }
  }

  void enter(TreeNode& map, TreeNode key, TreeNode value) {
    if (key.kind != TreeNode::Kind::scalar) {
      problems_.push_back(key.problem("a key is a word, not a list, a map or nothing"));
      return;
    }
    for (const auto& entry : map.entries) {
      if (entry.key.text != key.text) continue;
      problems_.push_back(key.problem("the key " + quoted_name(key.text) + " is there twice; the first is on line " + std::to_string(entry.key.line)));
      return;
    }
    // Every lookup walks the keys: a map beyond this is a mistake or an attack.
    constexpr std::size_t max_keys = 2048;
    if (map.entries.size() == max_keys) problems_.push_back(key.problem("a map has at most " + std::to_string(max_keys) + " keys"));
    if (map.entries.size() <= max_keys) map.entries.push_back({std::move(key), std::move(value)});
  }

  const std::string& file_;
  std::string_view text_;
  std::vector<TaskFileProblem>& problems_;
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
  TreeNode root_;
};

/// The library's complaint in words for who wrote the file; `open` is the list or map that was being read.
TaskFileProblem in_plain_words(const YAML::Exception& error, const std::string& file, const TreeNode* open) {
  const bool placed = error.mark.line >= 0;
  const bool later = open && std::pair(error.mark.line + 1, error.mark.column + 1) > std::pair(open->line, open->column);
  const std::string place = later ? ", as of line " + std::to_string(error.mark.line + 1) + ", column " + std::to_string(error.mark.column + 1) : "";
  auto here = [&](std::string text) { return TaskFileProblem{file, placed ? error.mark.line + 1 : 0, placed ? error.mark.column + 1 : 0, std::move(text)}; };
  namespace Library = YAML::ErrorMsg;
  if (open && placed && (error.msg == Library::END_OF_SEQ_FLOW || error.msg == Library::END_OF_MAP_FLOW)) {
    const bool list = error.msg == Library::END_OF_SEQ_FLOW;
    return open->problem(std::string(list ? "the list" : "the map") + " that begins here has no '" + (list ? "]" : "}") + "'" + place + "; a text with ': ', commas or brackets in it needs quotes");
  }
  if (error.msg == Library::MAP_VALUE) return here("a ':' is out of place here: a text with ': ' in it needs quotes, and the keys of a map stand in one column");
  if (error.msg == Library::END_OF_MAP) return here("this line does not go on with the map above it, whose keys look like `key: value` and stand in one column");
  if (error.msg == Library::END_OF_SEQ) return here("this line does not go on with the list above it, whose entries begin with '- ' in one column");
  if (error.msg == Library::TAB_IN_INDENTATION) return here("a tab cannot indent; use spaces");
  if (error.msg == Library::UNKNOWN_TOKEN) return here("a text cannot begin with this character; put it in quotes");
  if (error.msg.starts_with(Library::INVALID_ESCAPE)) return here("there is no such escape in a text in double quotes; in single quotes a backslash is a backslash");
  return here("this is not YAML: " + error.msg);
}

void name_flag(TreeNode& node, const std::string& flag) {
  node.file = flag;
  node.line = node.column = 0;
  for (auto& item : node.items) name_flag(item, flag);
  for (auto& entry : node.entries) {
    name_flag(entry.key, flag);
    name_flag(entry.value, flag);
  }
}

}  // namespace

std::string TaskFileProblem::shown() const {
  return file + (line > 0 ? ":" + std::to_string(line) + ":" + std::to_string(column) : "") + ": " + text;
}

const char* kind_word(const TreeNode& node) {
  switch (node.kind) {
    case TreeNode::Kind::null: return "nothing";
    case TreeNode::Kind::scalar: return "a single value";
    case TreeNode::Kind::list: return "a list";
    case TreeNode::Kind::map: return "a map";
  }
  return "";
}

const TreeNode* TreeNode::find(std::string_view key) const {
  for (const auto& entry : entries)
    if (entry.key.text == key) return &entry.value;
  return nullptr;
}

TreeNode read_yaml_tree(std::string_view text, const std::string& file, std::vector<TaskFileProblem>& problems) {
  TreeNode nothing;
  nothing.file = file;
  nothing.line = nothing.column = 1;
  if (text.size() > max_tree_text_bytes) {
    problems.push_back({file, 0, 0, "is larger than " + std::to_string(max_tree_text_bytes >> 20) + " MiB; put long lists into a file and use array.lines"});
    return nothing;
  }
  TreeBuilder builder(file, text, problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return nothing;
    TreeNode root = builder.take_root();
    TreeBuilder second(file, text, problems);
    if (parser.HandleNextDocument(second)) problems.push_back({file, 0, 0, "holds more than one YAML document; only one is read"});
    return root;
  } catch (const Stop&) {
    return nothing;
  } catch (const YAML::Exception& e) {
    problems.push_back(in_plain_words(e, file, builder.innermost()));
    return nothing;
  }
}

void set_in_tree(TreeNode& root, const std::string& assignment, std::vector<TaskFileProblem>& problems) {
  const std::string flag = "--set " + assignment;
  const std::size_t equals = assignment.find('=');
  std::string path = assignment.substr(0, equals);
  const bool empty_part = path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string::npos;
  if (equals == std::string::npos || empty_part) {
    problems.push_back({flag, 0, 0, "expected KEY=VALUE, such as quorum.agree=1"});
    return;
  }
  std::vector<TaskFileProblem> found;
  TreeNode value = read_yaml_tree(std::string_view(assignment).substr(equals + 1), flag, found);
  name_flag(value, flag);
  for (auto& problem : found) problems.push_back({flag, 0, 0, std::move(problem.text)});
  if (!found.empty()) return;

  TreeNode* at = &root;
  for (std::size_t depth = 0;; ++depth) {
    if (depth == max_tree_depth) {
      problems.push_back({flag, 0, 0, "the key has more than " + std::to_string(max_tree_depth) + " parts"});
      return;
    }
    if (at->kind == TreeNode::Kind::null) at->kind = TreeNode::Kind::map;
    if (at->kind != TreeNode::Kind::map) {
      problems.push_back({flag, 0, 0, "only keys of maps can be set; set the whole value above it"});
      return;
    }
    const std::size_t dot = path.find('.');
    const std::string key = path.substr(0, dot);
    TreeNode* next = const_cast<TreeNode*>(at->find(key));
    if (!next) {
      TreeNode word;
      word.kind = TreeNode::Kind::scalar;
      word.file = flag;
      word.text = key;
      TreeNode fresh;
      fresh.file = flag;
      at->entries.push_back({std::move(word), std::move(fresh)});
      next = &at->entries.back().value;
    }
    at = next;
    if (dot == std::string::npos) break;
    path.erase(0, dot + 1);
  }
  *at = std::move(value);
}

}  // namespace tnode
