// Broken inputs made from good ones: by bytes, and by the tree of a bencoded value, so that lengths still fit. Everything comes
// from one seed: the same seed and iteration give the same input on any machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/bencode.h"

namespace tnode::fuzz {

/// SplitMix64: small, fast and the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 … bound − 1; 0 for an empty bound.
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(next() % bound); }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

class Mutator {
 public:
  /// `words` are pieces of the format that chance alone would hardly write.
  Mutator(std::uint64_t seed, std::vector<std::string> corpus, std::vector<std::string> words = {}) : random_(seed), corpus_(std::move(corpus)), words_(std::move(words)) {}

  /// One to eight small damages to a good input, or a good input as it is.
  std::string by_bytes();
  /// The same to the tree of a bencoded one; byte strings that are bencoded themselves are entered.
  std::string by_tree();

 private:
  void damage_bytes(std::string& text);
  void damage_value(bencode::Value& value, int depth);
  bencode::Value odd_value();
  const std::string& pick() { return corpus_[random_.below(corpus_.size())]; }
  Random random_;
  std::vector<std::string> corpus_, words_;
};

}  // namespace tnode::fuzz
