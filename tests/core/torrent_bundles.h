// Bundles for torrent tests: contents that any program can make again, from a small generator.
#pragma once
#include <string>
#include <vector>

#include "core/torrent.h"

namespace tnode::test {

struct SampleFile { std::string path; bool executable; std::int64_t size; };

/// Byte i of a file: the top byte of a 64-bit linear congruential generator seeded by the file's size.
inline Bytes sample_content(std::int64_t size) {
  Bytes content(static_cast<std::size_t>(size), '\0');
  std::uint64_t state = static_cast<std::uint64_t>(size);
  for (char& c : content) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return content;
}

inline std::int64_t sample_total(const std::vector<SampleFile>& files) {
  std::int64_t total = 0;
  for (const SampleFile& file : files) total += file.size;
  return total;
}

inline std::vector<BundleFile> sample_bundle(const std::vector<SampleFile>& files, std::int64_t piece_length) {
  std::vector<BundleFile> bundle;
  for (const SampleFile& file : files) {
    FileHasher hasher(piece_length);
    Bytes content = sample_content(file.size);
    // Odd chunks: the result must not depend on how the bytes arrive.
    constexpr std::size_t chunk = 9973;
    for (std::size_t at = 0; at < content.size(); at += chunk) hasher.update(std::string_view(content).substr(at, chunk));
    bundle.push_back({file.path, file.executable, hasher.finish()});
  }
  return bundle;
}

inline Result<Torrent> sample_torrent(const std::string& name, const std::vector<SampleFile>& files) {
  std::int64_t piece_length = piece_length_for(sample_total(files));
  return build_torrent(name, sample_bundle(files, piece_length), piece_length);
}

/// Named sets of files that reach every rule of the format: sizes around blocks and pieces, empty files first, between and last,
/// order by path part, executables, equal files, several pieces.
struct SampleSet { std::string name; std::vector<SampleFile> files; };
inline std::vector<SampleSet> sample_sets() {
  constexpr std::int64_t block = 16 << 10;
  return {
      {"one-byte", {{"manifest", false, 1}}},
      {"one-block", {{"manifest", false, block}}},
      {"two-blocks", {{"manifest", false, 2 * block}}},
      {"edges", {{"manifest", false, 57}, {"out/a", true, block - 1}, {"out/b", false, block}, {"out/c", true, block + 1}, {"out/d", false, 3 * block}}},
      {"order", {{"out/a.txt", false, 5}, {"out/a/b", false, 6}, {"out/B", false, 7}, {"out/a-", false, 8}, {"manifest", false, 9}, {"out/é", false, 10}}},
      {"empties", {{"a", false, 0}, {"b", false, 100}, {"c", true, 0}, {"d", false, block}, {"e", false, 0}}},
      {"empties-last", {{"a", false, 20'000}, {"b", false, 0}, {"c", false, 0}}},
      {"equal-files", {{"manifest", false, 11}, {"out/x", false, 50'000}, {"out/y", false, 50'000}, {"out/z", true, 50'000}}},
      {"larger-pieces", {{"in/data", false, 20'000'000}, {"in/run", true, 40'000}, {"manifest", false, 200}, {"in/aligned", false, 32 << 10}, {"in/three", false, 90'000}}},
      {"deep", {{"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", false, 3}, {"1/2/x y", false, 4}}},
  };
}

}  // namespace tnode::test
