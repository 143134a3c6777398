#include "executor/plan.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/runtime.h"
#include "executor/pattern.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

using Arguments = std::vector<std::string>;

/// Where these arguments stand side by side; the list's size when nowhere.
std::size_t place(const Arguments& all, const Arguments& part) { return static_cast<std::size_t>(std::search(all.begin(), all.end(), part.begin(), part.end()) - all.begin()); }
bool has(const Arguments& all, const Arguments& part) { return place(all, part) < all.size(); }

RootLayout merged_usr() { return {"", {"/usr", "/lib32"}, {{"/bin", "usr/bin"}, {"/lib64", "usr/lib64"}}, {"/etc/ld.so.cache"}, false}; }

SandboxPlan a_plan() {
  SandboxPlan plan;
  plan.init_path = "/home/me/.tnode/init";
  plan.inputs_dir = "/home/me/.tnode/tasks/t/in";
  plan.disk_bytes = 12345;
  plan.hidden = {"/proc/keys"};
  return plan;
}

}  // namespace

TEST_CASE("a_plan_separates_everything_and_gives_nothing_back") {
  const auto argv = sandbox_arguments(a_plan(), merged_usr());
  REQUIRE(argv.front() == "bwrap");
  for (const char* flag : {"--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session",
                           "--as-pid-1", "--clearenv", "--seccomp"}) {
    INFO(flag);
    REQUIRE(has(argv, {flag}));
  }
  REQUIRE(has(argv, {"--cap-drop", "ALL"}));
  REQUIRE(has(argv, {"--uid", "1000", "--gid", "1000"}));
  for (const char* flag : {"--share-net", "--bind", "--dev-bind", "--cap-add", "--setenv"}) {
    INFO(flag);
    REQUIRE_FALSE(has(argv, {flag}));
  }
}

TEST_CASE("a_plan_leaves_one_place_to_write_and_seals_the_rest") {
  const auto argv = sandbox_arguments(a_plan(), merged_usr());
  REQUIRE(has(argv, {"--ro-bind", "/usr", "/usr"}));
  REQUIRE(has(argv, {"--ro-bind", "/lib32", "/lib32"}));
  REQUIRE(has(argv, {"--symlink", "usr/bin", "/bin"}));
  REQUIRE(has(argv, {"--ro-bind", "/home/me/.tnode/tasks/t/in", "/work/in"}));
  REQUIRE(has(argv, {"--size", "12345", "--perms", "0755", "--tmpfs", "/scratch"}));
  REQUIRE(has(argv, {"--symlink", "/scratch/out", "/work/out"}));
  REQUIRE(has(argv, {"--symlink", "/scratch/tmp", "/tmp"}));
  // Sealed after what is mounted in them, the root last.
  REQUIRE(place(argv, {"--proc", "/proc"}) < place(argv, {"--remount-ro", "/proc"}));
  REQUIRE(place(argv, {"--tmpfs", "/dev/shm"}) < place(argv, {"--remount-ro", "/dev"}));
  REQUIRE(place(argv, {"--symlink", "/scratch/out", "/work/out"}) < place(argv, {"--remount-ro", "/"}));
  REQUIRE(place(argv, {"--remount-ro", "/"}) < argv.size());
  REQUIRE(argv.back() == "/init");
}

TEST_CASE("where_memory_is_watched_no_device_can_be_mapped") {
  auto plan = a_plan();
  plan.watched_memory = true;
  const auto argv = sandbox_arguments(plan, merged_usr());
  REQUIRE(place(argv, {"--dev", "/dev"}) < place(argv, {"--dev-bind", "/dev/full", "/dev/zero"}));
  REQUIRE(place(argv, {"--dev-bind", "/dev/full", "/dev/zero"}) < place(argv, {"--remount-ro", "/dev"}));
}

TEST_CASE("a_runtime_takes_the_place_of_everything_of_the_hosts") {
  const TempDir dir;
  for (const char* folder : {"usr/bin", "etc", "opt", "proc/self", "work", "tmp"}) fs::create_directories(dir.path + "/" + folder);
  fs::create_symlink("usr/bin", dir.path + "/bin");
  fs::create_symlink("/etc", dir.path + "/run");
  std::ofstream(dir.path + "/file") << "not shown";
  const auto root = look_at_runtime(dir.path, "/mnt/runtimes/x/root");
  REQUIRE(root);
  const auto argv = sandbox_arguments(a_plan(), *root);
  for (const char* folder : {"/usr", "/etc", "/opt"}) {
    INFO(folder);
    REQUIRE(has(argv, {"--ro-bind", std::string("/mnt/runtimes/x/root") + folder, folder}));
  }
  REQUIRE(has(argv, {"--symlink", "usr/bin", "/bin"}));
  REQUIRE_FALSE(has(argv, {"--dir", "/etc"}));
  for (const char* own : {"/usr", "/mnt/runtimes/x/root/proc", "/mnt/runtimes/x/root/work", "/mnt/runtimes/x/root/tmp", "/mnt/runtimes/x/root/file", "/etc/ld.so.cache"}) {
    INFO(own);
    REQUIRE_FALSE(has(argv, {"--ro-bind", own}));
  }
  REQUIRE_FALSE(has(argv, {"/run"}));
  REQUIRE(place(argv, {"--ro-bind", "/mnt/runtimes/x/root/etc", "/etc"}) < place(argv, {"/etc/passwd"}));
  for (const char* made : {"/etc/passwd", "/etc/group", "/etc"}) {
    INFO(made);
    fs::remove_all(dir.path + made);
    fs::create_symlink("/oldroot/tmp/made-on-the-host", dir.path + made);
    REQUIRE(look_at_runtime(dir.path, "/x").error().code == Code::invalid);
    fs::remove(dir.path + made);
    if (std::string(made) != "/etc") REQUIRE(look_at_runtime(dir.path, "/x"));
  }
  REQUIRE_FALSE(look_at_runtime(dir.path + "/bin", "/x"));
  REQUIRE_FALSE(look_at_runtime(dir.path + "/none", "/x"));
}

// bubblewrap makes what it mounts over, and follows a link there: out of the new root, into the host's.
TEST_CASE("where_the_sandbox_mounts_something_of_its_own_a_runtime_has_no_link") {
  auto plan = a_plan();
  plan.warm_python = "/home/me/.tnode/warm-python3.py";
  plan.watched_memory = true;
  const auto argv = sandbox_arguments(plan, {});
  int mounts = 0;
  for (std::size_t i = 0; i < argv.size(); ++i) {
    const bool from_somewhere = argv[i] == "--ro-bind" || argv[i] == "--ro-bind-data" || argv[i] == "--dev-bind" || argv[i] == "--symlink";
    if (!from_somewhere && argv[i] != "--proc" && argv[i] != "--dev" && argv[i] != "--tmpfs" && argv[i] != "--dir") continue;
    const std::string& place = argv[i + (from_somewhere ? 2 : 1)];
    INFO(place);
    REQUIRE((place == "/etc" || belongs_to_sandbox(place.substr(1))));
    ++mounts;
  }
  REQUIRE(mounts > 10);
}

TEST_CASE("a_plan_puts_inputs_of_several_torrents_side_by_side_read_only") {
  auto plan = a_plan();
  plan.inputs_dir.clear();
  plan.inputs = {{"own.txt", "/t/in/own.txt"}, {"data", "/other/data"}};
  const auto argv = sandbox_arguments(plan, merged_usr());
  REQUIRE(has(argv, {"--ro-bind", "/t/in/own.txt", "/work/in/own.txt"}));
  REQUIRE(has(argv, {"--ro-bind", "/other/data", "/work/in/data"}));
  REQUIRE(place(argv, {"--dir", "/work/in"}) < place(argv, {"--remount-ro", "/"}));
}

TEST_CASE("patterns_match_whole_parts_and_two_stars_match_any_number_of_them") {
  REQUIRE(matches_pattern("out/**", "out/a"));
  REQUIRE(matches_pattern("out/**", "out/a/b/c"));
  REQUIRE(matches_pattern("out/*.png", "out/a.png"));
  REQUIRE(matches_pattern("out/**/x", "out/x"));
  REQUIRE(matches_pattern("out/**/x", "out/a/b/x"));
  REQUIRE(matches_pattern("out/a*b*c", "out/aXbYbZc"));
  REQUIRE_FALSE(matches_pattern("out/*.png", "out/sub/a.png"));
  REQUIRE_FALSE(matches_pattern("out/*.png", "out/a.png.txt"));
  REQUIRE_FALSE(matches_pattern("out/**/x", "out/a/xy"));
  REQUIRE_FALSE(matches_pattern("out/**", "in/a"));
  REQUIRE_FALSE(matches_pattern("out/a", "out/a/b"));
}
