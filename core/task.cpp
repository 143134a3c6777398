#include "core/task.h"

#include "core/dict_reader.h"

namespace tnode {
namespace {

using Dict = bencode::Dictionary;
using bencode::DictReader;
using bencode::List;
using bencode::Value;

constexpr std::size_t max_text = 1 << 20;
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
  if (!read_texts(reader.list("outputs", 256), spec.outputs)) reader.refuse("outputs is not a list of strings");
  for (const auto& [key, item] : reader.dictionary("env", 1024)) {
    if (!item.bytes() || key.empty() || key.find('=') != std::string::npos || key.find('\0') != std::string::npos || item.bytes()->find('\0') != std::string::npos) reader.refuse("env '" + key + "' is broken");
    else spec.env[key] = *item.bytes();
  }
  for (const auto& [to, item] : reader.dictionary("foreign", 64)) {
    auto hash = item.bytes() ? Hash::from_bytes(*item.bytes()) : Result<Hash>(fail(Code::invalid, ""));
    if (!hash) reader.refuse("foreign input '" + to + "' is broken");
    else spec.foreign_inputs.push_back({to, *hash});
  }
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
  if ((index_count(spec) + spec.array.batch - 1) / spec.array.batch > max_units) return fail(Code::invalid, "more than " + std::to_string(max_units) + " units; use a larger batch");
  return spec;
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
    for (const auto& [key, text] : spec.env) invocation.env[key] = replaced(text, index, value);
    invocation.env["TNODE_INDEX"] = index;
    invocations.push_back(std::move(invocation));
  }
  return invocations;
}

}  // namespace tnode
