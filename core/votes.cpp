#include "core/votes.h"

#include "core/dict_reader.h"

namespace tnode {

using bencode::Dictionary;
using bencode::DictReader;
using bencode::List;
using bencode::Value;

namespace {

constexpr std::int64_t most_usage = std::int64_t{1} << 50;

Value usage_value(const Usage& usage) { return List{usage.wall_ms, usage.cpu_ms, usage.peak_memory_bytes}; }

}  // namespace

Dictionary vote_value(const Vote& vote) {
  Dictionary dict;
  dict["exit"] = vote.outcome.exit_code;
  dict["nonce"] = vote.nonce.view();
  dict["outcome"] = outcome_word(vote.outcome.kind);
  dict["result"] = vote.result.view();
  dict["usage"] = usage_value(vote.usage);
  return dict;
}

bool read_vote(const Value& value, Vote& vote) {
  DictReader reader(value);
  vote.outcome.exit_code = static_cast<int>(reader.number("exit", 0, 255));
  reader.id("nonce", vote.nonce);
  auto kind = outcome_from_word(reader.bytes("outcome", 32));
  if (!kind) reader.refuse("an unknown outcome");
  else vote.outcome.kind = *kind;
  reader.id("result", vote.result);
  const List& usage = reader.list("usage", 3);
  std::int64_t* fields[] = {&vote.usage.wall_ms, &vote.usage.cpu_ms, &vote.usage.peak_memory_bytes};
  if (usage.size() != 3) reader.refuse("usage has three numbers");
  else
    for (std::size_t i = 0; i < 3; ++i) {
      const auto* number = usage[i].integer();
      if (!number || *number < 0 || *number > most_usage) reader.refuse("usage is out of range");
      else *fields[i] = *number;
    }
  return reader.finish().ok();
}

Dictionary extra_value(const Extra& extra) {
  Dictionary dict;
  if (!extra.detail.empty()) dict["detail"] = extra.detail;
  if (extra.inlined) {
    List files;
    for (const auto& file : extra.files) files.push_back(List{file.path, std::int64_t{file.executable}, file.content});
    dict["files"] = std::move(files);
  }
  if (!extra.stderr_tail.empty()) dict["stderr"] = extra.stderr_tail;
  dict["v1"] = Bytes(reinterpret_cast<const char*>(extra.v1_hash.data()), extra.v1_hash.size());
  return dict;
}

bool read_extra(const Value& value, Extra& extra) {
  DictReader reader(value);
  if (reader.has("detail")) extra.detail = reader.bytes("detail", 1024);
  if (reader.has("files")) {
    extra.inlined = true;
    for (const auto& item : reader.list("files", 64)) {
      const auto* parts = item.list();
      if (!parts || parts->size() != 3 || !(*parts)[0].bytes() || !(*parts)[1].integer() || !(*parts)[2].bytes()) return false;
      extra.files.push_back({*(*parts)[0].bytes(), *(*parts)[1].integer() == 1, *(*parts)[2].bytes()});
    }
  }
  if (reader.has("stderr")) extra.stderr_tail = reader.bytes("stderr", max_tail_bytes);
  reader.fixed("v1", extra.v1_hash);
  return reader.finish().ok();
}

Hash commitment(const TaskId& task, UnitNumber unit, const AwardId& award, const NodeKey& farmer, const Vote& vote) {
  Dictionary dict;
  dict["award"] = award.view();
  dict["farmer"] = farmer.view();
  dict["task"] = task.view();
  dict["unit"] = static_cast<std::int64_t>(unit);
  dict["vote"] = vote_value(vote);
  return domain_hash("commitment", bencode::encode(dict));
}

}  // namespace tnode
