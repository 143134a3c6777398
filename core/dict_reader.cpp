#include "core/dict_reader.h"

#include <cstring>

namespace tnode::bencode {

DictReader::DictReader(const Value& value) {
  if (const auto* dictionary = value.dictionary()) {
    for (const auto& [key, item] : *dictionary) left_[key] = &item;
  } else {
    refuse("a dictionary was expected");
  }
}

const Value* DictReader::take(const char* key) {
  auto it = left_.find(key);
  if (it == left_.end()) {
    refuse(std::string("'") + key + "' is missing");
    return nullptr;
  }
  const Value* value = it->second;
  left_.erase(it);
  return value;
}

std::int64_t DictReader::number(const char* key, std::int64_t low, std::int64_t high) {
  const Value* value = take(key);
  if (!value) return low;
  const auto* number = value->integer();
  if (!number || *number < low || *number > high) {
    refuse(std::string("'") + key + "' is not a number from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
  }
  return *number;
}

Bytes DictReader::bytes(const char* key, std::size_t max_size) {
  const Value* value = take(key);
  if (!value) return {};
  const auto* bytes = value->bytes();
  if (!bytes || bytes->size() > max_size) {
    refuse(std::string("'") + key + "' is not a string of at most " + std::to_string(max_size) + " bytes");
    return {};
  }
  return *bytes;
}

const List& DictReader::list(const char* key, std::size_t max_size) {
  static const List empty;
  const Value* value = take(key);
  if (!value) return empty;
  const auto* list = value->list();
  if (!list || list->size() > max_size) {
    refuse(std::string("'") + key + "' is not a list of at most " + std::to_string(max_size));
    return empty;
  }
  return *list;
}

const Dictionary& DictReader::dictionary(const char* key, std::size_t max_size) {
  static const Dictionary empty;
  const Value* value = take(key);
  if (!value) return empty;
  const auto* dictionary = value->dictionary();
  if (!dictionary || dictionary->size() > max_size) {
    refuse(std::string("'") + key + "' is not a dictionary of at most " + std::to_string(max_size));
    return empty;
  }
  return *dictionary;
}

const Value& DictReader::any(const char* key) {
  static const Value nothing{Dictionary{}};
  const Value* value = take(key);
  return value ? *value : nothing;
}

void DictReader::fixed(const char* key, std::uint8_t* into, std::size_t size) {
  const Value* value = take(key);
  if (!value) return;
  const auto* bytes = value->bytes();
  if (!bytes || bytes->size() != size) return refuse(std::string("'") + key + "' is not " + std::to_string(size) + " bytes");
  std::memcpy(into, bytes->data(), size);
}

Result<void> DictReader::finish() {
  if (problem_.empty() && !left_.empty()) refuse("unknown key '" + left_.begin()->first + "'");
  if (!problem_.empty()) return fail(Code::invalid, problem_);
  return {};
}

}  // namespace tnode::bencode
