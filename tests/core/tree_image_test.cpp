#include "core/tree_image.h"

#include "core/crypto.h"

#include "tests/catch.h"

using namespace tnode;

namespace {

using Kind = ImageEntry::Kind;
struct Item { ImageEntry entry; Bytes content; };

Item folder(const std::string& path) { return {{Kind::folder, path, 0, false, {}}, {}}; }
Item symbolic(const std::string& path, const std::string& target) { return {{Kind::link, path, 0, false, target}, {}}; }
Item file(const std::string& path, const Bytes& content, bool executable = false) { return {{Kind::file, path, static_cast<std::int64_t>(content.size()), executable, {}}, content}; }

Bytes image_of(const std::vector<Item>& items) {
  Bytes image;
  for (const auto& item : items) image += encode_image_entry(item.entry) + item.content + Bytes(tree_padding(item.entry.size), '\0');
  return image + tree_end();
}

Result<std::vector<Item>> read(std::string_view image, std::size_t step = 1 << 20) {
  std::vector<Item> items;
  TreeReader reader([&](const ImageEntry& entry) -> Result<void> { items.push_back({entry, {}}); return {}; },
                    [&](std::string_view bytes) -> Result<void> { items.back().content += bytes; return {}; });
  for (; !image.empty(); image.remove_prefix(std::min(step, image.size())))
    if (auto good = reader.feed(image.substr(0, step)); !good) return good.error();
  if (auto good = reader.finish(); !good) return good.error();
  return items;
}

std::string problem(std::string_view image) {
  auto read_back = read(image);
  return read_back ? "" : read_back.error().message;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::vector<Item> tree{folder("bin"),
                             file("bin/sh", Bytes(1000, 'x'), true),
                             folder("etc"),
                             file("etc/empty", ""),
                             symbolic("lib", "usr/lib"),
                             folder("usr"),
                             folder("usr/" + std::string(150, 'n')),
                             file("usr/" + std::string(150, 'n') + "/" + std::string(200, 'm'), Bytes(512, 'y')),
                             symbolic("usr/x", std::string(300, 't') + " path=9 linkpath=")};

}  // namespace

TEST_CASE("a_tree_comes_back_from_its_image_whatever_the_pieces_it_is_read_in") {
  const Bytes image = image_of(tree);
  CHECK(image.size() % 512 == 0);
  for (std::size_t step : {std::size_t{1}, std::size_t{511}, std::size_t{513}, std::size_t{1} << 20}) {
    auto back = read(image, step);
    REQUIRE(back);
    REQUIRE(back->size() == tree.size());
    for (std::size_t i = 0; i < tree.size(); ++i) {
      CHECK((*back)[i].entry == tree[i].entry);
      CHECK((*back)[i].content == tree[i].content);
    }
  }
}

TEST_CASE("no_byte_of_a_header_can_be_another") {
  const Bytes image = image_of({folder("a"), file("a/b", "content")});
  for (std::size_t at : {std::size_t{100}, std::size_t{108}, std::size_t{136}, std::size_t{148}, std::size_t{257}, std::size_t{265}, std::size_t{345}, std::size_t{511}, std::size_t{512 + 104}, std::size_t{1024 + 7}}) {
    Bytes changed = image;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    INFO(at);
    CHECK_FALSE(problem(changed).empty());
  }
}

TEST_CASE("an_image_cannot_lead_out_of_its_tree") {
  CHECK(has(problem(image_of({file("../evil", "x")})), "'.' or '..'"));
  CHECK(has(problem(image_of({folder("a"), file("a/../../evil", "x")})), "'.' or '..'"));
  CHECK(has(problem(image_of({file("/etc/evil", "x")})), "absolute"));
  CHECK(has(problem(image_of({symbolic("a", "/etc"), file("a/evil", "x")})), "in no folder"));
  CHECK(has(problem(image_of({file("a", "x"), file("a/evil", "x")})), "in no folder"));
  CHECK(has(problem(image_of({folder("a"), symbolic("a", "/etc"), file("a/evil", "x")})), "comes twice"));
  CHECK(has(problem(image_of({file("b", "x"), file("a", "x")})), "too late"));
  CHECK(has(problem(image_of({folder("a"), file("a//b", "x")})), "empty part"));
  CHECK(has(problem(image_of({symbolic("a", "")})), "no usable target"));
}

TEST_CASE("devices_hard_links_pipes_and_set_user_bits_are_refused_by_name") {
  auto with_type = [](char type) {
    Bytes image = image_of({file("bin", "")});
    image[156] = type;
    return problem(image);
  };
  CHECK(has(with_type('1'), "'bin' is a hard link"));
  CHECK(has(with_type('3'), "'bin' is a device"));
  CHECK(has(with_type('4'), "'bin' is a device"));
  CHECK(has(with_type('6'), "'bin' is a pipe"));
  CHECK(has(with_type('L'), "no file, folder or symbolic link"));
  Bytes setuid = image_of({file("bin", "", true)});
  setuid.replace(100, 7, "0004755");
  CHECK(has(problem(setuid), "'bin' is not written in the one canonical form"));
}

TEST_CASE("an_image_that_is_cut_or_has_more_is_refused") {
  const Bytes image = image_of(tree);
  for (std::size_t size = 0; size < image.size(); size += 512) CHECK_FALSE(problem(image.substr(0, size)).empty());
  CHECK(has(problem(image + Bytes(512, '\0')), "after its end"));
  Bytes filled = image_of({file("a", "x")});
  filled[600] = 'x';
  CHECK(has(problem(filled), "not zero"));
}

TEST_CASE("paths_have_limits") {
  CHECK(has(problem(image_of({file(std::string(256, 'a'), "")})), "255 bytes"));
  std::string deep = "d";
  std::vector<Item> items{folder(deep)};
  for (int i = 0; i < 64; ++i) items.push_back(folder(deep += "/d"));
  CHECK(has(problem(image_of(items)), "too deep"));
}

TEST_CASE("images_are_the_same_bytes_as_ever") {
  // Whoever changes these changes the id of every runtime that is made from now on.
  CHECK(to_hex(sha256(image_of(tree))) == "bfda4358ae1f111a485a22c6b54cc222a06fdd1b349a3e9fa657e580b697ffb9");
  CHECK(to_hex(sha256(encode_image_entry(file("usr/bin/sh", "#!", true).entry))) == "0ce28e4ff90043854f819be6d80aff7ecbb97e30afc125a0c1a93ee87a9e5ace");
}
