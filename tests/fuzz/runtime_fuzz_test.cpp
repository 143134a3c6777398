// Images of file trees and manifests of runtimes: bytes from strangers that become a farmer's files.
#include "core/runtime.h"
#include "core/tree_image.h"
#include "tests/fuzz/driver.h"

using namespace tnode;
using namespace tnode::fuzz;

namespace {

using Kind = ImageEntry::Kind;

Bytes image(const std::vector<std::pair<ImageEntry, Bytes>>& entries) {
  Bytes bytes;
  for (const auto& [entry, content] : entries) bytes += encode_image_entry(entry) + content + Bytes(tree_padding(entry.size), '\0');
  return bytes + tree_end();
}

/// Header sums made right again: otherwise nothing behind that check would ever be tried.
Bytes with_sums(Bytes bytes) {
  constexpr std::size_t block = 512, sum_at = 148, magic_at = 257;
  for (std::size_t at = 0; at + block <= bytes.size(); at += block) {
    if (bytes.compare(at + magic_at, 5, "ustar") != 0) continue;
    bytes.replace(at + sum_at, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < block; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    for (std::size_t i = 6; i-- > 0; sum /= 8) bytes[at + sum_at + i] = static_cast<char>('0' + sum % 8);
    bytes[at + sum_at + 6] = '\0';
  }
  return bytes;
}

}  // namespace

TEST_CASE("fuzz_images_of_trees_are_what_would_have_been_written") {
  const std::string deep = "usr/" + std::string(120, 'd');
  const std::vector<std::string> corpus{
      image({{{Kind::folder, "a", 0, false, {}}, ""}, {{Kind::file, "a/b", 3, true, {}}, "abc"}, {{Kind::link, "a/c", 0, false, "../b"}, ""}}),
      image({{{Kind::folder, "usr", 0, false, {}}, ""}, {{Kind::folder, deep, 0, false, {}}, ""}, {{Kind::file, deep + "/x", 600, false, {}}, Bytes(600, 'x')}, {{Kind::link, "z", 0, false, std::string(140, 't')}, ""}})};
  run_campaign({corpus, {"..", "/", "a/../b", "path=", "linkpath=", "00000000003", "\x31", "\x32", "\x35", "x"}, false, 20'000}, [](const std::string& input) {
    const Bytes bytes = with_sums(input);
    Bytes again;
    bool good = true;
    std::int64_t left = 0;
    TreeReader reader(
        [&](const ImageEntry& entry) -> Result<void> {
          again.append(tree_padding(static_cast<std::int64_t>(again.size())), '\0');
          again += encode_image_entry(entry);
          left = entry.size;
          good = good && entry.path.front() != '/' && ("/" + entry.path + "/").find("/../") == std::string::npos;
          return {};
        },
        [&](std::string_view content) -> Result<void> {
          left -= static_cast<std::int64_t>(content.size());
          again += content;
          return {};
        });
    const auto read = reader.feed(bytes);
    CHECK(good);
    CHECK(left >= 0);
    if (!read || !reader.finish()) return false;
    again.append(tree_padding(static_cast<std::int64_t>(again.size())), '\0');
    CHECK(again + tree_end() == bytes);
    return true;
  });
}

TEST_CASE("fuzz_manifests_of_runtimes_have_one_spelling") {
  run_campaign({{encode_runtime_manifest({"x86_64", 20, 12'345'678}), encode_runtime_manifest({"any", 1, 0})}, {}, true, 10'000}, [](const std::string& input) {
    auto manifest = decode_runtime_manifest(input);
    if (manifest) CHECK(encode_runtime_manifest(*manifest) == input);
    return manifest.ok();
  });
}
