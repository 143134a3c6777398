// Files that come into a watched folder, and somebody who takes his time over each.
#include "swarm/watch_folder.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;

TEST_CASE("files_that_fall_due_while_others_are_told_are_told_too") {
  TempDir dir;
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> told;
  auto folder = WatchFolder::start(dir.path, [&](const std::string& path) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // whoever is told is slow: that is what is tested
    std::lock_guard lock(mutex);
    told.insert(path);
    changed.notify_all();
  });
  REQUIRE(folder.ok());
  constexpr int files = 20;
  for (int i = 0; i < files; ++i) {
    write_file(dir.path + "/" + std::to_string(i), "content");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // due one after the other
  }
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(10), [&] { return told.size() == files; }));
}
