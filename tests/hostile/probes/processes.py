"""Other processes: their memory, descriptors and fate. The first process is the one that is trusted; outside there must be none at all."""
import ctypes
import fcntl
import os
import resource
import signal
import socket

from probe import NO_SERVER, PLACE, call, ends, fail, libc, shut, word_of

SELF = os.getpid()


@ends("exited 0")
def ptrace_in_every_way():
    child = os.fork() or signal.pause()
    for request in (0, 16, 0x4206):  # TRACEME, ATTACH, SEIZE
        for pid in (0, 1, child):
            shut(libc.ptrace, request, pid, 0, 0)
    os.kill(child, signal.SIGKILL)


@ends("exited 0")
def memory_of_others():
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
    for pid in (1, SELF):
        shut(call, 310, pid, vector, 1, vector, 1, 0)  # process_vm_readv
        shut(call, 311, pid, vector, 1, vector, 1, 0)  # process_vm_writev
    shut(call, 440, os.pidfd_open(SELF), vector, 1, 4, 0)  # process_madvise
    shut(call, 279, SELF, 0, 0, 0, 0, 0)                   # move_pages
    shut(call, 256, SELF, 8, vector, vector)               # migrate_pages


@ends("exited 0")
def descriptors_of_others():
    for pid in (1, SELF):
        shut(call, 438, os.pidfd_open(pid), 0, 0)  # pidfd_getfd
    shut(os.listdir, "/proc/1/fd")
    shut(os.listdir, "/proc/1/fdinfo")
    shut(os.listdir, "/proc/1/map_files")
    for number in range(8):
        shut(os.open, f"/proc/1/fd/{number}", os.O_RDWR)


@ends("exited 0")
def kcmp_tells_nothing():
    for kind in range(8):
        shut(call, 312, SELF, SELF, kind, 0, 0)
        shut(call, 312, 1, SELF, kind, 3, 3)


@ends("exited 0")
def first_process_cannot_be_read():
    for name in ("mem", "maps", "smaps", "environ", "root", "cwd", "exe", "auxv", "syscall", "stack", "personality", "io", "pagemap", "timers"):
        shut(lambda: open(f"/proc/1/{name}", "rb").read(1))
    for name in ("root", "cwd", "exe"):
        shut(os.readlink, f"/proc/1/{name}")


@ends("exited 0")
def first_process_hears_no_signal():
    left, right = socket.socketpair()
    for number in (signal.SIGKILL, signal.SIGSTOP):  # from the kernel itself, for whom a descriptor is ready
        fcntl.fcntl(left, fcntl.F_SETOWN, 1)
        fcntl.fcntl(left, fcntl.F_SETSIG, number)
        fcntl.fcntl(left, fcntl.F_SETFL, os.O_ASYNC)
        right.send(b"x")
    for number in range(1, 65):
        try:
            os.kill(1, number)  # allowed, and without effect: the kernel keeps what it did not ask for from the first process
        except (OSError, ValueError):
            pass
    try:
        signal.pidfd_send_signal(os.pidfd_open(1), signal.SIGKILL)
    except OSError:
        pass


@ends("exited 0")
def first_process_keeps_its_limits_and_place():
    shut(resource.prlimit, 1, resource.RLIMIT_CPU, (0, 0))
    shut(resource.prlimit, 1, resource.RLIMIT_NOFILE, (3, 3))
    shut(os.sched_setaffinity, 1, {0})
    shut(os.sched_setscheduler, 1, os.SCHED_IDLE, os.sched_param(0))
    shut(os.setpriority, os.PRIO_PROCESS, 1, 19)
    shut(os.setpriority, os.PRIO_USER, 0, 19)
    shut(call, 251, 1, 1, 3 << 13)     # ioprio_set of the first process
    shut(call, 251, 3, 1000, 3 << 13)  # and of the user
    shut(os.setpgid, 1, SELF)
    shut(os.getsid, 0) if os.getsid(0) == 0 else None
    for name in ("oom_score_adj", "coredump_filter", "timerslack_ns", "comm", "clear_refs", "attr/current", "autogroup", "loginuid"):
        shut(os.open, f"/proc/1/{name}", os.O_WRONLY)


@ends("exited 0")
def nobody_else_is_seen():
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, SELF}
    if PLACE == "forked":
        seen -= {os.getppid()}
    if seen:
        fail("processes", seen)
    for pid in range(2, 400):
        if pid not in (SELF, os.getppid()):
            shut(os.kill, pid, 0)
    if os.getppid() != 1 and PLACE != "forked":
        fail("the parent is", os.getppid())


@ends("exited 137", forked=NO_SERVER, served=NO_SERVER)
def everyone_killed_is_only_oneself():
    os.fork() or signal.pause()
    os.kill(-1, signal.SIGKILL)
    os.kill(SELF, signal.SIGKILL)


@ends("exited 0")
def orphans_go_to_the_first_process():
    libc.prctl(36, 1, 0, 0, 0)  # a subreaper of its own
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            signal.pause()
        os._exit(0)
    os.wait()


@ends("exited 0")
def priorities_only_go_down():
    shut(os.nice, -20)
    shut(os.setpriority, os.PRIO_PROCESS, 0, -20)
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        shut(os.sched_setscheduler, 0, policy, os.sched_param(1))
        shut(os.sched_setscheduler, 0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    deadline = (ctypes.c_uint64 * 6)(48 | 6 << 32, 0, 0, 1_000_000, 10_000_000, 10_000_000)
    shut(call, 314, 0, deadline, 0)                 # sched_setattr
    for kind in (1, 2):
        shut(call, 251, 1, 0, kind << 13)           # ioprio_set: real time; out of the idle class
    for limit in (resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO):
        if resource.getrlimit(limit) != (0, 0):
            fail("limit", limit, resource.getrlimit(limit))


@ends("exited 0")
def limits_only_go_down():
    for name in ("NOFILE", "NPROC", "MEMLOCK", "MSGQUEUE", "CPU", "SIGPENDING"):
        which = getattr(resource, "RLIMIT_" + name, 11)  # Python has no name for pending signals
        soft, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY:
            fail(name, "has no limit")
        shut(resource.setrlimit, which, (soft, hard + 1))
        shut(resource.setrlimit, which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@ends("exited 0")
def no_oom_score_of_its_own():
    for name in ("oom_score_adj", "oom_adj"):
        shut(os.open, f"/proc/self/{name}", os.O_WRONLY)


@ends("exited 0")
def no_privileges_whatever_is_asked():
    for change in (os.setuid, os.setgid, os.seteuid, os.setegid):
        shut(change, 0)
    shut(os.setresuid, 0, 0, 0)
    shut(os.setgroups, [0])
    shut(call, 126, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))  # capset
    shut(libc.prctl, 47, 2, 21, 0, 0)   # an ambient capability
    shut(libc.prctl, 28, 0x2F, 0, 0, 0)  # securebits
    shut(libc.prctl, 38, 0, 0, 0, 0)    # NO_NEW_PRIVS off
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(word_of("self", name)[0], 16) != 0:
            fail(name, word_of("self", name))
    if word_of("self", "NoNewPrivs") != ["1"] or word_of("self", "Seccomp") != ["2"] or set(word_of("self", "Uid")) != {"1000"}:
        fail("status")


@ends("exited 0")
def dumpable_is_no_key():
    libc.prctl(4, 0, 0, 0, 0)
    libc.prctl(4, 2, 0, 0, 0)
    shut(lambda: open("/proc/1/mem", "rb").read(1))
    libc.prctl(0x59616D61, 1, 0, 0, 0)  # Yama's PR_SET_PTRACER
    shut(libc.ptrace, 16, 1, 0, 0)


@ends("exited 134")
def a_crash_leaves_no_core_and_calls_no_helper():
    """A limit of 1: the kernel hands a crash to the host's core_pattern program whatever the limit is, but for 1. A farmer who was started with a
    hard limit of 0 cannot have more."""
    allowed = [(1, 1)] if os.environ["CORE_LIMIT"] != "0" else [(0, 0), (1, 1)]
    for wish in ((0, 0), (0, 1), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)):
        try:
            resource.setrlimit(resource.RLIMIT_CORE, wish)
        except (OSError, ValueError):
            pass
        if resource.getrlimit(resource.RLIMIT_CORE) not in allowed:
            fail(resource.getrlimit(resource.RLIMIT_CORE))
    shut(os.open, "/proc/self/coredump_filter", os.O_WRONLY)
    os.chdir("/tmp")
    child = os.fork() or os.abort()
    os.waitpid(child, 0)
    if os.listdir("/tmp"):
        fail(os.listdir("/tmp"))
    os.abort()
