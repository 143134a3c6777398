// Bundles as folders: the same tree has the same name anywhere, links are refused, units' outputs come together or collide by name.
#include "cli/bundle_disk.h"

#include <sys/stat.h>
#include <sys/time.h>

#include "core/result_manifest.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

/// Sizes around blocks and pieces, an empty file, an executable.
void write_tree(const std::string& dir) {
  write_file(dir + "/manifest", "a manifest");
  write_file(dir + "/in/run.sh", "#!/bin/sh\n");
  fs::permissions(dir + "/in/run.sh", fs::perms::owner_exec, fs::perm_options::add);
  write_file(dir + "/in/data/block", std::string(16 << 10, 'b'));
  write_file(dir + "/in/data/more", std::string((16 << 10) + 1, 'm'));
  write_file(dir + "/in/data/empty", "");
  write_file(dir + "/in/data/large", std::string(3'000'000, 'l'));
}

std::string hash_of(const std::string& dir, const std::string& name = "bundle") {
  auto torrent = hash_folder(dir, name);
  REQUIRE(torrent);
  return to_hex(torrent->v2_hash);
}

struct Umask {
  explicit Umask(mode_t mask) : old(umask(mask)) {}
  ~Umask() { umask(old); }
  mode_t old;
};

}  // namespace

TEST_CASE("same_tree_has_the_same_hash_in_another_folder_time_order_and_umask") {
  TempDir temp;
  write_tree(temp.path + "/one");
  const std::string hash = hash_of(temp.path + "/one");
  {
    Umask strict(077);
    write_file(temp.path + "/deep/er/two/in/data/large", std::string(3'000'000, 'l'));  // made in another order
    write_tree(temp.path + "/deep/er/two");
  }
  const timeval long_ago[2] = {{86'400, 0}, {86'400, 0}};
  REQUIRE(utimes((temp.path + "/deep/er/two/manifest").c_str(), long_ago) == 0);
  CHECK(hash_of(temp.path + "/deep/er/two") == hash);

  SECTION("a_copy_too") {
    REQUIRE(copy_plain(temp.path + "/one", temp.path + "/copy"));
    CHECK(hash_of(temp.path + "/copy") == hash);
  }
  SECTION("but_not_with_another_byte") {
    write_file(temp.path + "/one/in/data/block", std::string((16 << 10) - 1, 'b') + "c");
    CHECK(hash_of(temp.path + "/one") != hash);
  }
  SECTION("and_not_with_another_executable_bit") {
    fs::permissions(temp.path + "/one/manifest", fs::perms::owner_exec, fs::perm_options::add);
    CHECK(hash_of(temp.path + "/one") != hash);
  }
  SECTION("and_not_under_another_name") { CHECK(hash_of(temp.path + "/one", "other") != hash); }
}

TEST_CASE("a_folder_on_disk_and_files_in_memory_agree") {
  TempDir temp;
  write_file(temp.path + "/manifest", "m");
  write_file(temp.path + "/out/x", "hello");
  auto memory = torrent_of_memory("bundle", {{"manifest", false, "m"}, {"out/x", false, "hello"}});
  REQUIRE(memory);
  CHECK(hash_of(temp.path) == to_hex(memory->v2_hash));
}

TEST_CASE("large_trees_are_hashed_by_two_threads_to_the_same_hash") {
  TempDir temp;
  std::vector<MemoryFile> files;
  for (int i = 0; i < 9; ++i) {
    files.push_back({"in/" + std::to_string(i), false, std::string(2'500'000, static_cast<char>('a' + i))});
    write_file(temp.path + "/" + files.back().path, files.back().content);
  }
  auto memory = torrent_of_memory("bundle", files);
  REQUIRE(memory);
  CHECK(hash_of(temp.path) == to_hex(memory->v2_hash));
}

TEST_CASE("links_pipes_and_odd_names_are_refused_by_name") {
  TempDir temp;
  write_file(temp.path + "/manifest", "m");
  auto refusal = [&] {
    auto torrent = hash_folder(temp.path, "bundle");
    REQUIRE_FALSE(torrent);
    CHECK(torrent.error().code == Code::invalid);
    return torrent.error().message;
  };
  SECTION("link") {
    fs::create_symlink("/etc/passwd", temp.path + "/passwords");
    CHECK(refusal().find(temp.path + "/passwords is a symbolic link") != std::string::npos);
  }
  SECTION("link_to_a_folder") {
    fs::create_directory_symlink("/etc", temp.path + "/etc");
    CHECK(refusal().find("symbolic link") != std::string::npos);
  }
  SECTION("pipe") {
    REQUIRE(mkfifo((temp.path + "/pipe").c_str(), 0600) == 0);
    CHECK(refusal().find("is a pipe") != std::string::npos);
  }
  SECTION("control_character") {
    write_file(temp.path + "/a\nb", "x");
    CHECK(refusal().find("control characters") != std::string::npos);
  }
  SECTION("case") {
    write_file(temp.path + "/MANIFEST", "x");
    CHECK(refusal().find("differ only in case") != std::string::npos);
  }
  SECTION("depth") {
    std::string deep = temp.path;
    for (int i = 0; i < 20; ++i) deep += "/d";
    write_file(deep + "/x", "x");
    CHECK(refusal().find("deeper than") != std::string::npos);
  }
}

TEST_CASE("a_missing_folder_is_not_found") {
  auto torrent = hash_folder("/nonexistent/folder", "bundle");
  REQUIRE_FALSE(torrent);
  CHECK(torrent.error().code == Code::not_found);
}

TEST_CASE("a_bundle_on_disk_is_checked_file_by_file") {
  TempDir temp;
  write_tree(temp.path);
  auto torrent = hash_folder(temp.path, "bundle");
  REQUIRE(torrent);
  CHECK(check_bundle_on_disk(*torrent, temp.path));
  SECTION("missing") {
    fs::remove(temp.path + "/in/data/block");
    CHECK_FALSE(check_bundle_on_disk(*torrent, temp.path));
  }
  SECTION("shorter") {
    fs::resize_file(temp.path + "/in/data/block", 5);
    CHECK(check_bundle_on_disk(*torrent, temp.path).error().message.find("5 bytes instead of 16384") != std::string::npos);
  }
  SECTION("a_link_in_its_place") {
    fs::rename(temp.path + "/in/data/block", temp.path + "/elsewhere");
    fs::create_symlink("../../elsewhere", temp.path + "/in/data/block");
    CHECK(check_bundle_on_disk(*torrent, temp.path).error().message.find("symbolic link") != std::string::npos);
  }
  SECTION("an_empty_file_that_a_client_left_out_is_made") {
    fs::remove(temp.path + "/in/data/empty");
    CHECK(check_bundle_on_disk(*torrent, temp.path));
    CHECK(fs::is_empty(temp.path + "/in/data/empty"));
  }
  SECTION("an_executable_bit_that_a_client_dropped_is_set") {
    fs::permissions(temp.path + "/in/run.sh", fs::perms::owner_read | fs::perms::owner_write);
    CHECK(check_bundle_on_disk(*torrent, temp.path));
    CHECK(hash_of(temp.path) == to_hex(torrent->v2_hash));
  }
}

TEST_CASE("outputs_of_units_come_together_and_collisions_name_both_units") {
  TempDir temp;
  write_file(temp.path + "/u3/out/frame-3.png", "three");
  write_file(temp.path + "/u3/out/sub/same", "same");
  write_file(temp.path + "/u7/out/frame-7.png", "seven");
  write_file(temp.path + "/u7/out/sub/same", "same");
  write_file(temp.path + "/u8/manifest", "no outputs at all");
  fs::create_directories(temp.path + "/all");
  std::vector<UnitFolder> units{{3, temp.path + "/u3"}, {7, temp.path + "/u7"}, {8, temp.path + "/u8"}};
  SECTION("together") {
    REQUIRE(merge_outputs(units, temp.path + "/all"));
    CHECK(content_of(temp.path + "/all/out/frame-3.png") == "three");
    CHECK(content_of(temp.path + "/all/out/frame-7.png") == "seven");
    CHECK(content_of(temp.path + "/all/out/sub/same") == "same");
  }
  SECTION("different_bytes") {
    write_file(temp.path + "/u7/out/sub/same", "different");
    auto merged = merge_outputs(units, temp.path + "/all");
    REQUIRE_FALSE(merged);
    CHECK(merged.error().message == "units 3 and 7 both wrote out/sub/same, with different bytes; put {index} in the file's name");
  }
  SECTION("same_size_other_bytes") {
    write_file(temp.path + "/u7/out/sub/same", "sane");
    CHECK_FALSE(merge_outputs(units, temp.path + "/all"));
  }
  SECTION("names_that_differ_only_in_case") {
    write_file(temp.path + "/u7/out/SUB/x", "x");
    auto merged = merge_outputs(units, temp.path + "/all");
    REQUIRE_FALSE(merged);
    CHECK(merged.error().message.find("differ only in case") != std::string::npos);
  }
}

TEST_CASE("a_file_is_replaced_whole_or_not_at_all") {
  TempDir temp;
  const std::string path = temp.path + "/file";
  REQUIRE(write_file_atomically(path, "old"));
  REQUIRE(write_file_atomically(path, "new"));
  CHECK(content_of(path) == "new");
  auto refused = write_file_atomically(temp.path + "/no/such/folder/file", "x");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find(temp.path + "/no/such/folder/file") != std::string::npos);
  fs::create_directory(temp.path + "/folder");
  write_file(temp.path + "/folder/x", "x");
  CHECK_FALSE(write_file_atomically(temp.path + "/folder", "x"));
  // Nothing is left beside them.
  CHECK(std::distance(fs::directory_iterator(temp.path), fs::directory_iterator()) == 2);
}

TEST_CASE("exported_files_replace_links_instead_of_following_them") {
  TempDir temp;
  write_file(temp.path + "/bundle/manifest", "m");
  write_file(temp.path + "/bundle/out/x", "answer");
  auto torrent = hash_folder(temp.path + "/bundle", "bundle");
  REQUIRE(torrent);
  write_file(temp.path + "/precious", "precious");
  fs::create_directories(temp.path + "/mine");
  fs::create_symlink("../precious", temp.path + "/mine/x");
  REQUIRE(export_outputs(*torrent, temp.path + "/bundle", temp.path + "/mine"));
  CHECK(content_of(temp.path + "/mine/x") == "answer");
  CHECK(content_of(temp.path + "/precious") == "precious");
  CHECK_FALSE(fs::exists(temp.path + "/mine/manifest"));
}
