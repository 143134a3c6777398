#include "executor/plan.h"

#include <algorithm>
#include <filesystem>

namespace tnode {
namespace fs = std::filesystem;
namespace {

// /dev/shm is where POSIX semaphores and shared memory live; small, and charged to the memory limit like all of tmpfs.
constexpr std::int64_t shared_memory_bytes = 64LL << 20;

}  // namespace

HostLayout look_at_host() {
  HostLayout host;
  std::error_code ec;
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(name, ec)) host.links.emplace_back(name, fs::read_symlink(name, ec).string());
    else if (fs::is_directory(name, ec)) host.folders.emplace_back(name);
  }
  // The dynamic loader's cache and the targets of /usr/bin's alternatives; no host name, user, mount or network file.
  for (const char* name : {"/etc/ld.so.cache", "/etc/alternatives", "/etc/mime.types"})
    if (fs::exists(name, ec)) host.etc.emplace_back(name);
  return host;
}

std::vector<std::string> sandbox_arguments(const SandboxPlan& plan, const HostLayout& host, const SandboxDescriptors& descriptors) {
  std::vector<std::string> argv;
  auto add = [&argv](auto&&... parts) { (argv.emplace_back(parts), ...); };
  const std::string uid = std::to_string(sandbox_uid), disk = std::to_string(std::max<std::int64_t>(plan.disk_bytes, 1));
  add("bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try");
  add("--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL");
  add("--uid", uid, "--gid", uid, "--hostname", "tnode", "--clearenv");
  add("--ro-bind", "/usr", "/usr");
  for (const auto& folder : host.folders) add("--ro-bind", folder, folder);
  for (const auto& [where, to] : host.links) add("--symlink", to, where);
  add("--perms", "0755", "--dir", "/etc");
  for (const auto& path : host.etc) add("--ro-bind", path, path);
  add("--perms", "0444", "--ro-bind-data", std::to_string(descriptors.passwd), "/etc/passwd");
  add("--perms", "0444", "--ro-bind-data", std::to_string(descriptors.group), "/etc/group");
  // bubblewrap 0.8 leaves parts of /proc/sys writable when root started it: read-only over all of it.
  add("--proc", "/proc", "--remount-ro", "/proc");
  add("--dev", "/dev", "--size", std::to_string(shared_memory_bytes), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev");
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
