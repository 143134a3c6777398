// Canonical bencoding (BEP 3): the one form in which torrents and records of this program are written.
// Pure. Never accepts two spellings of one value: what decodes also encodes back to the same bytes.
#pragma once
#include <map>
#include <variant>
#include <vector>

#include "core/types.h"

namespace tnode::bencode {

class Value;
using List = std::vector<Value>;
using Dictionary = std::map<Bytes, Value>;  // bytewise order: the order of the format

/// An integer, a byte string, a list or a dictionary.
class Value {
 public:
  Value() : data_(std::int64_t{0}) {}
  Value(std::int64_t integer) : data_(integer) {}
  Value(int integer) : data_(std::int64_t{integer}) {}
  Value(Bytes bytes) : data_(std::move(bytes)) {}
  Value(std::string_view bytes) : data_(Bytes(bytes)) {}
  Value(const char* text) : data_(Bytes(text)) {}
  Value(List list) : data_(std::move(list)) {}
  Value(Dictionary dictionary) : data_(std::move(dictionary)) {}

  /// The content when it is of that kind, else nullptr.
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }
  const Bytes* bytes() const { return std::get_if<Bytes>(&data_); }
  const List* list() const { return std::get_if<List>(&data_); }
  const Dictionary* dictionary() const { return std::get_if<Dictionary>(&data_); }
  List* list() { return std::get_if<List>(&data_); }
  Dictionary* dictionary() { return std::get_if<Dictionary>(&data_); }

  /// The entry of a dictionary; nullptr when there is none, or this is no dictionary.
  const Value* find(std::string_view key) const;

  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<std::int64_t, Bytes, List, Dictionary> data_;
};

/// Containers inside containers: no format of this program comes near, and the decoder's stack stays small.
inline constexpr int max_depth = 32;

Bytes encode(const Value& value);
/// Refuses what is not canonical: keys out of order or twice, leading zeros, -0, numbers beyond 64 bits, trailing bytes, more than
/// max_depth containers. The sentence names what was found and at which byte.
Result<Value> decode(std::string_view bytes);

}  // namespace tnode::bencode
