// Packing tasks: side by side, and after a packer that was killed.
#include "cli/pack.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "cli/task_file.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;

namespace {

TaskFile task_with_input(const std::string& dir, int number) {
  const std::string folder = dir + "/task-" + std::to_string(number);
  for (int i = 0; i < 40; ++i) write_file(folder + "/data/" + std::to_string(i), std::string(50'000, static_cast<char>('a' + number)));
  write_file(folder + "/task.yaml", "tnode: 1\ncommand: [\"true\", \"" + std::to_string(number) + "\"]\ninputs: [./data]\n");
  auto read = read_task_file(folder + "/task.yaml", {});
  REQUIRE(read.task.has_value());
  return *read.task;
}

}  // namespace

TEST_CASE("tasks_packed_side_by_side_by_one_process_do_not_mix") {
  TempDir home_dir, sources;
  const Home home = *Home::find(home_dir.path);
  REQUIRE(home.make().ok());
  std::vector<TaskFile> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(task_with_input(sources.path, i));
  std::atomic<std::size_t> next{0}, packed{0};
  auto pack_some = [&] {
    for (std::size_t i; (i = next++) < tasks.size();) packed += pack_task(home, tasks[i]).ok();
  };
  std::thread second(pack_some);
  pack_some();
  second.join();
  CHECK(packed == tasks.size());
}

TEST_CASE("what_a_killed_packer_left_is_cleared_away") {
  TempDir home_dir, sources;
  const Home home = *Home::find(home_dir.path);
  REQUIRE(home.make().ok());
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  REQUIRE(waitpid(gone, nullptr, 0) == gone);
  const std::string left = home.work_dir() + "/pack-" + std::to_string(gone) + "-0", busy = home.work_dir() + "/pack-" + std::to_string(getppid()) + "-0";
  write_file(left + "/half", "done");
  write_file(busy + "/half", "done");
  CHECK(pack_task(home, task_with_input(sources.path, 1)).ok());
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(std::filesystem::exists(busy));
}
