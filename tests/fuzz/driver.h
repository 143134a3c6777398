// Runs a check on many broken inputs. TNODE_FUZZ_SEED and TNODE_FUZZ_ROUNDS choose others and more of them; a failure names
// the seed and the round, and the same two bring it back.
#pragma once
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/catch.h"
#include "tests/fuzz/mutator.h"

namespace tnode::fuzz {

inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Longest that any reader may take for one input of a few kilobytes: beyond it lies a way to keep a node busy.
constexpr std::chrono::seconds longest_read{2};

struct Campaign {
  std::vector<std::string> corpus;
  std::vector<std::string> words = {};
  bool trees = true;            ///< the format is bencoded
  std::uint64_t rounds = 4000;  ///< by default; TNODE_FUZZ_ROUNDS is a factor for it
};

/// `check(input)` returns whether the input was accepted. Some must be, else the corpus is of another format.
template <class Check>
void run_campaign(const Campaign& campaign, Check check) {
  const std::uint64_t seed = number_from_environment("TNODE_FUZZ_SEED", 1), factor = number_from_environment("TNODE_FUZZ_ROUNDS", 1);
  for (const auto& good : campaign.corpus) {
    INFO("a good input is refused: " << to_hex(good.substr(0, 64)));
    REQUIRE(check(good));
  }
  std::uint64_t accepted = 0, refused = 0;
  for (std::uint64_t round = 0; round < campaign.rounds * factor; ++round) {
    INFO("TNODE_FUZZ_SEED=" << seed << " round " << round);
    // Each round has a seed of its own, so that it can be run alone.
    Mutator mutator(seed * 0x100000001b3u + round, campaign.corpus, campaign.words);
    const std::string input = campaign.trees && round % 2 == 0 ? mutator.by_tree() : mutator.by_bytes();
    const auto begin = std::chrono::steady_clock::now();
    ++(check(input) ? accepted : refused);
    if (std::chrono::steady_clock::now() - begin > longest_read) FAIL("reading " << input.size() << " bytes took longer than 2 s");
  }
  INFO(accepted << " accepted, " << refused << " refused");
  CHECK(accepted > 0);
  CHECK(refused > 0);
}

/// The bytes of a golden file: the last word of each line, from hex.
inline std::vector<std::string> golden_bytes(const std::string& name) {
  std::ifstream file(std::string(TNODE_SOURCE_DIR "/tests/golden/") + name);
  std::vector<std::string> all;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    auto bytes = from_hex(line.substr(line.rfind(' ') + 1));
    REQUIRE(bytes);
    all.push_back(*bytes);
  }
  REQUIRE_FALSE(all.empty());
  return all;
}

}  // namespace tnode::fuzz
