#include "core/result_manifest.h"

#include "core/dict_reader.h"

namespace tnode {

Bytes unit_result_manifest(const TaskId& task, UnitNumber unit, const Outcome& outcome, std::int64_t failed_index) {
  bencode::Dictionary dict;
  dict["exit"] = outcome.exit_code;
  if (!outcome.good()) dict["index"] = failed_index;
  dict["outcome"] = outcome_word(outcome.kind);
  dict["task"] = task.view();
  dict["tnode"] = 1;
  dict["unit"] = static_cast<std::int64_t>(unit);
  return bencode::encode(dict);
}

Result<void> check_unit_result_manifest(std::string_view manifest, const TaskId& task, UnitNumber unit, const Outcome& outcome) {
  auto value = bencode::decode(manifest);
  if (!value) return fail(Code::invalid, "the result's manifest is broken: " + value.error().message);
  bencode::DictReader reader(*value);
  std::int64_t index = -1;
  if (reader.has("index")) index = reader.number("index", 0, std::int64_t{1} << 53);
  if (manifest != unit_result_manifest(task, unit, outcome, index))
    return fail(Code::invalid, "the result's manifest speaks of another task, unit or ending than the vote");
  return {};
}

std::int64_t failed_index_in(std::string_view manifest) {
  auto value = bencode::decode(manifest);
  const bencode::Value* index = value ? value->find("index") : nullptr;
  return index && index->integer() ? *index->integer() : -1;
}

Bytes whole_result_manifest(const TaskId& task, UnitNumber units) {
  bencode::Dictionary dict;
  dict["task"] = task.view();
  dict["tnode"] = 1;
  dict["units"] = static_cast<std::int64_t>(units);
  return bencode::encode(dict);
}

std::string result_name(std::string_view manifest) { return "tnode-result-" + to_hex(sha256(manifest).view().substr(0, 8)); }

Result<Torrent> torrent_of_memory(const std::string& name, const std::vector<MemoryFile>& files) {
  std::int64_t total = 0;
  for (const auto& file : files) total += static_cast<std::int64_t>(file.content.size());
  const std::int64_t piece_length = piece_length_for(total);
  std::vector<BundleFile> hashed;
  for (const auto& file : files) {
    FileHasher hasher(piece_length);
    hasher.update(file.content);
    hashed.push_back({file.path, file.executable, hasher.finish()});
  }
  return build_torrent(name, std::move(hashed), piece_length);
}

}  // namespace tnode
