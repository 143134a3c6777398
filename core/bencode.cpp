// Canonical bencoding: see bencode.h. The decoder is one pass over the bytes with a bound on depth.
#include "core/bencode.h"

#include <charconv>

namespace tnode::bencode {
namespace {

struct Writer {
  Bytes& out;

  void put(const Bytes& bytes) {
    out += std::to_string(bytes.size());
    out += ':';
    out += bytes;
  }
  void operator()(const Value& value) {
    if (auto* integer = value.integer()) {
      out += 'i';
      out += std::to_string(*integer);
      out += 'e';
    } else if (auto* bytes = value.bytes()) {
      put(*bytes);
    } else if (auto* list = value.list()) {
      out += 'l';
      for (const Value& entry : *list) (*this)(entry);
      out += 'e';
    } else if (auto* dictionary = value.dictionary()) {
      out += 'd';
      for (const auto& [key, entry] : *dictionary) {
        put(key);
        (*this)(entry);
      }
      out += 'e';
    }
  }
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Result<Value> whole() {
    Value value;
    if (!read(value, 0)) return fail(Code::invalid, problem_);
    if (at_ != bytes_.size()) {
      refuse("bytes after the end of the value");
      return fail(Code::invalid, problem_);
    }
    return value;
  }

 private:
  bool refuse(const char* what) {
    problem_ = std::string("not canonical bencoding at byte ") + std::to_string(at_) + ": " + what;
    return false;
  }
  bool end() const { return at_ >= bytes_.size(); }
  bool take(char c) {
    if (end() || bytes_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool read(Value& value, int depth) {
    if (end()) return refuse("the bytes end too early");
    switch (bytes_[at_]) {
      case 'i': return read_integer(value);
      case 'l': return read_list(value, depth);
      case 'd': return read_dictionary(value, depth);
      default: {
        Bytes content;
        if (!read_bytes(content)) return false;
        value = Value(std::move(content));
        return true;
      }
    }
  }

  /// Decimal digits without leading zeros (and, where asked, a sign) up to `stop`.
  template <class Number>
  bool read_number(char stop, Number& number) {
    std::size_t end_at = bytes_.find(stop, at_);
    constexpr std::size_t longest_number = 20;  // -9223372036854775808, 18446744073709551615
    if (end_at == std::string_view::npos || end_at - at_ > longest_number) return refuse("a number without its end");
    std::string_view digits = bytes_.substr(at_, end_at - at_);
    auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.empty() || error != std::errc{} || rest != digits.data() + digits.size()) return refuse("not a number of 64 bits");
    std::string_view magnitude = digits.front() == '-' ? digits.substr(1) : digits;
    if (magnitude.front() == '0' && digits.size() > 1) return refuse("a leading zero, or minus zero");
    at_ = end_at + 1;
    return true;
  }

  bool read_integer(Value& value) {
    ++at_;
    std::int64_t integer = 0;
    if (!read_number('e', integer)) return false;
    value = Value(integer);
    return true;
  }

  bool read_bytes(Bytes& content) {
    if (end() || bytes_[at_] < '0' || bytes_[at_] > '9') return refuse("neither a value nor the end of one");
    std::uint64_t size = 0;
    if (!read_number(':', size)) return false;
    if (size > bytes_.size() - at_) return refuse("a string longer than what is left");
    content.assign(bytes_.substr(at_, size));
    at_ += size;
    return true;
  }

  bool read_list(Value& value, int depth) {
    if (depth >= max_depth) return refuse("containers nested too deeply");
    ++at_;
    List list;
    while (!take('e')) {
      list.emplace_back();
      if (!read(list.back(), depth + 1)) return false;
    }
    value = Value(std::move(list));
    return true;
  }

  bool read_dictionary(Value& value, int depth) {
    if (depth >= max_depth) return refuse("containers nested too deeply");
    ++at_;
    Dictionary dictionary;
    while (!take('e')) {
      Bytes key;
      if (!read_bytes(key)) return false;
      if (!dictionary.empty() && key <= std::prev(dictionary.end())->first) return refuse("keys out of order, or one of them twice");
      auto place = dictionary.emplace_hint(dictionary.end(), std::move(key), Value{});
      if (!read(place->second, depth + 1)) return false;
    }
    value = Value(std::move(dictionary));
    return true;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::string problem_;
};

}  // namespace

bool operator==(const Value& a, const Value& b) { return a.data_ == b.data_; }

const Value* Value::find(std::string_view key) const {
  auto* entries = dictionary();
  if (!entries) return nullptr;
  auto place = entries->find(Bytes(key));
  return place == entries->end() ? nullptr : &place->second;
}

Bytes encode(const Value& value) {
  Bytes out;
  Writer{out}(value);
  return out;
}

Result<Value> decode(std::string_view bytes) { return Reader(bytes).whole(); }

}  // namespace tnode::bencode
