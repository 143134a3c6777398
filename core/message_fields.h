// What reading and writing messages has in common: fields of a dictionary, their bounds, and that each value has one spelling. Included by the
// files that implement messages.h, and by nobody else.
#pragma once
#include <string>

#include "core/dict_reader.h"
#include "core/messages.h"

namespace tnode::message_fields {

using Dict = bencode::Dictionary;
using bencode::DictReader;
using bencode::List;
using bencode::Value;

inline constexpr std::int64_t max_time = std::int64_t{1} << 53;
inline constexpr std::int64_t max_bytes = std::int64_t{1} << 50;

template <std::size_t n>
Value raw(const std::array<std::uint8_t, n>& bytes) { return Bytes(reinterpret_cast<const char*>(bytes.data()), n); }
template <class Tag>
Value raw(const Id<Tag>& id) { return id.view(); }

inline Result<Value> open(std::string_view bytes) {
  if (bytes.size() > (64u << 10)) return fail(Code::invalid, "a message of " + std::to_string(bytes.size()) + " bytes");
  return bencode::decode(bytes);
}

/// A value has one spelling: what would be written otherwise (an empty field that may be left out, a flag that is neither 0 nor 1) is refused.
template <class T, class Write>
Result<T> closed(DictReader& reader, T value, const char* what, std::string_view bytes, Write write) {
  if (auto good = reader.finish(); !good) return fail(Code::invalid, std::string(what) + ": " + good.error().message);
  if (write(value) != bytes) return fail(Code::invalid, std::string(what) + ": not in its canonical form");
  return value;
}
template <class T>
Result<T> closed(DictReader& reader, T value, const char* what, std::string_view bytes) {
  return closed(reader, std::move(value), what, bytes, [](const T& each) { return encode(each); });
}

}  // namespace tnode::message_fields
