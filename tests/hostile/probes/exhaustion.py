"""Ways to use more than a task was given."""
import ctypes
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from probe import NO_SERVER, call, ends, fail, libc, shut

MIB = 1 << 20
REFUSED = "exited 1"  # a watched sandbox has no memory that belongs to no process: the call fails, and the program with it


def stay():
    """Until somebody ends it."""
    while True:
        signal.pause()


# --- processes ---

@ends("process_limit")
def forks():
    while True:
        try:
            os.fork() or stay()
        except OSError:
            pass


@ends("process_limit")
def threads():
    threading.stack_size(65536)
    while True:
        try:
            threading.Thread(target=stay, daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)


@ends("process_limit")
def vforks_and_leaves_the_group():
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    stay()
                os._exit(0)
        except OSError:
            pass


# --- memory ---

@ends("oom", disk_mib=16)
def memory():
    block = bytearray(1 << 30)
    print(len(block))


@ends("oom", disk_mib=16)
def memory_in_children():
    for _ in range(10):
        if os.fork() == 0:
            block = bytearray(40 * MIB)
            stay()
    os.wait()


@ends("oom", watched=REFUSED, disk_mib=16)
def memory_shared():
    block = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, 4096):
        block[at] = 1


def leaves_but_a_page_of(file):
    """A shared map lives as a whole as long as a part of it is mapped, and shows as that part."""
    maps = []
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    for _ in range(50):
        block = mmap.mmap(file, 20 * MIB)
        block.write(bytes(20 * MIB))
        maps.append(block)
        libc.munmap(ctypes.addressof(ctypes.c_char.from_buffer(block)) + 4096, 20 * MIB - 4096)
    os._exit(0)


@ends("oom", watched=REFUSED, disk_mib=16)
def memory_of_maps_that_are_mostly_gone():
    leaves_but_a_page_of(-1)


@ends("oom", watched=REFUSED, disk_mib=16)
def memory_of_a_device():
    leaves_but_a_page_of(os.open("/dev/zero", os.O_RDWR))


@ends("oom", watched=REFUSED, disk_mib=16)
def memory_nobody_maps():
    for _ in range(20):
        file = os.memfd_create("hidden")
        for _ in range(40):
            os.write(file, bytes(MIB))


@ends("oom", watched=REFUSED, disk_mib=16)
def memory_system_v():
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(20):
        segment = libc.shmget(0, 40 * MIB, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        at = libc.shmat(segment, None, 0)
        ctypes.memset(at, 1, 40 * MIB)
        libc.shmdt(ctypes.c_void_p(at))


@ends("oom", disk_mib=16)
def memory_of_a_child_that_nobody_misses():
    child = os.fork()
    if child == 0:
        block = bytearray(1 << 30)
        os._exit(0)
    os.waitpid(child, 0)
    stay()


@ends("oom", disk_mib=16)
def memory_of_page_tables():
    """A page of tables for every two MiB that are touched once and hold nothing."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    size = 1 << 38
    at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, -1, 0)  # MAP_NORESERVE
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), 15)  # no huge pages
    for offset in range(0, size, 2 * MIB):
        ctypes.c_char.from_address(at + offset).value
    stay()


@ends("oom", disk_mib=16)
def memory_of_a_process_whose_first_thread_has_ended():
    """The process shows as a zombie, without memory, while another thread of it lives."""
    def take():
        time.sleep(0.05)
        block = bytearray(1 << 30)
        stay_here = threading.Event()
        stay_here.wait()
        print(len(block))
    threading.Thread(target=take).start()
    call(60, 0)  # exit, of this thread alone


@ends("oom", disk_mib=16)
def memory_behind_a_name():
    """A process may have any name, that of a line in which its memory is told too."""
    libc.prctl(15, b"RssAnon: 0 kB", 0, 0, 0)
    block = bytearray(1 << 30)
    time.sleep(1)
    print(len(block))


@ends("exited 0", disk_mib=16)
def memory_that_is_counted_once():
    """No more than allowed: a child has its parent's memory, and shows it as its own, until it has become another program, which takes this one long."""
    block = bytearray(64 * MIB)
    try:
        subprocess.run(["none"], env={"PATH": ":".join(["/none"] * 150000)}, close_fds=False)
    except FileNotFoundError:
        block.clear()


@ends("oom", disk_mib=16)
def memory_in_sockets():
    """What was sent and is never received belongs to no process's map."""
    pairs = []
    for _ in range(20):
        if os.fork() == 0:
            continue
        break
    while True:
        try:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            stay()
        pairs.append(pair)
        for each in pair:
            each.setblocking(False)
            try:
                while True:
                    each.send(bytes(65536))
            except OSError:
                pass


@ends("exited 0")
def memory_in_pipes():
    """The kernel bounds what pipes of one user hold."""
    held, total = [], 0
    try:
        while True:
            ends_of_it = os.pipe()
            held.append(ends_of_it)
            fcntl_size = 1 << 20
            import fcntl
            try:
                fcntl.fcntl(ends_of_it[1], 1031, fcntl_size)
            except OSError:
                pass
            os.set_blocking(ends_of_it[1], False)
            try:
                while True:
                    total += os.write(ends_of_it[1], bytes(65536))
            except OSError:
                pass
    except OSError:
        pass
    if total > 100 * MIB:
        fail(total)


@ends("exited 0")
def memory_locked():
    block = mmap.mmap(-1, 16 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    at = ctypes.addressof(ctypes.c_char.from_buffer(block))
    shut(libc.mlock, ctypes.c_void_p(at), ctypes.c_size_t(16 * MIB))
    shut(libc.mlockall, 3)


@ends("disk_limit", disk_mib=16)
def memory_in_dev_shm_is_bounded_too():
    with open("/dev/shm/big", "wb") as file:
        try:
            for _ in range(100):
                file.write(bytes(MIB))
        except OSError:
            os.remove("/dev/shm/big")
    disk()


# --- files ---

@ends("disk_limit")
def disk():
    with open("/tmp/big", "wb") as file:
        while True:
            file.write(bytes(MIB))


@ends("disk_limit")
def disk_in_two_places():
    for place in ("/tmp", "out"):
        with open(place + "/half", "wb") as file:
            file.write(bytes(12 * MIB))


@ends("disk_limit")
def disk_of_a_file_without_a_name():
    with open("/tmp/big", "wb") as file:
        os.unlink("/tmp/big")
        try:
            while True:
                file.write(bytes(MIB))
        except OSError:
            time.sleep(0.2)  # the space is free again with the file: somebody must have looked
            raise


@ends("inode_limit", memory_mib=2048, wall_ms=60000)
def disk_by_empty_files():
    """Wherever they lie."""
    number = 0
    while True:
        os.close(os.open(f"/dev/shm/{number}" if number % 10 else f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
        number += 1


@ends("inode_limit", memory_mib=2048, wall_ms=60000)
def disk_by_attributes():
    """Attributes of a file take no block of a tmpfs, but they take the kernel's memory."""
    for number in range(20000):
        open(f"/tmp/{number}", "w").close()
        for each in range(16):
            try:
                os.setxattr(f"/tmp/{number}", f"user.{each}", bytes(65536))
            except OSError:
                if number == 0 and each == 0:
                    disk_by_empty_files()  # this kernel has no attributes here
                break


@ends("exited 0")
def truncate_to_terabytes():
    with open("/tmp/holes", "wb") as file:
        file.truncate(1 << 43)
    if os.stat("/tmp/holes").st_blocks > 8:
        fail("blocks")


@ends("exited 0", served="timeout", wall_ms=2000)
def deep_folders():
    """A warm command that lives in there makes removing them slow: it uses up its index's time."""
    os.chdir("/tmp")
    for _ in range(20000):
        os.mkdir("d")
        os.chdir("d")


@ends("exited 0")
def wide_folders_with_long_names():
    for number in range(5000):
        os.mkdir("/tmp/" + f"{number:05}" + "n" * 250)


# --- descriptors and other tables of the kernel ---

@ends("exited 0")
def descriptors():
    opened = []
    try:
        while len(opened) < 100000:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    if len(opened) > 1024:
        fail(len(opened))


@ends("exited 0")
def descriptors_in_flight():
    """Sent and not received, a descriptor counts for nobody's limit but the user's."""
    import array
    sent = 0
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.setblocking(False)
    try:
        while sent < 100000:
            left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 250))])
            sent += 250
    except OSError:
        pass
    if sent > 5000:
        fail(sent)


@ends("exited 0")
def message_queues():
    shut(libc.mq_open, b"/q", os.O_CREAT | os.O_RDWR, 0o600, None)
    shut(call, 240, b"q", os.O_CREAT | os.O_RDWR, 0o600, 0)
    shut(call, 241, b"q")


@ends("exited 0")
def queued_signals_and_timers():
    """One count for all processes of a user, outside too: a task gets a thousand."""
    made = 0
    event = (ctypes.c_uint32 * 16)(0, 0, 34, 0)  # SIGEV_SIGNAL
    timer = ctypes.c_int(0)
    while made < 50000 and call(222, 1, ctypes.byref(event), ctypes.byref(timer)) == 0:
        made += 1
    if made > 1100:
        fail(made)


@ends("oom", watched=REFUSED)
def memory_in_semaphores():
    for _ in range(40000):
        if libc.semget(0, 1000, 0o600) < 0:
            raise OSError(ctypes.get_errno(), "semget")


@ends("oom", watched=REFUSED)
def memory_in_message_queues():
    message = ctypes.create_string_buffer(struct.pack("l", 1) + bytes(8192))
    for _ in range(32000):
        queue = libc.msgget(0, 0o600)
        if queue < 0:
            raise OSError(ctypes.get_errno(), "msgget")
        while libc.msgsnd(queue, message, 8192, 0o4000) == 0:
            pass


@ends("exited 0")
def terminals():
    made = []
    try:
        while len(made) < 5000:
            made.append(os.openpty())
    except OSError:
        pass
    if len(made) > 1024:
        fail(len(made))


@ends("exited 0", watched=REFUSED)
def spliced_floods():
    """Pages moved between pipes and files without being copied: bounded by the pipes."""
    source, target = os.pipe(), os.pipe()
    with open("in/run.py", "rb") as file, open("/tmp/copy", "wb") as copy:
        for _ in range(2000):
            moved = call(275, file.fileno(), ctypes.byref(ctypes.c_long(0)), source[1], 0, 400, 0)        # splice
            if moved < 0:
                raise OSError(ctypes.get_errno(), "splice")
            doubled = call(276, source[0], target[1], 400, 2)                                             # tee
            os.read(source[0], 65536)
            if doubled > 0:
                call(275, target[0], 0, copy.fileno(), 0, 65536, 0)
        block = ctypes.create_string_buffer(65536)
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(block), 65536)
        for _ in range(100):
            call(278, source[1], vector, 1, 2)                                                            # vmsplice
    if moved <= 0 or os.stat("/tmp/copy").st_size == 0:
        fail("nothing moved")


# --- time ---

@ends("cpu_limit", wall_ms=900)
def processor():
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass
    while True:
        pass


@ends("cpu_limit", wall_ms=900)
def processor_by_short_lives():
    def burn():
        while True:
            if os.fork() == 0:
                until = time.process_time() + 0.03
                while time.process_time() < until:
                    pass
                os._exit(0)
            os.wait()
    for _ in range(7):
        if os.fork() == 0:
            burn()
    burn()


@ends("timeout", wall_ms=800)
def sleeps_deaf():
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    stay()


@ends("timeout", wall_ms=800)
def stops_everything():
    os.fork()
    os.kill(0, signal.SIGSTOP)


@ends("timeout", wall_ms=800)
def stops_the_first_process_too():
    os.fork()
    os.kill(1, signal.SIGSTOP)
    os.kill(-1, signal.SIGSTOP)
    stay()


@ends("timeout", served=NO_SERVER, wall_ms=800)
def closes_everything_and_sleeps():
    os.closerange(0, 1024)
    stay()


@ends("timeout", wall_ms=800)
def daemons_that_hold_the_streams():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                stay()
            os._exit(0)
    stay()


# --- words ---

@ends("output_limit")
def floods_stdout():
    while True:
        os.write(1, b"x" * 65536)


@ends("output_limit")
def floods_stderr():
    while True:
        os.write(2, b"x" * 65536)


@ends("output_limit")
def floods_both_from_many():
    for _ in range(4):
        os.fork()
    while True:
        os.write(1, b"x" * 4096)
        os.write(2, b"x" * 4096)
