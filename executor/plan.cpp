#include "executor/plan.h"

#include <algorithm>
#include <filesystem>

#include "core/runtime.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

// /dev/shm is where POSIX semaphores and shared memory live; small, and charged to the memory limit like all of tmpfs.
constexpr std::int64_t shared_memory_bytes = 64LL << 20;
// Each folder at a runtime's root is a mount of its own.
constexpr std::size_t max_root_entries = 256;

}  // namespace

RootLayout look_at_host() {
  RootLayout host;
  std::error_code ec;
  host.folders.emplace_back("/usr");
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(name, ec)) host.links.emplace_back(name, fs::read_symlink(name, ec).string());
    else if (fs::is_directory(name, ec)) host.folders.emplace_back(name);
  }
  // The dynamic loader's cache and the targets of /usr/bin's alternatives; no host name, user, mount or network file.
  for (const char* name : {"/etc/ld.so.cache", "/etc/alternatives", "/etc/mime.types"})
    if (fs::exists(name, ec)) host.etc.emplace_back(name);
  return host;
}

Result<RootLayout> look_at_runtime(const std::string& dir, const std::string& shown_as) {
  RootLayout root;
  root.host_dir = shown_as;
  std::error_code ec;
  if (!fs::is_directory(fs::symlink_status(dir, ec))) return fail(Code::not_found, "the task's runtime is not in " + dir);
  for (const auto& entry : fs::directory_iterator(dir, ec)) {
    const std::string name = entry.path().filename().string();
    if (belongs_to_sandbox(name)) continue;
    if (entry.is_symlink(ec)) root.links.emplace_back("/" + name, fs::read_symlink(entry.path(), ec).string());
    else if (entry.is_directory(ec)) root.folders.push_back("/" + name);
    root.whole_etc = root.whole_etc || name == "etc";
  }
  if (root.folders.size() + root.links.size() > max_root_entries) return fail(Code::invalid, "the task's runtime has more than " + std::to_string(max_root_entries) + " folders at its root");
  std::sort(root.folders.begin(), root.folders.end());
  std::sort(root.links.begin(), root.links.end());
  if (ec) return fail(Code::io, "cannot read the task's runtime in " + dir + ": " + ec.message());
  // bubblewrap makes the files that it mounts over where there are none. It would follow a link, out of the new root into the host's.
  for (const char* mounted : {"/etc", "/etc/passwd", "/etc/group"})
    if (fs::is_symlink(dir + mounted, ec)) return fail(Code::invalid, std::string("the task's runtime has a link for ") + mounted);
  return root;
}

std::vector<std::string> files_to_hide() {
  std::vector<std::string> found;
  std::error_code ec;
  for (const char* name : {"/proc/keys", "/proc/key-users"})  // keyrings are in no namespace: names of the user's keys
    if (fs::exists(name, ec)) found.emplace_back(name);
  return found;
}

std::vector<std::string> sandbox_arguments(const SandboxPlan& plan, const RootLayout& root, const SandboxDescriptors& descriptors) {
  std::vector<std::string> argv;
  auto add = [&argv](auto&&... parts) { (argv.emplace_back(parts), ...); };
  const std::string uid = std::to_string(sandbox_uid), disk = std::to_string(std::max<std::int64_t>(plan.disk_bytes, 1));
  add("bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try");
  add("--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL");
  add("--uid", uid, "--gid", uid, "--hostname", "tnode", "--clearenv");
  for (const auto& folder : root.folders) add("--ro-bind", root.host_dir + folder, folder);
  for (const auto& [where, to] : root.links) add("--symlink", to, where);
  if (!root.whole_etc) add("--perms", "0755", "--dir", "/etc");
  for (const auto& path : root.etc) add("--ro-bind", path, path);
  add("--perms", "0444", "--ro-bind-data", std::to_string(descriptors.passwd), "/etc/passwd");
  add("--perms", "0444", "--ro-bind-data", std::to_string(descriptors.group), "/etc/group");
  // bubblewrap 0.8 leaves parts of /proc/sys writable when root started it: read-only over all of it.
  add("--proc", "/proc", "--remount-ro", "/proc");
  // A device below a mount without devices: it cannot be opened.
  for (const auto& path : plan.hidden) add("--ro-bind", "/dev/null", path);
  add("--dev", "/dev");
  // As good to read from, and cannot be mapped: a shared map of /dev/zero is memory that stays as a whole when but a page of it is still mapped.
  if (plan.watched_memory) add("--dev-bind", "/dev/full", "/dev/zero");
  add("--size", std::to_string(shared_memory_bytes), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev");
  // One file system for results and scratch, so that one size caps both. The links lie in the root, which a task cannot change.
  const std::string scratch = sandbox_scratch;
  add("--size", disk, "--perms", "0755", "--tmpfs", scratch);
  add("--symlink", scratch + "/tmp", "/tmp");
  add("--perms", "0755", "--dir", "/work", "--symlink", scratch + "/out", "/work/out");
  if (!plan.inputs_dir.empty()) {
    add("--ro-bind", plan.inputs_dir, "/work/in");
  } else {
    add("--perms", "0755", "--dir", "/work/in");
    for (const auto& [name, path] : plan.inputs) add("--ro-bind", path, "/work/in/" + name);
  }
  if (!plan.warm_python.empty()) add("--ro-bind", plan.warm_python, warm_python_path);
  add("--ro-bind", plan.init_path, "/init", "--remount-ro", "/", "--chdir", "/work");
  add("--seccomp", std::to_string(descriptors.seccomp), "--", "/init");
  return argv;
}

}  // namespace tnode
