// What a sandbox is made of, as data: which arguments bubblewrap gets for which request. Pure; somebody else carries it out.
#pragma once
#include <string>
#include <vector>

#include "core/execution.h"

namespace tnode {

/// What a task sees at its root besides what the sandbox makes: this machine's, looked at when the runner starts, or a runtime's.
struct RootLayout {
  std::string host_dir;                                          ///< where it is outside; empty: at the machine's own root
  std::vector<std::string> folders;                              ///< /usr, /bin …: real folders, bound read-only
  std::vector<std::pair<std::string, std::string>> links;        ///< those that are links, into /usr mostly: (where, to)
  std::vector<std::string> etc;                                  ///< files and folders below /etc that programs need to start
  bool whole_etc = false;                                        ///< /etc is one of the folders; it has a passwd and a group
};
RootLayout look_at_host();
/// Of an unpacked runtime: all its folders and links but those that the sandbox makes itself. `shown_as` is the folder's name for
/// the sandbox's user. `not_found` when there is no such folder, `invalid` for links where bubblewrap would follow them.
Result<RootLayout> look_at_runtime(const std::string& dir, const std::string& shown_as);

/// Descriptors that bubblewrap finds open, by number; everything else is closed before.
struct SandboxDescriptors {
  int seccomp = 4;
  int passwd = 5, group = 6;
};

/// Files of /proc that tell of the farmer's user whatever the namespaces are, those that this kernel has: covered up.
std::vector<std::string> files_to_hide();

struct SandboxPlan {
  std::string init_path;                ///< the first process's program on the host
  std::string inputs_dir;               ///< the task's in/ on the host, shown as it is; empty: see `inputs`
  std::vector<std::pair<std::string, std::string>> inputs;  ///< in/ put together from several places: (name below in/, host path)
  std::string warm_python;              ///< tnode's warm command for Python on the host; empty: the task has no warm command
  std::vector<std::string> hidden;      ///< files_to_hide()
  std::int64_t disk_bytes = 0;          ///< cap of out/ and /tmp together
  bool watched_memory = false;          ///< no control group bounds memory: none may be had that belongs to no process's map
  bool operator==(const SandboxPlan&) const = default;
};

/// The whole command line, "bwrap" first. Mounts happen in this order.
std::vector<std::string> sandbox_arguments(const SandboxPlan& plan, const RootLayout& root, const SandboxDescriptors& descriptors = {});

/// Where the one writable file system is inside; out/ and /tmp are links into it.
inline constexpr const char* sandbox_scratch = "/scratch";

/// The user inside: never 0, and not one that a file system outside may know.
inline constexpr int sandbox_uid = 1000;
inline constexpr const char* sandbox_passwd = "task:x:1000:1000:task:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
inline constexpr const char* sandbox_group = "task:x:1000:\nnogroup:x:65534:\n";

}  // namespace tnode
