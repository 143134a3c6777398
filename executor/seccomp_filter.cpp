#include "executor/seccomp_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace tnode {
namespace {

struct Denied { const char* call; int error; };

// Calls that no task needs and that have been, or could be, a way out. Unknown names (other kernels) are passed over.
constexpr Denied denied[] = {
    // kernel memory, modules, another kernel
    {"init_module", EPERM}, {"finit_module", EPERM}, {"delete_module", EPERM}, {"kexec_load", EPERM}, {"kexec_file_load", EPERM}, {"create_module", EPERM},
    {"iopl", EPERM}, {"ioperm", EPERM}, {"reboot", EPERM}, {"swapon", EPERM}, {"swapoff", EPERM}, {"acct", EPERM}, {"quotactl", EPERM}, {"quotactl_fd", EPERM},
    {"syslog", EPERM}, {"lookup_dcookie", EPERM}, {"nfsservctl", EPERM}, {"uselib", EPERM}, {"vm86", EPERM}, {"vm86old", EPERM}, {"modify_ldt", EPERM},
    // large, young attack surfaces of the kernel
    {"bpf", EPERM}, {"io_uring_setup", ENOSYS}, {"io_uring_enter", ENOSYS}, {"io_uring_register", ENOSYS}, {"userfaultfd", EPERM}, {"perf_event_open", EPERM},
    {"memfd_secret", EPERM}, {"fanotify_init", EPERM}, {"fanotify_mark", EPERM},
    // other processes
    {"ptrace", EPERM}, {"process_vm_readv", EPERM}, {"process_vm_writev", EPERM}, {"process_madvise", EPERM}, {"pidfd_getfd", EPERM}, {"kcmp", EPERM},
    {"move_pages", EPERM}, {"migrate_pages", EPERM}, {"mbind", EPERM}, {"set_mempolicy", EPERM}, {"get_mempolicy", EPERM},
    // files by handle reach beyond mounts
    {"name_to_handle_at", EPERM}, {"open_by_handle_at", EPERM},
    // keyrings are not namespaced
    {"add_key", EPERM}, {"request_key", EPERM}, {"keyctl", EPERM},
    // namespaces and mounts, old interface and new
    {"unshare", EPERM}, {"setns", EPERM}, {"mount", EPERM}, {"umount", EPERM}, {"umount2", EPERM}, {"pivot_root", EPERM}, {"chroot", EPERM}, {"open_tree", ENOSYS},
    {"move_mount", ENOSYS}, {"fsopen", ENOSYS}, {"fsconfig", ENOSYS}, {"fsmount", ENOSYS}, {"fspick", ENOSYS}, {"mount_setattr", ENOSYS}, {"landlock_create_ruleset", ENOSYS},
    // clone3 hides its flags in memory where no filter can read them; libc falls back to clone
    {"clone3", ENOSYS},
    // the machine's clock, name and devices
    {"settimeofday", EPERM}, {"clock_settime", EPERM}, {"clock_adjtime", EPERM}, {"adjtimex", EPERM}, {"stime", EPERM}, {"sethostname", EPERM}, {"setdomainname", EPERM},
    // flags hidden in memory again: libc falls back to openat
    {"openat2", ENOSYS},
    {"vhangup", EPERM}, {"_sysctl", EPERM}, {"sysfs", EPERM}, {"mq_open", EPERM},
};

constexpr unsigned long unnamed_file = O_TMPFILE & ~O_DIRECTORY;
constexpr unsigned long ioprio_of_user = 3;  // IOPRIO_WHO_USER, which no libc header has

struct Releaser { void operator()(void* filter) const { seccomp_release(filter); } };

}  // namespace

Result<int> seccomp_filter(FilterOptions options) {
  std::unique_ptr<void, Releaser> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(Code::unavailable, "libseccomp cannot make a filter");
  // Other ABIs (32-bit, x32) number their calls differently and would slip past the list.
  bool good = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0;
  auto deny = [&](int error, int call, auto... conditions) {
    if (call < 0) return;  // not a call of this machine
    int done = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, sizeof...(conditions), conditions...);
    good = good && done == 0;
  };
  for (const auto& each : denied) deny(each.error, seccomp_syscall_resolve_name(each.call));
  for (unsigned long flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    deny(EPERM, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
  // No sockets but local ones: the network namespace is empty, but socket families are attack surface by themselves.
  deny(EAFNOSUPPORT, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_NE, AF_UNIX));
  deny(EAFNOSUPPORT, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_NE, AF_UNIX));
  // Typing into the terminal of whoever started the farmer.
  for (unsigned long request : {static_cast<unsigned long>(TIOCSTI), 0x541CUL /* TIOCLINUX */}) deny(EPERM, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, request));
  // Set-user-id files and device nodes.
  for (unsigned long bit : {static_cast<unsigned long>(S_ISUID), static_cast<unsigned long>(S_ISGID)}) {
    deny(EPERM, SCMP_SYS(chmod), SCMP_A1(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(fchmod), SCMP_A1(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(fchmodat), SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, seccomp_syscall_resolve_name("fchmodat2"), SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(creat), SCMP_A1(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT), SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT), SCMP_A3(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, unnamed_file, unnamed_file), SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit));
    deny(EPERM, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, unnamed_file, unnamed_file), SCMP_A3(SCMP_CMP_MASKED_EQ, bit, bit));
  }
  for (unsigned long kind : {static_cast<unsigned long>(S_IFCHR), static_cast<unsigned long>(S_IFBLK)}) {
    deny(EPERM, SCMP_SYS(mknod), SCMP_A1(SCMP_CMP_MASKED_EQ, S_IFMT, kind));
    deny(EPERM, SCMP_SYS(mknodat), SCMP_A2(SCMP_CMP_MASKED_EQ, S_IFMT, kind));
  }
  // The first process has the task's user id: its limits and its place among others are not the task's to change.
  auto first = [](unsigned argument) { return scmp_arg_cmp{argument, SCMP_CMP_MASKED_EQ, 0xffffffffUL, 1}; };
  for (int call : {SCMP_SYS(prlimit64), SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr)}) deny(EPERM, call, first(0));
  for (int call : {SCMP_SYS(setpriority), SCMP_SYS(ioprio_set)}) deny(EPERM, call, first(1));
  deny(EPERM, SCMP_SYS(setpriority), SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffUL, PRIO_USER));
  deny(EPERM, SCMP_SYS(ioprio_set), SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffUL, ioprio_of_user));
  if (options.watched_memory)
    for (int call : {SCMP_SYS(memfd_create), SCMP_SYS(shmget)}) deny(ENOSYS, call);
  if (options.pinned) deny(EPERM, SCMP_SYS(sched_setaffinity));
  // Other execution domains and a fixed address-space layout; glibc asks for neither.
  deny(EPERM, SCMP_SYS(personality), SCMP_A0(SCMP_CMP_GT, 0));
  if (!good) return fail(Code::unavailable, "libseccomp cannot express the filter");
  int fd = memfd_create("tnode-seccomp", MFD_CLOEXEC);
  if (fd < 0) return fail(Code::io, std::string("memfd_create: ") + std::strerror(errno));
  if (int done = seccomp_export_bpf(filter.get(), fd); done != 0) {
    close(fd);
    return fail(Code::unavailable, std::string("libseccomp cannot export the filter: ") + std::strerror(-done));
  }
  return fd;
}

}  // namespace tnode
