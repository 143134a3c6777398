// The task.yaml reader: see task_file.h. Goes through the tree key by key and collects problems instead of stopping at the first.
#include "cli/task_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>

#include "cli/bundle_disk.h"
#include "cli/quantities.h"
#include "cli/task_file_keys.h"
#include "cli/task_file_runtime.h"
#include "cli/task_file_warm.h"
#include "core/amount.h"
#include "core/bundle_paths.h"
#include "core/messages.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

using Kind = TreeNode::Kind;
using namespace task_file_keys;
/// Without the prefix that says "manifest": the user wrote none.
std::string core_words(const Error& error) {
  constexpr std::string_view prefix = "manifest: ";
  return error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
}

/// The task's folder names it when its author did not.
std::string name_of_folder(const std::string& folder) {
  const std::string name = fs::path(folder).filename().string();
  return name.size() <= max_task_name_bytes && check_path_part(name) ? name : "task";
}

class Reader {
 public:
  Reader(std::string folder, TaskFileResult& result) : folder_(std::move(folder)), said_(result), problems_(result.problems), warnings_(result.warnings) {}

  TaskFile read(const TreeNode& root) {
    task_.terms.name = name_of_folder(folder_);
    if (!map(root, "a map of keys such as 'tnode: 1' and 'command: […]'", task_keys)) return {};
    version(root);
    name(root.find("name"));
    command(root);
    env(root.find("env"));
    runtime(root.find("runtime"));
    if (const TreeNode* warm = root.find("warm")) read_warm(*warm, task_, problems_);
    inputs(root.find("inputs"));
    outputs(root.find("outputs"));
    array(root.find("array"));
    resources(root.find("resources"));
    timeouts(root.find("timeouts"));
    quorum(root.find("quorum"));
    market(root.find("market"));
    auto& foreign = task_.spec.foreign_inputs;  // in the order of the manifest
    std::sort(foreign.begin(), foreign.end(), [](const ForeignInput& a, const ForeignInput& b) { return a.to < b.to; });
    if (problems_.empty()) whole(root);
    return std::move(task_);
  }

  TaskFile read_terms(const TreeNode& root) {
    if (!map(root, "terms such as quorum.agree=1", terms_keys)) return {};
    name(root.find("name"));
    if (const TreeNode* warm = root.find("warm")) read_warm_hint(*warm, task_.terms, problems_);
    timeouts(root.find("timeouts"));
    quorum(root.find("quorum"));
    market(root.find("market"));
    return std::move(task_);
  }

 private:
  void complain(const TreeNode& at, std::string text) { problems_.push_back(at.problem(std::move(text))); }

  void expected(const TreeNode& at, const std::string& what) {
    if (at.kind == Kind::scalar) complain(at, "expected " + what + ", not " + quoted_name(at.text) + (at.quoted ? " in quotes" : ""));
    else complain(at, "expected " + what + ", not " + kind_word(at));
  }

  /// True for a map; its unknown keys are named either way.
  bool map(const TreeNode& node, const std::string& what, const Words& known) {
    if (node.kind != Kind::map) {
      expected(node, what);
      return false;
    }
    for (const auto& entry : node.entries)
      if (&known == &terms_keys && has(task_keys, entry.key.text) && !has(terms_keys, entry.key.text)) complain(entry.key, quoted_name(entry.key.text) + " is part of the task itself; of a .torrent only terms can be set: " + joined(terms_keys));
      else if (!has(known, entry.key.text)) complain(entry.key, "unknown key " + quoted_name(entry.key.text) + unknown_key_hint(entry.key.text, known));
    return true;
  }

  bool text(const TreeNode& node, const std::string& what, std::string& into) {
    if (node.kind == Kind::null) {
      complain(node, "expected " + what + ", not nothing; an empty or 'null' text needs quotes");
    } else if (node.kind != Kind::scalar) {
      expected(node, what);
    } else if (node.text.find('\0') != std::string::npos) {
      complain(node, "a zero byte cannot be passed to a program");
    } else {
      into = node.text;
      return true;
    }
    return false;
  }

  void integer(const TreeNode* node, const std::string& what, std::int64_t low, std::int64_t high, std::int64_t& into) {
    if (!node) return;
    const std::string wanted = what + ", a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    if (node->kind != Kind::scalar || node->quoted) return expected(*node, wanted);
    std::int64_t value = 0;
    if (!whole_number(node->text, value) || value < low || value > high) return expected(*node, wanted);
    into = value;
  }

  static bool whole_number(std::string_view digits, std::int64_t& value) {
    value = 0;
    for (char c : digits)
      if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) return false;
    return !digits.empty();
  }

  /// A size or a duration, by its own parser, with bounds.
  template <class Parse, class Format>
  void quantity(const TreeNode* node, const char* form, Parse parse, Format format, std::int64_t low, std::int64_t high, std::int64_t& into) {
    if (!node) return;
    if (node->kind != Kind::scalar) return expected(*node, form);
    Result<std::int64_t> value = parse(node->text);
    if (!value) return complain(*node, value.error().message);
    if (*value < low || *value > high) return complain(*node, quoted_name(node->text) + " is out of bounds: at least " + format(low) + ", at most " + format(high));
    into = *value;
  }
  void size(const TreeNode* node, std::int64_t low, std::int64_t& into) {
    constexpr std::int64_t largest = std::int64_t{1} << 50;  // what a manifest can carry
    quantity(node, size_form, parse_size, format_size, low, largest, into);
  }
  void duration(const TreeNode* node, TimeMs& into) { quantity(node, duration_form, parse_duration, format_duration, 1, max_timeout_ms, into); }

  void version(const TreeNode& root) {
    const TreeNode* node = root.find("tnode");
    if (!node) return complain(root, "the key 'tnode' is missing; write 'tnode: 1', the version of this format");
    std::int64_t number = 0;
    if (node->kind == Kind::scalar && whole_number(node->text, number) && number > 1) return complain(*node, "this task needs a newer tnode: format " + node->text + ", this one reads 1; update tnode");
    integer(node, "the version of this format", 1, 1, number);
  }

  void name(const TreeNode* node) {
    std::string given;
    if (!node || !text(*node, "a name", given)) return;
    if (given.size() > max_task_name_bytes) return complain(*node, "the name has more than " + std::to_string(max_task_name_bytes) + " bytes");
    if (auto good = check_path_part(given); !good) return complain(*node, good.error().message);
    task_.terms.name = given;
  }

  void command(const TreeNode& root) {
    const TreeNode* node = root.find("command");
    if (!node) return complain(root, "the key 'command' is missing: the program and its arguments as a list, such as [python3, in/work.py]");
    const char* what = "the program and its arguments as a list, such as [sh, -c, \"…\"] for a shell line";
    if (node->kind != Kind::list) return expected(*node, what);
    if (node->items.empty()) return complain(*node, "the command is empty; expected " + std::string(what));
    if (node->items.size() > max_command_parts) return complain(*node, "the command has more than " + std::to_string(max_command_parts) + " parts");
    for (const auto& item : node->items) {
      std::string part;
      if (text(item, "a text", part)) placeholders_.push_back(&item);
      task_.spec.command.push_back(part);
    }
    if (node->items.front().kind == Kind::scalar && task_.spec.command.front().empty()) complain(node->items.front(), "the program's name is empty");
  }

  void env(const TreeNode* node) {
    if (!node) return;
    if (node->kind != Kind::map) return expected(*node, "a map of variables, such as {OMP_NUM_THREADS: \"1\"}");
    if (node->entries.size() > max_env) complain(*node, "more than " + std::to_string(max_env) + " variables");
    for (const auto& [key, value] : node->entries) {
      std::string content;
      if (key.text.empty() || key.text.find('=') != std::string::npos || !is_plain_text(key.text)) complain(key, quoted_name(key.text) + " is no name of an environment variable");
      else if (key.text.starts_with("TNODE_")) complain(key, "variables that begin with TNODE_ are set by tnode");
      if (!text(value, "a text", content)) continue;
      placeholders_.push_back(&value);
      task_.spec.env[key.text] = content;
    }
  }

  void runtime(const TreeNode* node) {
    std::string given;
    if (node && text(*node, runtime_forms, given)) read_runtime(*node, given, folder_, task_, said_);
  }

  void inputs(const TreeNode* node) {
    if (!node) return;
    if (node->kind != Kind::list) return expected(*node, "a list of files, folders and magnet links");
    if (node->items.size() > max_inputs) return complain(*node, "more than " + std::to_string(max_inputs) + " inputs; put files into folders and list those");
    for (const auto& item : node->items) input(item);
  }

  void input(const TreeNode& item) {
    const TreeNode *from = &item, *to = nullptr;
    const char* what = "a path beside task.yaml, or {from: PATH or MAGNET, to: NAME}";
    if (item.kind == Kind::map) {
      map(item, what, input_keys);
      from = item.find("from");
      to = item.find("to");
      if (!from) return complain(item, "the key 'from' is missing: " + std::string(what));
    }
    std::string source, target;
    if (!text(*from, what, source)) return;
    if (source.empty()) return complain(*from, "the path is empty");
    if (to && !text(*to, "a name below in/", target)) return;
    if (source.starts_with("magnet:")) {
      auto link = read_magnet(*from, problems_);
      if (!to) return complain(item, "an input by magnet link needs 'to', its name below in/: {from: \"magnet:…\", to: data}");
      if (!link || !take_target(*to, target)) return;
      if (task_.linked_inputs.size() == max_foreign_inputs) return complain(item, "more than " + std::to_string(max_foreign_inputs) + " inputs by magnet link");
      task_.spec.foreign_inputs.push_back({target, link->v2_hash});
      task_.linked_inputs.push_back({target, std::move(*link)});
      return;
    }
    std::error_code ec;
    fs::path path = (fs::path(folder_) / source).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // "./scenes/" is "./scenes"
    const auto status = fs::symlink_status(path, ec);
    if (status.type() == fs::file_type::symlink) return complain(*from, quoted_name(source) + " is a symbolic link, and links are not followed; name what it points to");
    if (status.type() == fs::file_type::not_found) return complain(*from, "there is no file or folder " + quoted_name(source) + " (looked for " + path.string() + ")" + nearest_file(path, source));
    if (ec) return complain(*from, "cannot look at " + path.string() + ": " + ec.message());
    if (status.type() != fs::file_type::regular && status.type() != fs::file_type::directory) return complain(*from, quoted_name(source) + " is neither a file nor a folder");
    if (status.type() == fs::file_type::directory) {
      // Walked now, so that a link or a bad name in it is reported with the other mistakes and not while packing.
      auto found = list_folder(path.string());
      if (!found) return complain(*from, found.error().message);
      if (found->empty()) return complain(*from, "the folder " + quoted_name(source) + " holds no files, and a torrent carries files only");
      for (const auto& file : *found)
        if (!require_readable(*from, (path / file.path).string())) return;
    } else if (!require_readable(*from, path.string())) {
      return;
    }
    if (!to) target = path.filename().string();
    if (take_target(to ? *to : *from, target)) task_.inputs.push_back({path.string(), target});
  }

  bool require_readable(const TreeNode& at, const std::string& path) {
    if (access(path.c_str(), R_OK) == 0) return true;
    complain(at, "cannot read " + path + ": " + std::strerror(errno));
    return false;
  }

  /// Checks a name below in/ against the rules and the inputs before it.
  bool take_target(const TreeNode& at, std::string& target) {
    if (target.starts_with("in/")) target.erase(0, 3);
    targets_.push_back("in/" + target);
    auto good = check_bundle_paths(targets_);
    if (good) return true;
    targets_.pop_back();
    complain(at, good.error().message + "; give the input another name by {from: …, to: NAME}");
    return false;
  }

  static std::string nearest_file(const fs::path& path, const std::string& source) {
    constexpr std::size_t looked_at = 1000;
    std::error_code ec;
    Words names;
    for (fs::directory_iterator entry(path.parent_path(), ec), end; !ec && entry != end && names.size() < looked_at; entry.increment(ec)) names.push_back(entry->path().filename().string());
    std::sort(names.begin(), names.end());
    const auto near = nearest_word(path.filename().string(), names);
    if (near.empty()) return "";
    const auto slash = source.find_last_of('/', source.size() - 2);
    return "; did you mean '" + (slash == std::string::npos ? "" : source.substr(0, slash + 1)) + near + "'?";
  }

  void outputs(const TreeNode* node) {
    if (!node) return;
    const char* what = "a list of patterns below out/, such as [\"out/**\"]";
    if (node->kind != Kind::list) return expected(*node, what);
    if (node->items.empty()) return complain(*node, "outputs is empty; expected " + std::string(what));
    task_.spec.outputs.clear();
    for (const auto& item : node->items) {
      TaskSpec alone;
      alone.command = {"true"};
      alone.outputs.resize(1);
      if (!text(item, "a pattern below out/", alone.outputs[0])) continue;
      if (auto good = check_task(alone); !good) complain(item, core_words(good.error()));
      task_.spec.outputs.push_back(alone.outputs[0]);
    }
    if (node->items.size() > max_outputs) complain(*node, "more than " + std::to_string(max_outputs) + " patterns");
  }

  void array(const TreeNode* node) {
    if (node && map(*node, "a map with one of range, values and lines", array_keys)) {
      const TreeNode *range = node->find("range"), *values = node->find("values"), *lines = node->find("lines");
      if ((range != nullptr) + (values != nullptr) + (lines != nullptr) != 1) complain(*node, "an array has exactly one of 'range', 'values' and 'lines'");
      if (range) this->range(*range);
      if (values) this->values(*values);
      if (lines) this->lines(*lines);
      integer(node->find("batch"), "how many consecutive indices make a unit", 1, max_indices, task_.spec.array.batch);
      has_values_ = values || lines;
    }
    for (const TreeNode* user : placeholders_) warn_of_near_placeholder(*user);
    if (has_values_) return;
    for (const TreeNode* user : placeholders_)
      if (user->text.find("{value}") != std::string::npos) complain(*user, "uses {value}, but the task has no array.values or array.lines");
  }

  /// Braces mean much to other programs, so only what nearly is a word of ours is mentioned.
  void warn_of_near_placeholder(const TreeNode& user) {
    const Words known{"index", "value"};
    for (std::size_t open = user.text.find('{'); open != std::string::npos; open = user.text.find('{', open + 1)) {
      const std::string word = user.text.substr(open + 1, user.text.find_first_of("{}", open + 1) - open - 1);
      const std::string near = has(known, word) ? "" : nearest_word(word, known);
      if (!near.empty()) warnings_.push_back(user.problem(quoted_name("{" + word + "}") + " is passed on as it is; did you mean '{" + near + "}'?"));
    }
  }

  void range(const TreeNode& node) {
    const char* what = "FIRST-LAST, such as 0-59";
    constexpr std::int64_t largest = std::int64_t{1} << 53;  // what a manifest can carry
    auto& array = task_.spec.array;
    const auto dash = node.text.find('-');
    if (node.kind != Kind::scalar || dash == std::string::npos || !whole_number(node.text.substr(0, dash), array.first) || !whole_number(node.text.substr(dash + 1), array.last)) return expected(node, what);
    if (array.last < array.first) return complain(node, "the range ends before it begins");
    if (array.last > largest) return complain(node, "indices go up to " + std::to_string(largest));
    if (array.last - array.first >= max_indices) complain(node, "more than " + std::to_string(max_indices) + " indices");
  }

  void values(const TreeNode& node) {
    if (node.kind != Kind::list || node.items.empty()) return expected(node, "a list of at least one value");
    for (const auto& item : node.items) {
      std::string value;
      if (text(item, "a text", value)) task_.spec.array.values.push_back(std::move(value));
    }
  }

  void lines(const TreeNode& node) {
    std::string inside;
    if (!text(node, "a file below in/, such as in/list.txt", inside)) return;
    if (!inside.starts_with("in/")) return complain(node, "the file of lines is named as the task sees it, below in/: 'in/" + fs::path(inside).filename().string() + "', with the file among the inputs");
    std::string path;
    for (const auto& input : task_.inputs) {
      if (inside == "in/" + input.to) path = input.from;
      else if (inside.starts_with("in/" + input.to + "/")) path = input.from + inside.substr(3 + input.to.size());
    }
    if (path.empty()) return complain(node, quoted_name(inside) + " is in none of the local inputs; add the file to 'inputs'");
    std::error_code ec;
    if (!fs::is_regular_file(fs::symlink_status(path, ec))) return complain(node, quoted_name(inside) + " is no regular file (looked at " + path + ")");
    std::ifstream file(path, std::ios::binary);
    std::string line;
    std::size_t bytes = 0;
    while (std::getline(file, line)) {
      if (line.ends_with('\r')) line.pop_back();
      if (line.empty()) continue;
      bytes += line.size();
      if (bytes > max_manifest_bytes) return complain(node, quoted_name(inside) + " has more than " + format_size(max_manifest_bytes) + " of lines; use array.range and let the command pick its line");
      if (line.find('\0') != std::string::npos) return complain(node, quoted_name(inside) + " has a zero byte: it is no text");
      task_.spec.array.values.push_back(line);
    }
    if (file.bad() || !file.eof()) return complain(node, "cannot read " + path);
    if (task_.spec.array.values.empty()) complain(node, quoted_name(inside) + " has no lines");
  }

  void resources(const TreeNode* node) {
    if (!node || !map(*node, "a map, such as {cpus: 1, memory: 512MiB, disk: 256MiB}", resource_keys)) return;
    auto& wanted = task_.spec.resources;
    integer(node->find("cpus"), "a number of processor cores", 1, 1024, wanted.cpus);
    size(node->find("memory"), 1 << 20, wanted.memory_bytes);
    size(node->find("disk"), 0, wanted.disk_bytes);
  }

  void timeouts(const TreeNode* node) {
    if (!node || !map(*node, "a map, such as {queue: 10m, run: 5m, total: 2h}", timeout_keys)) return;
    duration(node->find("queue"), task_.terms.queue_ms);
    duration(node->find("run"), task_.terms.run_ms);
    duration(node->find("total"), task_.terms.total_ms);
    const TreeNode *run = node->find("run"), *total = node->find("total");
    if (task_.terms.total_ms < task_.terms.run_ms) complain(total ? *total : *run, "timeouts.total (" + format_duration(task_.terms.total_ms) + ") is shorter than timeouts.run (" + format_duration(task_.terms.run_ms) + ")");
  }

  void quorum(const TreeNode* node) {
    if (!node || !map(*node, "a map, such as {agree: 2, max: 5}", quorum_keys)) return;
    integer(node->find("agree"), "how many farmers must agree", 1, max_agree, task_.terms.agree);
    task_.terms.max_replicas = std::max(task_.terms.max_replicas, task_.terms.agree);
    integer(node->find("max"), "at how many replicas to give up, at least quorum.agree", task_.terms.agree, max_agree, task_.terms.max_replicas);
    const TreeNode* adaptive = node->find("adaptive");
    if (adaptive && (adaptive->kind != Kind::scalar || (adaptive->text != "true" && adaptive->text != "false"))) return expected(*adaptive, "true or false");
    task_.terms.adaptive = adaptive && adaptive->text == "true";
  }

  void market(const TreeNode* node) {
    if (!node || !map(*node, "a map, such as {max_price: 2.5}", market_keys)) return;
    const TreeNode* price = node->find("max_price");
    if (!price) return;
    const char* what = "an amount of credits per unit, such as 2.5, with at most six decimals";
    if (price->kind != Kind::scalar) return expected(*price, what);
    auto amount = parse_credits(price->text);
    if (!amount || *amount < 0) return expected(*price, what);
    if (*amount > max_unit_price_micro) return expected(*price, ("at most " + format_credits(max_unit_price_micro) + " credits per unit").c_str());
    task_.terms.max_price_micro = *amount;
  }

  /// What no single key shows: the manifest as a whole, by the same rules that a farmer checks it by.
  void whole(const TreeNode& root) {
    const Bytes manifest = encode_manifest(task_.spec);
    auto good = decode_manifest(manifest);
    if (good) return;
    const std::string words = core_words(good.error());
    const TreeNode *array = root.find("array"), *command = root.find("command");
    const bool by_array = array && (manifest.size() > max_manifest_bytes || words.find("indices") != std::string::npos || words.find("units") != std::string::npos);
    complain(by_array ? *array : *command, words);
  }

  std::string folder_;
  TaskFileResult& said_;
  std::vector<TaskFileProblem>&problems_, &warnings_;
  TaskFile task_;
  std::vector<std::string> targets_;             // "in/…" of every input so far
  std::vector<const TreeNode*> placeholders_;    // texts in which {index} and {value} are replaced
  bool has_values_ = false;
};

/// Problems in the order of the file, not endlessly many; no task beside them.
void settle(TaskFileResult& result, const std::string& shown_name) {
  auto& problems = result.problems;
  if (problems.empty()) return;
  result.task.reset();
  std::stable_sort(problems.begin(), problems.end(), [](const TaskFileProblem& a, const TaskFileProblem& b) { return std::pair(a.line, a.column) < std::pair(b.line, b.column); });
  if (problems.size() <= max_problems) return;
  const auto left_out = problems.size() - max_problems;
  problems.resize(max_problems);
  problems.push_back({shown_name, 0, 0, "and " + std::to_string(left_out) + " more problems"});
}

TaskFileResult only_problem(const std::string& file, std::string text) { return {std::nullopt, {{file, 0, 0, std::move(text)}}, {}}; }

}  // namespace

TaskFileResult read_task_file(const std::string& path, const std::vector<std::string>& settings) {
  std::error_code ec;
  const auto status = fs::status(path, ec);
  if (ec && status.type() == fs::file_type::none) return only_problem(path, "cannot be looked at: " + ec.message());
  if (status.type() == fs::file_type::not_found) return only_problem(path, "there is no such file");
  if (status.type() == fs::file_type::directory) return only_problem(path, "is a folder; name the task.yaml in it");
  if (status.type() != fs::file_type::regular) return only_problem(path, "is no regular file");
  std::ifstream file(path, std::ios::binary);
  std::string text(max_tree_text_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) return only_problem(path, "cannot be read: " + std::string(std::strerror(errno)));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const fs::path absolute = fs::absolute(path, ec).lexically_normal();
  return read_task_text(text, path, absolute.parent_path().string(), settings);
}

TaskFileResult read_task_text(std::string_view text, const std::string& shown_name, const std::string& folder, const std::vector<std::string>& settings) {
  TaskFileResult result;
  auto& problems = result.problems;
  TreeNode root = read_yaml_tree(text, shown_name, problems);
  // A tree that is not whole would only bring complaints about what is missing from it.
  if (root.kind == Kind::null && problems.empty()) problems.push_back({shown_name, 0, 0, "is empty; a task needs at least 'tnode: 1' and 'command: […]'"});
  if (root.kind != Kind::null) {
    for (const auto& assignment : settings) set_in_tree(root, assignment, problems);
    result.task = Reader(folder, result).read(root);
  }
  settle(result, shown_name);
  return result;
}

TaskFileResult read_terms(const std::string& name, const std::vector<std::string>& settings) {
  TaskFileResult result;
  TreeNode root;
  root.kind = Kind::map;
  root.file = "--set";
  for (const auto& assignment : settings) set_in_tree(root, assignment, result.problems);
  result.task = Reader("", result).read_terms(root);
  if (!root.find("name")) result.task->terms.name = name;
  settle(result, "--set");
  return result;
}

}  // namespace tnode
