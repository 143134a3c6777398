"""Ways out of a sandbox, one function each, run inside as `python3 in/escapes.py NAME`. Ends with 0 when the way is shut, with 42 when it is open."""
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
OPEN = 42


def shut(attempt, *arguments):
    """The attempt must raise, or be -1 as a C call's answer."""
    try:
        answer = attempt(*arguments)
    except (OSError, ValueError, PermissionError):
        return
    if isinstance(answer, int) and answer == -1:
        return
    print("open:", attempt, arguments, answer)
    sys.exit(OPEN)


def call(number, *arguments):
    return libc.syscall(number, *arguments)


# --- namespaces and mounts ---

def new_namespaces():
    for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000):
        shut(libc.unshare, flag)


def clone_into_namespaces():
    for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000):
        answer = call(56, flag | signal.SIGCHLD, 0, 0, 0, 0)
        if answer == 0:
            os._exit(OPEN)
        shut(lambda: answer)


def clone3_hides_flags():
    arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    answer = call(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if answer == 0:
        os._exit(OPEN)
    shut(lambda: answer)


def enters_namespaces():
    shut(lambda: libc.setns(os.open("/proc/self/ns/net", os.O_RDONLY), 0))


def mounts():
    shut(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)
    shut(libc.umount2, b"/work/in", 2)
    shut(libc.pivot_root, b"/tmp", b"/tmp") if hasattr(libc, "pivot_root") else shut(call, 155, b"/tmp", b"/tmp")
    shut(libc.chroot, b"/tmp")
    for number in (428, 429, 430, 432, 433, 442):  # open_tree move_mount fsopen fsmount fspick mount_setattr
        shut(call, number, 0, 0, 0, 0, 0)


# --- other processes and the kernel ---

def traces():
    shut(libc.ptrace, 0, 0, 0, 0)
    shut(libc.ptrace, 16, 1, 0, 0)
    shut(call, 310, 1, 0, 0, 0, 0, 0)  # process_vm_readv
    shut(call, 438, 0, 0, 0)           # pidfd_getfd
    shut(call, 312, 1, 1, 0, 0, 0)     # kcmp


def reads_the_first_process():
    for name in ("mem", "maps", "environ", "fd/3", "root", "cwd", "exe"):
        shut(lambda: open(f"/proc/1/{name}", "rb").read(1))
    shut(os.listdir, "/proc/1/fd")


def hurts_the_first_process():
    os.kill(1, signal.SIGKILL)  # the kernel keeps it from the first process
    shut(resource.prlimit, 1, resource.RLIMIT_CPU, (0, 0))
    shut(os.sched_setaffinity, 1, {0})
    shut(os.setpriority, os.PRIO_PROCESS, 1, 19)
    shut(os.setpriority, os.PRIO_USER, 0, 19)


def young_kernel_interfaces():
    for number in (321, 425, 426, 427, 323, 298, 447, 300):  # bpf, io_uring ×3, userfaultfd, perf_event_open, memfd_secret, fanotify_init
        shut(call, number, 0, 0, 0, 0, 0)


def keyrings():
    shut(call, 250, 0, -3, 1, 0, 0)
    shut(call, 248, b"user", b"k", b"v", 1, -3)


def modules_and_reboot():
    shut(call, 175, 0, 0, 0)
    shut(call, 313, 0, 0, 0)
    shut(call, 246, 0, 0, 0, 0)
    shut(call, 169, 0xFEE1DEAD, 672274793, 0, 0)
    shut(call, 103, 3, ctypes.create_string_buffer(16), 16)


def handles():
    shut(call, 303, -100, b"/usr", ctypes.create_string_buffer(200), ctypes.create_string_buffer(8), 0)
    shut(call, 304, 0, ctypes.create_string_buffer(200), 0)


def other_personality():
    shut(libc.personality, 0x0040000)


def becomes_root():
    for change in (os.setuid, os.setgid, os.seteuid):
        shut(change, 0)
    shut(os.setgroups, [0])


# --- files ---

def writes_outside():
    for path in ("/x", "/usr/x", "/etc/x", "/etc/passwd", "/etc/ld.so.cache", "/dev/x", "/work/x", "/work/in/x", "/proc/x", "/init", "/bin/x"):
        shut(open, path, "w")
    shut(os.rename, "/tmp", "/tmq")
    shut(os.unlink, "/work/out")


def sees_the_host():
    for path in ("/sys", "/run", "/home", "/root", "/var", "/boot", "/mnt", "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/resolv.conf", "/dev/sda", "/dev/vda", "/dev/mem", "/dev/kmsg"):
        shut(os.stat, path)


def kernel_switches():
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            shut(os.open, os.path.join(folder, name), os.O_WRONLY)
    for path in ("/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/self/mem", "/proc/self/setgroups", "/proc/self/uid_map", "/proc/kcore", "/proc/kmsg"):
        shut(os.open, path, os.O_WRONLY)


def set_user_id():
    open("/tmp/s", "w").close()
    shut(os.chmod, "/tmp/s", 0o4755)
    shut(os.chmod, "/tmp/s", 0o2755)
    shut(os.open, "/tmp/t", os.O_CREAT | os.O_WRONLY, 0o4755)
    shut(os.open, "/tmp", os.O_TMPFILE | os.O_WRONLY, 0o4755)
    shut(call, 437, -100, b"/tmp/u", (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0), 24)


def device_nodes():
    shut(os.mknod, "/tmp/d", 0o020666, os.makedev(1, 3))
    shut(os.mknod, "/tmp/d", 0o060666, os.makedev(254, 0))


# --- sockets, terminals, descriptors ---

def socket_families():
    for family in range(0, 46):
        if family == socket.AF_UNIX:
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            shut(lambda: socket.socket(family, kind).fileno())
    shut(lambda: socket.socketpair(socket.AF_INET, socket.SOCK_STREAM))


def abstract_socket_of_the_host():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
        shut(each.connect, "\0" + os.environ["LISTENER"])


def types_into_a_terminal():
    leader, follower = os.openpty()
    shut(fcntl.ioctl, follower, 0x5412, b"x")
    shut(call, 16, follower, ctypes.c_uint64(0x100005412), b"x")  # the kernel looks at the low half only
    shut(fcntl.ioctl, follower, 0x541C, b"\x03")


def inherited_descriptors():
    for number in range(3, 1024):
        shut(os.fstat, number)
    for number in range(0, 3):
        if "/dev/null" != os.readlink(f"/proc/self/fd/{number}") and not os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
            sys.exit(OPEN)


def foreign_system_calls():
    """A 32-bit call by its interrupt: the filter kills what speaks another ABI."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    sys.exit(OPEN)


def message_queues():
    shut(libc.mq_open, b"/q", os.O_CREAT | os.O_RDWR, 0o600, None)


globals()[sys.argv[1]]()
