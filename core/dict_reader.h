// Reads a bencoded dictionary whose keys are all known: every getter takes its key away, finish() refuses what is left.
// Pure. The first problem sticks; getters then return defaults, so that a reader reads like the format it describes.
#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <string>

#include "core/bencode.h"

namespace tnode::bencode {

class DictReader {
 public:
  explicit DictReader(const Value& value);
  std::int64_t number(const char* key, std::int64_t low, std::int64_t high);
  Bytes bytes(const char* key, std::size_t max_size);
  const List& list(const char* key, std::size_t max_size);
  const Dictionary& dictionary(const char* key, std::size_t max_size);
  /// The entry as it is, for a reader of its own; an empty dictionary when it is missing.
  const Value& any(const char* key);
  template <class Tag>
  void id(const char* key, Id<Tag>& into) { fixed(key, into.bytes.data(), into.bytes.size()); }
  template <std::size_t n>
  void fixed(const char* key, std::array<std::uint8_t, n>& into) { fixed(key, into.data(), n); }
  bool has(const char* key) const { return left_.count(key) != 0; }
  void refuse(std::string why) { if (problem_.empty()) problem_ = std::move(why); }
  /// Success when nothing was wrong and no key is left; else `invalid`, naming the first problem.
  Result<void> finish();

 private:
  const Value* take(const char* key);
  void fixed(const char* key, std::uint8_t* into, std::size_t size);
  std::map<Bytes, const Value*> left_;
  std::string problem_;
};

}  // namespace tnode::bencode
