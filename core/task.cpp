// Manifests and their expansion: see task.h.
#include "core/task.h"

#include <algorithm>

#include "core/bundle_paths.h"
#include "core/dict_reader.h"
#include "core/runtime.h"

namespace tnode {
namespace {

using Dict = bencode::Dictionary;
using bencode::DictReader;
using bencode::List;
using bencode::Value;

constexpr std::int64_t max_resource = std::int64_t{1} << 50;

List texts(const std::vector<std::string>& strings) {
  List list;
  for (const auto& s : strings) list.emplace_back(s);
  return list;
}

bool read_texts(const List& list, std::vector<std::string>& into) {
  for (const auto& item : list) {
    const auto* text = item.bytes();
    if (!text || text->find('\0') != std::string::npos) return false;
    into.push_back(*text);
  }
  return true;
}

std::string replaced(std::string text, const std::string& index, const std::string* value) {
  auto replace_all = [&](std::string_view from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  };
  replace_all("{index}", index);
  if (value) replace_all("{value}", *value);
  return text;
}

std::int64_t occurrences(std::string_view text, std::string_view of) {
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = text.find(of, at)) != std::string_view::npos; at += of.size()) ++count;
  return count;
}

/// Upper bound for one index's command and environment, counted without making them.
std::int64_t invocation_bytes(const TaskSpec& spec) {
  constexpr std::int64_t index_digits = 20, string_overhead = 32;
  std::int64_t longest_value = 0, bytes = 0;
  for (const auto& value : spec.array.values) longest_value = std::max(longest_value, static_cast<std::int64_t>(value.size()));
  // Lengths are below max_manifest_bytes, so no product here comes near 64 bits.
  auto count = [&](const std::string& text) {
    bytes += string_overhead + static_cast<std::int64_t>(text.size()) + index_digits * occurrences(text, "{index}") + longest_value * occurrences(text, "{value}");
  };
  for (const auto& part : spec.command) count(part);
  for (const auto& [key, text] : spec.env) { count(key); count(text); }
  return bytes;
}

std::map<std::string, std::string> basic_environment() { return {{"HOME", "/tmp"}, {"LANG", "C.UTF-8"}, {"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"TZ", "UTC"}}; }

Error refused(const std::string& why) { return fail(Code::invalid, "manifest: " + why); }

Result<void> check_output_pattern(const std::string& pattern) {
  if (!pattern.starts_with("out/")) return refused("the outputs pattern " + quoted_name(pattern) + " is not below out/");
  for (const auto& part : split_path(pattern)) {
    if (auto good = check_path_part(part); !good) return refused("outputs: " + good.error().message);
  }
  return {};
}

}  // namespace

Bytes encode_manifest(const TaskSpec& spec) {
  Dict env, foreign, array, resources, manifest;
  for (const auto& [key, value] : spec.env) env[key] = value;
  for (const auto& input : spec.foreign_inputs) foreign[input.to] = input.v2_hash.view();
  array["batch"] = spec.array.batch;
  if (spec.array.values.empty()) {
    array["first"] = spec.array.first;
    array["last"] = spec.array.last;
  } else {
    array["values"] = texts(spec.array.values);
  }
  resources["cpus"] = spec.resources.cpus;
  resources["disk"] = spec.resources.disk_bytes;
  resources["memory"] = spec.resources.memory_bytes;
  manifest["array"] = std::move(array);
  manifest["command"] = texts(spec.command);
  manifest["env"] = std::move(env);
  manifest["foreign"] = std::move(foreign);
  manifest["outputs"] = texts(spec.outputs);
  manifest["resources"] = std::move(resources);
  manifest["runtime"] = spec.runtime;
  manifest["tnode"] = 1;
  if (!spec.warm.empty()) manifest["warm"] = texts(spec.warm);  // only where it is asked for: other tasks keep their hash
  return bencode::encode(manifest);
}

Result<TaskSpec> decode_manifest(std::string_view bytes) {
  if (bytes.size() > max_manifest_bytes) return fail(Code::invalid, "the manifest is larger than 4 MiB");
  auto value = bencode::decode(bytes);
  if (!value) return fail(Code::invalid, "the manifest is broken: " + value.error().message);
  if (const auto* dict = value->dictionary()) {
    auto version = dict->find("tnode");
    if (version != dict->end() && version->second.integer() && *version->second.integer() > 1)
      return fail(Code::newer, "the task was made by a newer tnode (manifest version " + std::to_string(*version->second.integer()) + "); update tnode");
  }
  TaskSpec spec;
  DictReader reader(*value);
  reader.number("tnode", 1, 1);
  spec.runtime = reader.bytes("runtime", 4096);
  if (!read_texts(reader.list("command", max_command_parts), spec.command) || spec.command.empty() || spec.command.front().empty()) reader.refuse("the command is empty or not a list of strings");
  spec.outputs.clear();
  if (!read_texts(reader.list("outputs", max_outputs), spec.outputs)) reader.refuse("outputs is not a list of strings");
  for (const auto& [key, item] : reader.dictionary("env", max_env)) {
    if (!item.bytes() || key.empty() || key.find('=') != std::string::npos || key.find('\0') != std::string::npos || item.bytes()->find('\0') != std::string::npos) reader.refuse("env '" + key + "' is broken");
    else spec.env[key] = *item.bytes();
  }
  for (const auto& [to, item] : reader.dictionary("foreign", max_foreign_inputs)) {
    auto hash = item.bytes() ? Hash::from_bytes(*item.bytes()) : Result<Hash>(fail(Code::invalid, ""));
    if (!hash) reader.refuse("foreign input '" + to + "' is broken");
    else spec.foreign_inputs.push_back({to, *hash});
  }
  if (reader.has("warm") && (!read_texts(reader.list("warm", max_command_parts), spec.warm) || spec.warm.empty())) reader.refuse("warm is empty or not a list of strings");
  DictReader array(reader.any("array"));
  spec.array.batch = array.number("batch", 1, max_indices);
  if (array.has("values")) {
    if (!read_texts(array.list("values", static_cast<std::size_t>(max_indices)), spec.array.values) || spec.array.values.empty()) array.refuse("array values are broken");
  } else {
    spec.array.first = array.number("first", 0, std::int64_t{1} << 53);
    spec.array.last = array.number("last", spec.array.first, spec.array.first + max_indices - 1);
  }
  if (auto good = array.finish(); !good) return fail(Code::invalid, "manifest, array: " + good.error().message);
  DictReader resources(reader.any("resources"));
  spec.resources.cpus = resources.number("cpus", 1, 1024);
  spec.resources.disk_bytes = resources.number("disk", 0, max_resource);
  spec.resources.memory_bytes = resources.number("memory", 1, max_resource);
  if (auto good = resources.finish(); !good) return fail(Code::invalid, "manifest, resources: " + good.error().message);
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "manifest: " + good.error().message);
  if (auto good = check_task(spec); !good) return good.error();
  return spec;
}

Result<void> check_task(const TaskSpec& spec) {
  if (spec.command.empty() || spec.command.size() > max_command_parts || spec.command.front().empty()) return refused("the command is empty or has more than " + std::to_string(max_command_parts) + " parts");
  if (!spec.warm.empty() && (spec.warm.size() > max_command_parts || spec.warm.front().empty())) return refused("the warm command has no program or more than " + std::to_string(max_command_parts) + " parts");
  if (spec.runtime != "host" && !runtime_id(spec.runtime)) return refused("the runtime is neither 'host' nor the magnet link of a v2 hash alone");
  std::vector<std::string> inputs;
  for (const auto& input : spec.foreign_inputs) inputs.push_back("in/" + input.to);
  if (auto good = check_bundle_paths(inputs); !good) return refused("foreign input: " + good.error().message);
  if (spec.outputs.empty() || spec.outputs.size() > max_outputs) return refused("outputs needs 1 to " + std::to_string(max_outputs) + " patterns");
  for (const auto& pattern : spec.outputs) {
    if (auto good = check_output_pattern(pattern); !good) return good;
  }
  if (index_count(spec) > max_indices) return refused("more than " + std::to_string(max_indices) + " indices");
  if ((index_count(spec) + spec.array.batch - 1) / spec.array.batch > max_units) return refused("more than " + std::to_string(max_units) + " units; use a larger batch");
  const std::int64_t one = invocation_bytes(spec);
  if (one > max_invocation_bytes) return refused("command and env of one index come to more than 1 MiB");
  if (one * std::min(spec.array.batch, index_count(spec)) > max_unit_expansion_bytes) return refused("command and env of one unit's indices come to more than 64 MiB; use a smaller batch");
  return {};
}

std::int64_t index_count(const TaskSpec& spec) {
  return spec.array.values.empty() ? spec.array.last - spec.array.first + 1 : static_cast<std::int64_t>(spec.array.values.size());
}

UnitNumber unit_count(const TaskSpec& spec) { return static_cast<UnitNumber>((index_count(spec) + spec.array.batch - 1) / spec.array.batch); }

std::vector<Invocation> expand_unit(const TaskSpec& spec, UnitNumber unit) {
  std::vector<Invocation> invocations;
  const std::int64_t from = spec.array.batch * unit, to = std::min(index_count(spec), from + spec.array.batch);
  for (std::int64_t place = from; place < to; ++place) {
    Invocation invocation;
    const std::string* value = spec.array.values.empty() ? nullptr : &spec.array.values[static_cast<std::size_t>(place)];
    invocation.index = value ? place : spec.array.first + place;
    const std::string index = std::to_string(invocation.index);
    for (const auto& part : spec.command) invocation.argv.push_back(replaced(part, index, value));
    invocation.env = basic_environment();
    for (const auto& [key, text] : spec.env) invocation.env[key] = replaced(text, index, value);
    invocation.env["TNODE_INDEX"] = index;
    invocations.push_back(std::move(invocation));
  }
  return invocations;
}

bool fits_warm_hint(const TaskSpec& spec, const std::string& hint) { return hint == warm_python_hint && spec.command.front() == "python3"; }

std::vector<std::string> warm_command(const TaskSpec& spec, const std::string& hint) {
  if (!spec.warm.empty() || !fits_warm_hint(spec, hint)) return spec.warm;
  return {"python3", warm_python_path};
}

std::map<std::string, std::string> warm_environment(const TaskSpec& spec) {
  auto env = basic_environment();
  for (const auto& [key, text] : spec.env)
    if (text.find("{index}") == std::string::npos && text.find("{value}") == std::string::npos) env[key] = text;
  return env;
}

}  // namespace tnode
