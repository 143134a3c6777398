"""One index that leaves everything it can behind, and the next one that looks for it."""
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct

from probe import PLACE, call, ends, fail, libc

KEY = 77
RW_HINT = 1024 + 11  # Python has no name for it


def stay():
    """Until somebody ends it."""
    while True:
        signal.pause()


def harmless():
    """An index as most are: what a probe after it starts from. By what it leaves, the next one knows that it is in the same sandbox."""
    open("/tmp/note", "w").close()
    with open("out/sandbox", "w") as file:
        file.write(os.readlink("/proc/self/ns/pid"))


@ends("exited 0")
def files_and_modes():
    for place in ("/tmp", "out", "/dev/shm", "/scratch"):
        os.makedirs(f"{place}/folder/{'deep/' * (3 if place == 'out' else 50)}", exist_ok=True)
        open(f"{place}/file", "w").close()
        os.chmod(f"{place}/folder", 0)
    os.symlink("/usr", "/tmp/link")
    os.symlink("/scratch/out", "/dev/shm/link")
    os.remove("out/file")
    os.chmod("out/folder", 0o700)
    os.chmod("/dev/shm", 0)
    os.chmod("/scratch", 0)


@ends("exited 0")
def work_folders_replaced_by_links():
    os.rmdir("/scratch/tmp")
    os.symlink("/dev/shm", "/scratch/tmp")
    open("/tmp/there", "w").close()


@ends("exited 0")
def attributes_of_the_scratch_folder():
    for path in ("/scratch", "/scratch/tmp", "/scratch/out", "/dev/shm"):
        try:
            os.setxattr(path, "user.note", b"from an index before")
            fcntl.ioctl(os.open(path, os.O_RDONLY), 0x40086602, bytearray(struct.pack("l", 0x80 | 0x40)))  # no access times, no dump
        except OSError:
            pass


@ends("exited 0")
def system_v_objects():
    libc.shmget(KEY, 4096, 0o1666)
    libc.semget(KEY, 1, 0o1666)
    libc.msgget(KEY, 0o1666)


@ends("exited 0")
def system_v_objects_that_nobody_may_read():
    """Whoever knows the key may find them, and whoever made them may give them another mode."""
    libc.shmget(KEY, 4096, 0o1000)
    libc.semget(KEY, 1, 0o1000)
    libc.msgget(KEY, 0o1000)


@ends("exited 0")
def settings_of_the_parent():
    """Of the warm command, from which the next index would have them."""
    parent = os.getppid()
    if PLACE != "forked":
        return
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (16, 16))
    os.sched_setscheduler(parent, os.SCHED_BATCH, os.sched_param(0))
    os.sched_setaffinity(parent, {min(os.sched_getaffinity(parent))})
    os.setpriority(os.PRIO_PROCESS, parent, 19)


@ends("exited 0")
def settings_of_the_streams():
    """Of descriptions and pipes that the warm command has too."""
    for number in (1, 2):
        os.fchmod(number, 0)
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, 4096)
        fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGSTOP)
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getppid())
        fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        fcntl.fcntl(number, RW_HINT + 1, struct.pack("Q", 5))


@ends("exited 0")
def modes_of_terminals():
    for path in ("/dev/pts/ptmx", "/dev/pts"):
        os.chmod(path, 0)


@ends("exited 0")
def processes_in_the_background():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.closerange(0, 64)
                stay()
            os._exit(0)


@ends("exited 0")
def processes_that_no_usual_wait_finds():
    """Children of clone without a signal at their end, siblings instead of children, traced by nobody and in a session of their own."""
    for flags in (0, 0x8000, 0x8000 | signal.SIGCHLD, signal.SIGUSR1):  # CLONE_PARENT
        if call(56, flags, 0, 0, 0, 0) == 0:
            if call(56, 0, 0, 0, 0, 0) == 0:
                os.setsid()
                stay()
            stay()


@ends("exited 0")
def an_abstract_listener():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("\0left-behind")
    listener.listen()
    if os.fork() == 0:
        stay()


@ends("exited 0", served="exited 1")
def settings_of_the_process():
    """Of a process that ends, or of a parent that a warm command might share."""
    os.chdir("/")
    os.umask(0o777)
    os.environ["PATH"] = "/tmp"
    os.nice(5)
    libc.prctl(15, b"renamed", 0, 0, 0)
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    for number in range(4 if PLACE == "served" else 3, 12):
        os.dup2(0, number)


def flags_of(path):
    flags, folder = bytearray(8), os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, 0x80086601, flags)
    except OSError:
        pass  # this kernel's tmpfs has none
    os.close(folder)
    return flags


def look():
    """What an index finds that was before it, in a place that another one may have had: nothing."""
    found = [place for place in ("/tmp", "/work/out", "/dev/shm") if os.listdir(place)]
    found += [name for name in os.listdir("/scratch") if name not in ("out", "tmp")]
    found += [path for path in ("/scratch/out", "/scratch/tmp") if os.path.islink(path)]
    modes = {"/scratch": 0o40755, "/scratch/out": 0o40755, "/scratch/tmp": 0o41777, "/dev/shm": 0o41777}
    found += [(path, oct(os.stat(path).st_mode)) for path, mode in modes.items() if os.stat(path).st_mode != mode]
    found += [(path, os.listxattr(path)) for path in modes if [name for name in os.listxattr(path) if name.startswith("user.")]]
    found += [(path, flags.hex()) for path in modes for flags in [flags_of(path)] if any(flags)]
    found += [what for what, get in (("shm", lambda: libc.shmget(KEY, 4096, 0)), ("sem", lambda: libc.semget(KEY, 1, 0)), ("msg", lambda: libc.msgget(KEY, 0))) if get() >= 0]
    for table in ("shm", "sem", "msg"):
        if len(open("/proc/sysvipc/" + table).readlines()) > 1:
            found.append(table)
    found += [("process", pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid(), os.getppid())]
    if os.getcwd() != "/work":
        found.append(os.getcwd())
    umask = os.umask(0o22)
    if umask != 0o22:
        found.append(("umask", umask))
    if os.getpriority(os.PRIO_PROCESS, 0) != os.getpriority(os.PRIO_PROCESS, 1):
        found.append("priority")
    if resource.getrlimit(resource.RLIMIT_NOFILE) != (1024, 1024):
        found.append(resource.getrlimit(resource.RLIMIT_NOFILE))
    if signal.pthread_sigmask(signal.SIG_BLOCK, []):
        found.append("blocked signals")
    found += [("ignored", number) for number in range(1, 32) if number not in (signal.SIGPIPE, signal.SIGXFSZ) and signal.getsignal(number) == signal.SIG_IGN]
    if os.sched_getaffinity(0) != os.sched_getaffinity(1) or os.sched_getscheduler(0) != os.SCHED_OTHER:
        found.append("place on the processors")
    for number in (1, 2):
        seen = oct(os.fstat(number).st_mode), fcntl.fcntl(number, fcntl.F_GETSIG), fcntl.fcntl(number, fcntl.F_GETOWN), fcntl.fcntl(number, fcntl.F_GETFL)
        least = 8192  # the kernel gives no more to a user who has many pipes elsewhere
        if seen != (oct(0o10600), 0, 0, os.O_WRONLY) or fcntl.fcntl(number, fcntl.F_GETPIPE_SZ) < least or any(fcntl.fcntl(number, RW_HINT, bytes(8))):
            found.append(("stream", number, seen))
    for leader_or_follower in os.openpty():
        os.close(leader_or_follower)
    for number in range(3, 64):
        try:
            os.fstat(number)
            found.append(("descriptor", number))
        except OSError:
            pass
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
        if each.connect_ex("\0left-behind") == 0:
            found.append("listener")
    own_and_servers = 4 if PLACE == "forked" else 2  # with the line above them
    if len(open("/proc/net/unix").readlines()) > own_and_servers:
        found.append("sockets")
    if found:
        fail("left behind:", found)
