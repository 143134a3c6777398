#include "executor/seccomp_rules.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

namespace tnode {
namespace {

using Tests = std::vector<ArgumentTest>;
using Cases = std::vector<Tests>;

constexpr std::uint64_t low_half = 0xffffffff;  // of an argument that the kernel takes as 32 bits; the filter sees 64
constexpr std::uint64_t unnamed_file = O_TMPFILE & ~O_DIRECTORY;
constexpr std::uint64_t tiocl = 0x541c, core_scheduling = 62, memfd_huge = 4, segment_huge = 04000, filter_mode = 1, new_listener = 8, kept_over_fork = 0x40000000;  // in no libc header

ArgumentTest has(unsigned argument, std::uint64_t bits) { return {ArgumentTest::Kind::equal, argument, bits, bits}; }
ArgumentTest is(unsigned argument, std::uint64_t value) { return {ArgumentTest::Kind::equal, argument, low_half, value}; }
ArgumentTest of_kind(unsigned argument, std::uint64_t mask, std::uint64_t value) { return {ArgumentTest::Kind::equal, argument, mask, value}; }
ArgumentTest differs(unsigned argument, std::uint64_t value) { return {ArgumentTest::Kind::differs, argument, ~0ULL, value}; }
ArgumentTest above(unsigned argument, std::uint64_t value) { return {ArgumentTest::Kind::above, argument, ~0ULL, value}; }

/// One case for each of the bits, beside what must hold as well.
Cases any_of(unsigned argument, std::initializer_list<std::uint64_t> bits, const Cases& also = {{}}) {
  Cases cases;
  for (const Tests& tests : also)
    for (std::uint64_t bit : bits) {
      cases.push_back(tests);
      cases.back().push_back(has(argument, bit));
    }
  return cases;
}
Cases set_id_bits(unsigned argument, const Cases& also = {{}}) { return any_of(argument, {S_ISUID, S_ISGID}, also); }
Cases makes_a_file(unsigned flags) { return {{has(flags, O_CREAT)}, {has(flags, unnamed_file)}}; }
Cases makes_a_device(unsigned mode) {
  Cases cases = set_id_bits(mode);
  for (std::uint64_t kind : {S_IFCHR, S_IFBLK}) cases.push_back({of_kind(mode, S_IFMT, kind)});
  return cases;
}

std::vector<SyscallRule> make_rules() {
  const Cases always;
  const Cases new_namespace = any_of(0, {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP});
  constexpr const char* set_id = "set-user-id or set-group-id bits in the mode";
  constexpr const char* gives_rights = "a file that gives its owner's rights away";
  return {
      // the kernel itself
      {{"init_module", "finit_module", "delete_module", "create_module"}, EPERM, always, "", "code in the kernel"},
      {{"kexec_load", "kexec_file_load"}, EPERM, always, "", "another kernel"},
      {{"bpf"}, EPERM, always, "", "programs in the kernel; its checker has often been fooled"},
      {{"perf_event_open"}, EPERM, always, "", "large, often broken, and a measuring instrument for side channels"},
      {{"io_uring_setup", "io_uring_enter", "io_uring_register"}, ENOSYS, always, "", "calls made without calling: no filter sees them; often broken"},
      {{"io_setup"}, ENOSYS, always, "", "one count of 65,536 for the whole machine, which a task could use up"},
      {{"userfaultfd"}, EPERM, always, "", "holds the kernel up in the middle of a copy: a part of most exploits"},
      {{"memfd_secret"}, EPERM, always, "", "memory that the kernel itself cannot reclaim or look at"},
      {{"fanotify_init", "fanotify_mark"}, EPERM, always, "", "watches whole file systems, and answers for others"},
      {{"inotify_init", "inotify_init1"}, ENOSYS, always, "", "128 for each user, inside and outside together: a task could use up the farmer's"},
      {{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}, ENOSYS, always, "", "young, and nothing here needs it"},
      {{"seccomp"}, EPERM, {{is(0, filter_mode), has(1, new_listener)}}, "with `SECCOMP_FILTER_FLAG_NEW_LISTENER`", "calls that wait in the kernel for another process's answer"},
      {{"modify_ldt", "vm86", "vm86old"}, EPERM, always, "", "16-bit code: rarely used, often broken"},
      {{"iopl", "ioperm"}, EPERM, always, "", "the processor's ports"},
      {{"uselib", "sysfs", "_sysctl", "nfsservctl", "lookup_dcookie"}, EPERM, always, "", "left over from older kernels"},
      {{"personality"}, EPERM, {{above(0, 0)}}, "to anything but Linux's own", "other systems' calls, and memory without random places"},
      // the machine
      {{"reboot"}, EPERM, always, "", "the machine's power"},
      {{"swapon", "swapoff"}, EPERM, always, "", "the machine's memory"},
      {{"acct", "quotactl", "quotactl_fd"}, EPERM, always, "", "accounting and quotas of the machine's users"},
      {{"syslog"}, EPERM, always, "", "the kernel's log tells addresses, and what others do"},
      {{"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime"}, EPERM, always, "", "the machine's clock"},
      {{"sethostname", "setdomainname"}, EPERM, always, "", "the host's name"},
      {{"vhangup"}, EPERM, always, "", "somebody's terminal"},
      {{"ioctl"}, EPERM, {{is(1, TIOCSTI)}}, "`TIOCSTI`", "types into a terminal, as if its owner did"},
      {{"ioctl"}, EPERM, {{is(1, tiocl)}, {is(1, TIOCCONS)}}, "`TIOCLINUX`, `TIOCCONS`", "pastes into a console, takes its output"},
      {{"ioctl"}, EPERM, {{is(1, TIOCSETD)}}, "`TIOCSETD`", "line disciplines: modem code in the kernel that any terminal may ask for, often broken"},
      // namespaces and mounts
      {{"unshare", "setns"}, EPERM, always, "", "a new user namespace gives every capability in it: most of the kernel opens up"},
      {{"clone"}, EPERM, new_namespace, "with any `CLONE_NEW…` flag", "the same by another call"},
      {{"clone3"}, ENOSYS, always, "", "has its flags in memory, where no filter reads them; libc falls back to `clone`"},
      {{"mount", "umount", "umount2", "pivot_root", "chroot"}, EPERM, always, "", "would show what is hidden, or hide what is shown"},
      {{"open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"}, ENOSYS, always, "", "the same by younger calls"},
      {{"name_to_handle_at", "open_by_handle_at"}, EPERM, always, "", "files by number, past every mount"},
      // other processes
      {{"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"}, EPERM, always, "", "other processes' memory"},
      {{"pidfd_getfd", "kcmp"}, EPERM, always, "", "other processes' descriptors, and the kernel's addresses by comparing"},
      {{"move_pages", "migrate_pages", "mbind", "set_mempolicy", "get_mempolicy", "set_mempolicy_home_node"}, EPERM, always, "", "which memory of the machine is used, by others too"},
      {{"add_key", "request_key", "keyctl"}, EPERM, always, "", "keyrings are in no namespace: the farmer's own may be reached"},
      {{"mq_open"}, EPERM, always, "", "message queues hold memory that no process owns"},
      {{"prlimit64", "sched_setaffinity", "sched_setparam", "sched_setscheduler"}, EPERM, {{is(0, 1)}}, "of process 1", "the first process has the task's user id, but its limits and place are not the task's"},
      {{"setpriority"}, EPERM, {{is(1, 1)}}, "of process 1", "the same"},
      {{"setpriority"}, EPERM, {{is(0, PRIO_USER)}}, "of a whole user", "the first process is one of them"},
      {{"ioprio_set"}, EPERM, always, "", "it starts in the idle class, behind the machine's owner, and could leave it"},
      {{"sched_setscheduler"}, EPERM, {{of_kind(1, low_half & ~kept_over_fork, SCHED_FIFO)}, {of_kind(1, low_half & ~kept_over_fork, SCHED_RR)}}, "to `SCHED_FIFO`, `SCHED_RR`", "before everything else on the machine; some users may, for music"},
      {{"sched_setattr"}, EPERM, always, "", "has its policy in memory, where no filter reads it"},
      {{"prctl"}, EPERM, {{is(0, core_scheduling)}}, "`PR_SCHED_CORE`", "can keep the other half of a processor's core idle"},
      {{"setrlimit"}, 0, {{is(0, RLIMIT_CORE)}}, "`RLIMIT_CORE`; nothing happens", "at 1 the kernel starts no core dump helper of the host's; at 0 it does"},
      {{"prlimit64"}, 0, {{is(1, RLIMIT_CORE), differs(2, 0)}}, "`RLIMIT_CORE`; nothing happens", "the same"},
      // sockets and files
      {{"socket", "socketpair"}, EAFNOSUPPORT, {{differs(0, AF_UNIX)}}, "of any family but `AF_UNIX`", "there is no network, and each family is code in the kernel"},
      {{"chmod", "fchmod", "creat"}, EPERM, set_id_bits(1), set_id, gives_rights},
      {{"fchmodat", "fchmodat2"}, EPERM, set_id_bits(2), set_id, gives_rights},
      {{"open"}, EPERM, set_id_bits(2, makes_a_file(1)), set_id, gives_rights},
      {{"openat"}, EPERM, set_id_bits(3, makes_a_file(2)), set_id, gives_rights},
      {{"openat2"}, ENOSYS, always, "", "has its mode in memory, where no filter reads it; libc uses `openat`"},
      {{"mknod"}, EPERM, makes_a_device(1), "devices, or set-user-id or set-group-id bits", "devices are the machine's; plain files as above"},
      {{"mknodat"}, EPERM, makes_a_device(2), "devices, or set-user-id or set-group-id bits", "the same"},
      {{"fcntl"}, EPERM, {{is(1, F_SETLEASE)}, {is(1, F_NOTIFY)}}, "`F_SETLEASE`, `F_NOTIFY`", "a lease on an input holds up whoever opens it outside for 45 seconds, the seeding node too"},
      // memory that no limit counts, or that nobody can be seen to use
      {{"mmap"}, ENOMEM, {{has(3, MAP_HUGETLB)}}, "with `MAP_HUGETLB`", "pages set aside for somebody's database; no memory limit counts them"},
      {{"memfd_create"}, ENOMEM, {{has(1, memfd_huge)}}, "with `MFD_HUGETLB`", "the same"},
      {{"shmget"}, ENOMEM, {{has(2, segment_huge)}}, "with `SHM_HUGETLB`", "the same"},
      {{"setsockopt"}, 0, {{is(1, SOL_SOCKET), is(2, SO_SNDBUF)}}, "`SO_SNDBUF` in `watchdog` mode; nothing happens", "each socket is counted as if it held the usual amount", &FilterOptions::watched_memory},
      {{"sched_setaffinity"}, EPERM, always, "where `--cpus` keeps sandboxes on some CPUs", "the mask that they inherit is not theirs to change", &FilterOptions::pinned},
      {{"memfd_create", "shmget", "semget", "msgget"}, ENOSYS, always, "in `watchdog` mode", "memory that belongs to no process is seen by no watchdog", &FilterOptions::watched_memory},
      {{"mmap"}, ENOMEM, {{has(3, MAP_SHARED | MAP_ANONYMOUS)}}, "with `MAP_SHARED` and `MAP_ANONYMOUS` in `watchdog` mode", "stays as a whole when but a page of it is still mapped", &FilterOptions::watched_memory},
      {{"splice", "tee", "vmsplice", "sendfile"}, ENOSYS, always, "in `watchdog` mode", "a pipe or socket that was given a byte holds its whole page, a huge one too", &FilterOptions::watched_memory},
  };
}

}  // namespace

const std::vector<SyscallRule>& syscall_rules() {
  static const std::vector<SyscallRule> rules = make_rules();
  return rules;
}

}  // namespace tnode
