// The damages: see mutator.h.
#include "tests/fuzz/mutator.h"

namespace tnode::fuzz {
namespace {

constexpr std::int64_t odd_numbers[] = {0, 1, -1, 2, 7, 16, 63, 64, 65, 255, 256, 1023, 1024, 65'535, 65'536, 10'000'000, 10'000'001, INT32_MAX, std::int64_t{1} << 32, std::int64_t{1} << 44,
                                        std::int64_t{1} << 53, INT64_MAX - 1, INT64_MAX, INT64_MIN, INT64_MIN + 1};
constexpr const char* odd_texts[] = {"", ".", "..", "/", "a/../b", "\\", "in/", "out/**", "{index}", "{value}", "\xff\xfe", "\xc0\xaf", "\xe2\x80\xae", ".pad", "-0", "00", "i0e", "le", "de", "d1:ai1ee"};

template <class T, std::size_t n>
const T& any_of(Random& random, const T (&all)[n]) { return all[random.below(n)]; }

}  // namespace

std::string Mutator::by_bytes() {
  std::string text = pick();
  for (std::size_t damages = random_.below(9); damages > 0; --damages) damage_bytes(text);
  return text;
}

void Mutator::damage_bytes(std::string& text) {
  constexpr std::size_t longest = 1 << 16;
  const std::size_t at = random_.below(text.size() + 1), length = random_.below(random_.one_in(4) ? text.size() + 1 : 9);
  const std::size_t kind = random_.below(9);
  if (at < text.size()) {
    switch (kind) {
      case 0: text[at] = static_cast<char>(text[at] ^ (1 << random_.below(8))); return;
      case 1: text[at] = static_cast<char>(random_.below(256)); return;
      case 2: text.erase(at, length); return;
      case 3:
        // A digit becomes another: lengths and numbers are what decoders trust too easily.
        for (std::size_t i = at; i < text.size(); ++i)
          if (text[i] >= '0' && text[i] <= '9') {
            text[i] = static_cast<char>('0' + random_.below(10));
            return;
          }
        return;
      case 4: text.resize(at); return;
      default: break;
    }
  }
  if (text.size() > longest) return;
  switch (kind) {
    case 5: text.insert(at, text.substr(random_.below(text.size() + 1), length)); return;
    case 6: text.insert(at, words_.empty() ? any_of(random_, odd_texts) : words_[random_.below(words_.size())]); return;
    case 7: text.insert(at, std::to_string(any_of(random_, odd_numbers))); return;
    default: {
      const std::string& other = pick();
      text = text.substr(0, at) + other.substr(random_.below(other.size() + 1));
    }
  }
}

std::string Mutator::by_tree() {
  auto value = bencode::decode(pick());
  if (!value) return by_bytes();
  for (std::size_t damages = 1 + random_.below(3); damages > 0; --damages) damage_value(*value, 0);
  return bencode::encode(*value);
}

bencode::Value Mutator::odd_value() {
  switch (random_.below(4)) {
    case 0: return any_of(random_, odd_numbers);
    case 1: return any_of(random_, odd_texts);
    case 2: return bencode::List{};
    default: return bencode::Dictionary{};
  }
}

void Mutator::damage_value(bencode::Value& value, int depth) {
  const bool here = depth >= 8 || random_.one_in(6);
  if (auto* map = value.dictionary(); map && !map->empty()) {
    auto entry = map->begin();
    for (std::size_t step = random_.below(map->size()); step > 0; --step) ++entry;
    if (!here) return damage_value(entry->second, depth + 1);
    switch (random_.below(4)) {
      case 0: map->erase(entry); return;
      case 1: (*map)[entry->first + "x"] = entry->second; return;
      case 2: (*map)[any_of(random_, odd_texts)] = odd_value(); return;
      default: entry->second = odd_value(); return;
    }
  }
  if (auto* list = value.list(); list && !list->empty()) {
    const std::size_t place = random_.below(list->size());
    if (!here) return damage_value((*list)[place], depth + 1);
    switch (random_.below(3)) {
      case 0: list->erase(list->begin() + static_cast<std::ptrdiff_t>(place)); return;
      case 1: list->push_back(bencode::Value((*list)[place])); return;
      default: (*list)[place] = odd_value(); return;
    }
  }
  if (const auto* bytes = value.bytes(); bytes && !random_.one_in(8)) {
    if (auto inside = bencode::decode(*bytes); inside && inside->dictionary()) {
      damage_value(*inside, depth + 1);
      value = bencode::encode(*inside);
    } else {
      std::string text = *bytes;
      damage_bytes(text);
      value = std::move(text);
    }
    return;
  }
  value = odd_value();
}

}  // namespace tnode::fuzz
