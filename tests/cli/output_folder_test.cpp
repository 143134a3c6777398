// Where outputs may go: free folders and the task's own earlier result, never what is the user's.
#include "cli/output_folder.h"

#include "cli/bundle_disk.h"
#include "core/result_manifest.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

constexpr UnitNumber units = 3;

TaskId task_named(const std::string& text) { return rename_id<TaskId>(sha256(text)); }

/// A whole result of a task with these files below out/.
StoredBundle result_of(const TempDir& temp, const TaskId& task, const std::map<std::string, std::string>& files) {
  const Bytes manifest = whole_result_manifest(task, units);
  const std::string parent = temp.path + "/results/" + std::to_string(std::hash<std::string>{}(to_hex(task) + std::to_string(files.size()))), name = result_name(manifest);
  write_file(parent + "/" + name + "/manifest", manifest);
  for (const auto& [path, content] : files) write_file(parent + "/" + name + "/out/" + path, content);
  auto torrent = hash_folder(parent + "/" + name, name);
  REQUIRE(torrent);
  return {*torrent, parent};
}

}  // namespace

TEST_CASE("outputs_replace_an_untouched_earlier_result_of_their_task_and_nothing_else") {
  TempDir temp;
  const OutputFolder mine{temp.path + "/mine", task_named("mine"), units}, others{temp.path + "/mine", task_named("other"), units};
  REQUIRE(check_unmixed(mine));
  REQUIRE(save_outputs(result_of(temp, mine.task, {{"a", "1"}, {"deep/b", "2"}}), mine));
  CHECK(check_unmixed(mine));
  CHECK(check_unmixed(others).error().code == Code::exists);

  SECTION("a_changed_file_is_the_users") {
    write_file(mine.dir + "/deep/b", "3");
    CHECK_THAT(check_unmixed(mine).error().message, has_text("deep/b was changed"));
  }
  SECTION("so_is_one_more") {
    write_file(mine.dir + "/deep/notes", "");
    CHECK_THAT(check_unmixed(mine).error().message, has_text("deep/notes"));
  }
  SECTION("what_a_kill_left_half_done_is_not") {
    fs::remove(mine.dir + "/a");
    write_file(mine.dir + "/a.new-123-4", "");
    CHECK(check_unmixed(mine));
  }
  SECTION("files_that_the_new_result_does_not_have_go") {
    REQUIRE(save_outputs(result_of(temp, mine.task, {{"a", "1"}}), mine));
    CHECK(content_of(mine.dir + "/a") == "1");
    CHECK_FALSE(fs::exists(mine.dir + "/deep/b"));
    CHECK(check_unmixed(mine));
  }
}

TEST_CASE("a_free_folder_is_one_that_neither_the_user_nor_another_task_has") {
  TempDir temp;
  write_file(temp.path + "/out/mine", "");
  fs::create_directories(temp.path + "/out-2");
  auto folder = free_folder({temp.path + "/out", task_named("task"), units});
  REQUIRE(folder);
  CHECK(folder->dir == temp.path + "/out-2");
  folder = free_folder({temp.path + "/out", task_named("task"), units}, [&](const std::string& dir) { return dir == temp.path + "/out-2"; });
  REQUIRE(folder);
  CHECK(folder->dir == temp.path + "/out-3");
}

TEST_CASE("outputs_are_refused_a_place_that_is_no_folder") {
  TempDir temp;
  write_file(temp.path + "/file", "");
  const TaskId task = task_named("task");
  CHECK(check_writable({temp.path + "/new/and/deep", task, units}));
  CHECK(check_writable({temp.path + "/file", task, units}).error().code == Code::io);
  CHECK(check_writable({temp.path + "/file/below", task, units}).error().code == Code::io);
  CHECK(check_writable({"/", task, units}).error().code == Code::invalid);
}
