#include "cli/task_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/quantities.h"
#include "core/amount.h"
#include "core/bundle_paths.h"
#include "core/magnet.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t max_file_bytes = 4 << 20;
constexpr std::size_t max_nodes = 200'000;  // aliases can make a small file enormous
constexpr int max_yaml_depth = 16;
constexpr int format_version = 1;

using Words = std::vector<std::string>;

const Words root_keys = {"tnode", "name", "command", "env", "runtime", "inputs", "outputs", "array", "resources", "timeouts", "quorum", "market"};

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string suggestion(const std::string& word, const Words& known) {
  std::string best;
  std::size_t least = word.size() / 2 + 2;
  for (const auto& each : known)
    if (std::size_t distance = edit_distance(word, each); distance < least) least = distance, best = each;
  return best.empty() ? std::string() : "; did you mean '" + best + "'?";
}

/// Joins words as people do: "a, b and c".
std::string listed(const Words& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)), folder_(fs::absolute(file_).parent_path()) {}

  TaskFileResult read(const std::vector<std::string>& settings);
  TaskFileResult read_only_terms(const std::string& name, const std::vector<std::string>& settings);

 private:
  void problem(const YAML::Mark& mark, std::string text) {
    problems_.push_back({file_, mark.is_null() ? 0 : mark.line + 1, mark.is_null() ? 0 : mark.column + 1, std::move(text)});
  }
  YAML::Node load();
  bool measure(const YAML::Node& node, int depth);
  void set(YAML::Node& root, const std::string& setting);
  /// A mapping's entries by key; unknown and repeated keys are problems.
  std::map<std::string, YAML::Node> entries(const YAML::Node& map, const std::string& what, const Words& known);
  std::optional<std::string> text(const YAML::Node& node, const std::string& what);
  std::optional<std::int64_t> number(const YAML::Node& node, const std::string& what, std::int64_t low, std::int64_t high);
  template <class T>
  void quantity(const YAML::Node& node, const std::string& what, Result<T> (*parse)(std::string_view), T low, T& into);
  std::vector<std::string> texts(const YAML::Node& node, const std::string& what, const std::string& example);

  void read_version(const YAML::Node& node);
  void read_inputs(const YAML::Node& node);
  void read_input(const YAML::Node& node);
  void add_foreign_input(const YAML::Node& node, const std::string& link, std::string to);
  void add_local_input(const YAML::Node& node, const std::string& from, std::string to);
  void read_array(const YAML::Node& node);
  void read_range(const YAML::Node& node);
  void read_lines(const YAML::Node& node);
  void read_env(const YAML::Node& node);
  void read_runtime(const YAML::Node& node);
  void read_resources(const YAML::Node& node);
  void read_timeouts(const YAML::Node& node);
  void read_quorum(const YAML::Node& node);
  void read_market(const YAML::Node& node);

  std::string file_;
  fs::path folder_;
  TaskFile task_;
  std::vector<TaskFileProblem> problems_;
  std::size_t nodes_ = 0;
  std::optional<YAML::Node> lines_;  // looked up after the inputs are known
};

// --- YAML in general ---

YAML::Node Reader::load() {
  std::ifstream file(file_, std::ios::binary);
  if (!file || fs::is_directory(file_)) {
    problem(YAML::Mark::null_mark(), "cannot be read: " + std::string(fs::exists(file_) ? "it is no readable file" : "there is no such file"));
    return {};
  }
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() > max_file_bytes) {
    problem(YAML::Mark::null_mark(), "is larger than 4 MiB");
    return {};
  }
  try {
    YAML::Node root = YAML::Load(bytes);
    if (!root.IsMap()) {
      problem(root.Mark(), "expected `tnode: 1`, `command: [...]` and so on; see docs/task-yaml.md");
      return {};
    }
    if (!measure(root, 0)) return {};
    return root;
  } catch (const YAML::Exception& error) {
    problem(error.mark, "is no YAML: " + error.msg);
    return {};
  }
}

bool Reader::measure(const YAML::Node& node, int depth) {
  if (++nodes_ > max_nodes || depth > max_yaml_depth) {
    if (problems_.empty()) problem(node.Mark(), "is nested too deeply or, with its aliases written out, too large");
    return false;
  }
  if (node.IsMap())
    for (const auto& entry : node)
      if (!measure(entry.second, depth + 1)) return false;
  if (node.IsSequence())
    for (const auto& item : node)
      if (!measure(item, depth + 1)) return false;
  return true;
}

void Reader::set(YAML::Node& root, const std::string& setting) {
  auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) return problem(YAML::Mark::null_mark(), "--set wants KEY=VALUE (for example quorum.agree=1), not '" + setting + "'");
  std::vector<std::string> parts;
  std::stringstream keys(setting.substr(0, equals));
  for (std::string part; std::getline(keys, part, '.');) parts.push_back(part);
  try {
    YAML::Node value = YAML::Load(setting.substr(equals + 1));
    YAML::Node at = root;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      if (at[parts[i]] && !at[parts[i]].IsMap()) return problem(YAML::Mark::null_mark(), "--set " + setting + ": '" + parts[i] + "' has no parts");
      if (!at[parts[i]]) at[parts[i]] = YAML::Node(YAML::NodeType::Map);
      at.reset(at[parts[i]]);
    }
    at[parts.back()] = value;
  } catch (const YAML::Exception& error) {
    problem(YAML::Mark::null_mark(), "--set " + setting + ": " + error.msg);
  }
}

std::map<std::string, YAML::Node> Reader::entries(const YAML::Node& map, const std::string& what, const Words& known) {
  std::map<std::string, YAML::Node> found;
  if (!map.IsMap()) {
    problem(map.Mark(), what + ": expected " + listed(known) + " with their values");
    return found;
  }
  for (const auto& entry : map) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    if (std::find(known.begin(), known.end(), key) == known.end())
      problem(entry.first.Mark(), "unknown key '" + key + "'" + (what.empty() ? "" : " in " + what) + suggestion(key, known));
    else if (!found.emplace(key, entry.second).second)
      problem(entry.first.Mark(), "'" + key + "' is there twice");
  }
  return found;
}

std::optional<std::string> Reader::text(const YAML::Node& node, const std::string& what) {
  if (node.IsScalar()) return node.Scalar();
  problem(node.Mark(), what + ": expected a text");
  return std::nullopt;
}

std::optional<std::int64_t> Reader::number(const YAML::Node& node, const std::string& what, std::int64_t low, std::int64_t high) {
  const std::string range = std::to_string(low) + " to " + std::to_string(high);
  std::int64_t value = 0;
  if (node.IsScalar() && YAML::convert<std::int64_t>::decode(node, value)) {
    if (value >= low && value <= high) return value;
    problem(node.Mark(), what + ": " + node.Scalar() + " is out of range; expected " + range);
  } else {
    problem(node.Mark(), what + ": expected a whole number, " + range);
  }
  return std::nullopt;
}

template <class T>
void Reader::quantity(const YAML::Node& node, const std::string& what, Result<T> (*parse)(std::string_view), T low, T& into) {
  auto written = text(node, what);
  if (!written) return;
  auto value = parse(*written);
  if (!value) return problem(node.Mark(), what + ": " + value.error().message);
  if (*value < low) return problem(node.Mark(), what + ": " + *written + " is too little");
  into = *value;
}

std::vector<std::string> Reader::texts(const YAML::Node& node, const std::string& what, const std::string& example) {
  std::vector<std::string> found;
  if (!node.IsSequence()) {
    problem(node.Mark(), what + ": expected a list, like " + example);
    return found;
  }
  for (const auto& item : node)
    if (auto each = text(item, what)) found.push_back(*each);
  return found;
}

// --- the format ---

TaskFileResult Reader::read(const std::vector<std::string>& settings) {
  YAML::Node root = load();
  if (!problems_.empty()) return {std::nullopt, problems_};
  for (const auto& setting : settings) set(root, setting);
  task_.terms.name = fs::absolute(file_).parent_path().filename().string();
  auto keys = entries(root, "", root_keys);
  if (!keys.count("tnode")) problem(root.Mark(), "`tnode: 1` is missing: the version of this format");
  if (!keys.count("command")) problem(root.Mark(), "`command: [program, argument, ...]` is missing");
  // In the order of the file, so that problems come in its order too.
  for (const auto& entry : root) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const YAML::Node& node = entry.second;
    if (!keys.count(key)) continue;
    if (key == "tnode") read_version(node);
    else if (key == "name") { if (auto name = text(node, "name")) task_.terms.name = *name; }
    else if (key == "command") {
      if (node.IsScalar()) problem(node.Mark(), "command: expected a list, like [sh, -c, \"" + node.Scalar() + "\"]; a shell is only there when asked for");
      else task_.spec.command = texts(node, "command", "[python3, in/run.py, \"{index}\"]");
    }
    else if (key == "env") read_env(node);
    else if (key == "runtime") read_runtime(node);
    else if (key == "inputs") read_inputs(node);
    else if (key == "outputs") task_.spec.outputs = texts(node, "outputs", "[\"out/**\"]");
    else if (key == "array") read_array(node);
    else if (key == "resources") read_resources(node);
    else if (key == "timeouts") read_timeouts(node);
    else if (key == "quorum") read_quorum(node);
    else if (key == "market") read_market(node);
  }
  if (lines_) read_lines(*lines_);
  if (task_.terms.name.empty() || task_.terms.name.size() > 200 || !is_plain_text(task_.terms.name))
    problem(keys.count("name") ? keys["name"].Mark() : root.Mark(), "name: expected 1 to 200 bytes of plain text");
  std::sort(task_.spec.foreign_inputs.begin(), task_.spec.foreign_inputs.end(), [](const ForeignInput& a, const ForeignInput& b) { return a.to < b.to; });
  if (problems_.empty())
    if (auto good = check_task(task_.spec); !good) problem(root.Mark(), good.error().message);
  if (!problems_.empty()) return {std::nullopt, problems_};
  return {task_, {}};
}

TaskFileResult Reader::read_only_terms(const std::string& name, const std::vector<std::string>& settings) {
  YAML::Node root(YAML::NodeType::Map);
  for (const auto& setting : settings) set(root, setting);
  task_.terms.name = name;
  auto keys = entries(root, "--set", {"name", "timeouts", "quorum", "market"});
  if (keys.count("name"))
    if (auto given = text(keys["name"], "name")) task_.terms.name = *given;
  if (keys.count("timeouts")) read_timeouts(keys["timeouts"]);
  if (keys.count("quorum")) read_quorum(keys["quorum"]);
  if (keys.count("market")) read_market(keys["market"]);
  if (!problems_.empty()) return {std::nullopt, problems_};
  return {task_, {}};
}

void Reader::read_version(const YAML::Node& node) {
  if (auto version = number(node, "tnode", 1, 1'000'000); version && *version > format_version)
    problem(node.Mark(), "tnode: version " + std::to_string(*version) + " of this format is newer than this program knows (1); update tnode");
}

void Reader::read_env(const YAML::Node& node) {
  if (!node.IsMap()) return problem(node.Mark(), "env: expected names with their values, like {OMP_NUM_THREADS: \"1\"}");
  for (const auto& entry : node) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    auto value = text(entry.second, "env " + key);
    if (key.empty() || key.find('=') != std::string::npos) problem(entry.first.Mark(), "env: '" + key + "' is no name of a variable");
    else if (value && !task_.spec.env.emplace(key, *value).second) problem(entry.first.Mark(), "env: '" + key + "' is there twice");
  }
}

void Reader::read_runtime(const YAML::Node& node) {
  auto runtime = text(node, "runtime");
  if (!runtime || *runtime == "host") return;
  auto magnet = parse_magnet(*runtime);
  if (!magnet || magnet->v2_hash.is_zero()) return problem(node.Mark(), "runtime: expected `host`, or the magnet link (with its btmh hash) of a root file system");
  task_.spec.runtime = format_magnet(Magnet{magnet->v2_hash, {}, "", {}});
}

void Reader::read_inputs(const YAML::Node& node) {
  if (!node.IsSequence()) return problem(node.Mark(), "inputs: expected a list, like [./data, {from: ./scenes/glass, to: scene}]");
  for (const auto& item : node) read_input(item);
  std::set<std::string> names;
  for (const auto& input : task_.inputs)
    if (!names.insert(input.to).second) problem(node.Mark(), "inputs: two of them would be in/" + input.to + "; name one with {from: …, to: …}");
  for (const auto& input : task_.spec.foreign_inputs)
    if (!names.insert(input.to).second) problem(node.Mark(), "inputs: two of them would be in/" + input.to + "; name one with {from: …, to: …}");
}

void Reader::read_input(const YAML::Node& node) {
  std::string from, to;
  if (node.IsMap()) {
    auto keys = entries(node, "an input", {"from", "to"});
    if (!keys.count("from")) return problem(node.Mark(), "an input: `from` is missing: a path beside task.yaml, or a magnet link");
    if (auto given = text(keys["from"], "from")) from = *given;
    if (keys.count("to"))
      if (auto given = text(keys["to"], "to")) to = *given;
  } else if (auto given = text(node, "an input")) {
    from = *given;
  }
  if (from.empty()) return;
  if (from.starts_with("magnet:")) add_foreign_input(node, from, to);
  else add_local_input(node, from, to);
}

void Reader::add_foreign_input(const YAML::Node& node, const std::string& link, std::string to) {
  auto magnet = parse_magnet(link);
  if (!magnet) return problem(node.Mark(), "an input: " + magnet.error().message);
  if (magnet->v2_hash.is_zero()) return problem(node.Mark(), "an input: the magnet link needs the v2 hash (xt=urn:btmh:…); a v1 hash alone can be forged");
  if (to.empty()) return problem(node.Mark(), "an input from a magnet link needs a name: {from: \"magnet:…\", to: data}");
  if (auto good = check_path_part(to); !good) return problem(node.Mark(), "an input: " + good.error().message);
  task_.spec.foreign_inputs.push_back({to, magnet->v2_hash});
}

void Reader::add_local_input(const YAML::Node& node, const std::string& from, std::string to) {
  fs::path path = (folder_ / from).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  std::error_code ec;
  auto status = fs::symlink_status(path, ec);
  if (status.type() == fs::file_type::not_found) return problem(node.Mark(), "inputs: there is no file or folder '" + from + "' beside this file");
  if (status.type() != fs::file_type::regular && status.type() != fs::file_type::directory)
    return problem(node.Mark(), "inputs: '" + from + "' is neither file nor folder" + (status.type() == fs::file_type::symlink ? " but a symbolic link; name what it points to" : ""));
  if (to.empty()) to = path.filename().string();
  for (const auto& part : split_path(to))
    if (auto good = check_path_part(part); !good) return problem(node.Mark(), "inputs: " + good.error().message);
  task_.inputs.push_back({path.string(), to});
}

void Reader::read_array(const YAML::Node& node) {
  auto keys = entries(node, "array", {"range", "values", "lines", "batch"});
  if (!node.IsMap()) return;
  const auto sources = keys.count("range") + keys.count("values") + keys.count("lines");
  if (sources != 1) problem(node.Mark(), "array: expected one of range: 0-59, values: [a, b, c] or lines: in/list.txt");
  if (keys.count("range")) read_range(keys["range"]);
  if (keys.count("values")) {
    task_.spec.array.values = texts(keys["values"], "values", "[red, green, blue]");
    if (keys["values"].IsSequence() && task_.spec.array.values.empty()) problem(keys["values"].Mark(), "values: expected at least one");
  }
  if (keys.count("lines")) lines_ = keys["lines"];
  if (keys.count("batch"))
    if (auto batch = number(keys["batch"], "batch", 1, max_indices)) task_.spec.array.batch = *batch;
}

void Reader::read_range(const YAML::Node& node) {
  auto range = text(node, "range");
  if (!range) return;
  auto dash = range->find('-');
  const std::string first = range->substr(0, dash), last = dash == std::string::npos ? first : range->substr(dash + 1);
  auto is_index = [](const std::string& digits) { return !digits.empty() && digits.size() <= 15 && digits.find_first_not_of("0123456789") == std::string::npos; };
  if (!is_index(first) || !is_index(last)) return problem(node.Mark(), "range: expected FIRST-LAST, like 0-59, not '" + *range + "'");
  task_.spec.array.first = std::stoll(first);
  task_.spec.array.last = std::stoll(last);
  if (task_.spec.array.last < task_.spec.array.first) return problem(node.Mark(), "range: it ends before it begins");
  if (task_.spec.array.last - task_.spec.array.first >= max_indices) problem(node.Mark(), "range: at most " + std::to_string(max_indices) + " indices");
}

void Reader::read_lines(const YAML::Node& node) {
  auto path = text(node, "lines");
  if (!path) return;
  if (!path->starts_with("in/")) return problem(node.Mark(), "lines: expected a file of the task's inputs, like in/list.txt");
  // The file as it is here: in/NAME is one of the inputs, or lies below one.
  for (const auto& input : task_.inputs) {
    const std::string root = "in/" + input.to;
    if (*path != root && !path->starts_with(root + "/")) continue;
    std::ifstream file(input.from + path->substr(root.size()));
    if (!file) break;
    for (std::string line; std::getline(file, line);)
      if (!line.empty()) task_.spec.array.values.push_back(line);
    if (task_.spec.array.values.empty()) problem(node.Mark(), "lines: " + *path + " has no line");
    return;
  }
  problem(node.Mark(), "lines: there is no " + *path + " among the inputs");
}

void Reader::read_resources(const YAML::Node& node) {
  auto keys = entries(node, "resources", {"cpus", "memory", "disk"});
  if (keys.count("cpus"))
    if (auto cpus = number(keys["cpus"], "cpus", 1, 1024)) task_.spec.resources.cpus = *cpus;
  if (keys.count("memory")) quantity<std::int64_t>(keys["memory"], "memory", parse_size, 1 << 20, task_.spec.resources.memory_bytes);
  if (keys.count("disk")) quantity<std::int64_t>(keys["disk"], "disk", parse_size, 1, task_.spec.resources.disk_bytes);
}

void Reader::read_timeouts(const YAML::Node& node) {
  auto keys = entries(node, "timeouts", {"queue", "run", "total"});
  if (keys.count("queue")) quantity<TimeMs>(keys["queue"], "queue", parse_duration, 1, task_.terms.queue_ms);
  if (keys.count("run")) quantity<TimeMs>(keys["run"], "run", parse_duration, 1, task_.terms.run_ms);
  if (keys.count("total")) quantity<TimeMs>(keys["total"], "total", parse_duration, 1, task_.terms.total_ms);
}

void Reader::read_quorum(const YAML::Node& node) {
  constexpr std::int64_t most = 64;
  auto keys = entries(node, "quorum", {"agree", "max"});
  if (keys.count("agree"))
    if (auto agree = number(keys["agree"], "agree", 1, most)) {
      task_.terms.agree = *agree;
      task_.terms.max_replicas = std::max(task_.terms.max_replicas, *agree);
    }
  if (keys.count("max"))
    if (auto replicas = number(keys["max"], "max", task_.terms.agree, most)) task_.terms.max_replicas = *replicas;
}

void Reader::read_market(const YAML::Node& node) {
  auto keys = entries(node, "market", {"max_price"});
  if (!keys.count("max_price")) return;
  auto written = text(keys["max_price"], "max_price");
  if (!written) return;
  auto price = parse_credits(*written);
  if (!price || *price < 0 || *price > 1'000'000'000 * credit_micro) problem(keys["max_price"].Mark(), "max_price: expected credits a unit, like 2.5");
  else task_.terms.max_price_micro = *price;
}

}  // namespace

std::string TaskFileProblem::shown() const {
  return file + (line > 0 ? ":" + std::to_string(line) + ":" + std::to_string(column) : "") + ": " + text;
}

TaskFileResult read_task_file(const std::string& path, const std::vector<std::string>& settings) { return Reader(path).read(settings); }
TaskFileResult read_terms(const std::string& name, const std::vector<std::string>& settings) { return Reader("--set").read_only_terms(name, settings); }

}  // namespace tnode
