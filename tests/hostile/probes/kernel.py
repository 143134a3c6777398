"""The kernel itself: its young and large interfaces, its switches in /proc, the machine's clock, name and power."""
import ctypes
import os
import stat
import struct

from probe import call, ends, fail, libc, shut

ROOM = ctypes.create_string_buffer(4096)


@ends("exited 0")
def bpf():
    for command in range(0, 37):
        shut(call, 321, command, ROOM, 128)


@ends("exited 0")
def perf_events():
    attributes = ctypes.create_string_buffer(struct.pack("IIQ", 1, 128, 0), 128)  # the CPU's clock
    shut(call, 298, attributes, 0, -1, -1, 0)
    shut(call, 298, attributes, -1, 0, -1, 0)


@ends("exited 0")
def io_uring():
    shut(call, 425, 8, ROOM)
    shut(call, 426, 3, 1, 0, 0, 0, 0)
    shut(call, 427, 3, 0, 0, 0)


@ends("exited 0")
def asynchronous_io_is_one_count_for_the_machine():
    shut(call, 206, 65536, ctypes.byref(ctypes.c_ulong(0)))


@ends("exited 0")
def keyrings():
    for ring in (-1, -2, -3, -4, -5, -8):
        shut(call, 250, 0, ring, 1)                     # keyctl: get its id
        shut(call, 248, b"user", b"k", b"v", 1, ring)   # add_key
        shut(call, 249, b"user", b"k", b"", ring)       # request_key
    shut(call, 250, 1, b"joined")


@ends("exited 0")
def userfaultfd():
    shut(call, 323, 0)
    shut(call, 323, 1)  # user mode only
    shut(os.open, "/dev/userfaultfd", os.O_RDWR)


@ends("exited 0")
def memory_that_hides_from_the_kernel():
    shut(call, 447, 0)  # memfd_secret


@ends("exited 0")
def watching_file_systems():
    shut(call, 300, 0, os.O_RDONLY)              # fanotify_init
    shut(call, 300, 0x200, os.O_RDONLY)          # what may be had without privilege
    shut(call, 301, 3, 1, 0x20, -100, b"/usr")   # fanotify_mark
    shut(call, 253)                              # inotify_init: its instances are counted over all of a user's processes
    shut(call, 294, 0)                           # inotify_init1


@ends("exited 0")
def leases_that_hold_up_the_host():
    import fcntl
    for path in ("in/run.py", "/usr/bin/env", "/tmp/own"):
        open("/tmp/own", "w").close()
        with open(path) as file:
            for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
                shut(fcntl.fcntl, file, fcntl.F_SETLEASE, kind)
    shut(lambda: fcntl.fcntl(os.open("/usr", os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_MODIFY))


@ends("exited 0")
def landlock_and_a_listener_of_its_own():
    for number in (444, 445, 446):
        shut(call, number, 0, 0, 0, 0)
    program = (ctypes.c_uint64 * 1)(6 | 0x7FFF0000 << 32)  # one instruction: allow
    filters = (ctypes.c_uint64 * 2)(1, ctypes.addressof(program))
    libc.prctl(38, 1, 0, 0, 0)
    for flags in (8, 8 | 16, 8 | 32, 8 | 1):
        shut(call, 317, 1, flags, filters)


@ends("exited 0")
def a_filter_of_its_own_opens_nothing():
    program = (ctypes.c_uint64 * 1)(6 | 0x7FFF0000 << 32)
    filters = (ctypes.c_uint64 * 2)(1, ctypes.addressof(program))
    if call(317, 1, 0, filters) != 0:
        fail("a task may filter itself")
    shut(libc.unshare, 0x10000000)
    shut(libc.ptrace, 0, 0, 0, 0)
    shut(call, 317, 0, 0, 0)  # strict mode beside a filter


@ends("exited 0")
def other_personality():
    for wish in (0x0040000, 0x0400000, 0x0008000, 0x0004, 0x100000):
        shut(libc.personality, wish)


@ends("exited 0")
def modules():
    shut(call, 175, ROOM, 64, b"")        # init_module
    shut(call, 313, 0, b"", 0)            # finit_module
    shut(call, 176, b"loop", 0x800)       # delete_module
    for path in ("/lib/modules", "/usr/lib/modules"):
        if os.path.isdir(path) and os.access(path, os.W_OK):
            fail(path)


@ends("exited 0")
def another_kernel():
    shut(call, 246, 0, 0, 0, 0)           # kexec_load
    shut(call, 320, 0, -1, 0, 0, 0)       # kexec_file_load


@ends("exited 0")
def power():
    for command in (0x00000000, 0x01234567, 0x4321FEDC, 0xD000FCE2, 0x89ABCDEF):
        shut(call, 169, 0xFEE1DEAD, 672274793, command, 0)


@ends("exited 0")
def swap_accounting_quota():
    open("/tmp/swap", "wb").write(bytes(4096))
    shut(call, 167, b"/tmp/swap", 0)
    shut(call, 168, b"/tmp/swap")
    shut(call, 163, b"/tmp/swap")
    shut(call, 179, 0x80000100, b"/dev/vda", 0, ROOM)
    shut(call, 443, 0, 0x80000100, 0, ROOM)


@ends("exited 0")
def clocks():
    import time
    before = time.clock_gettime(time.CLOCK_REALTIME)
    for clock in range(0, 12):
        shut(time.clock_settime, clock, 1.0)
    shut(call, 164, (ctypes.c_long * 2)(1, 0), 0)                # settimeofday
    shut(call, 159, (ctypes.c_long * 26)(0x4000))                # adjtimex
    shut(call, 305, 0, (ctypes.c_long * 26)(0x0100, 1))          # clock_adjtime
    if time.clock_gettime(time.CLOCK_REALTIME) < before - 5:
        fail("the clock was set")


@ends("exited 0")
def names_of_the_machine():
    shut(call, 170, b"mine", 4)
    shut(call, 171, b"mine", 4)
    if os.uname().nodename != "tnode":
        fail(os.uname().nodename)


@ends("exited 0")
def ports_of_the_processor():
    shut(call, 172, 3)              # iopl
    shut(call, 173, 0x70, 2, 1)     # ioperm
    shut(call, 154, 1, ROOM, 16)    # modify_ldt
    shut(os.open, "/dev/cpu/0/msr", os.O_RDWR)
    shut(os.open, "/dev/port", os.O_RDWR)


@ends("exited 0")
def kernel_log():
    for command in (2, 3, 4, 5, 8, 10):
        shut(call, 103, command, ROOM, 4096)
    for path in ("/dev/kmsg", "/proc/kmsg"):
        shut(os.open, path, os.O_RDONLY)
        shut(os.open, path, os.O_WRONLY)


@ends("exited 0")
def file_handles():
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 1) + bytes(128))
    mount = ctypes.c_int(0)
    shut(call, 303, -100, b"/usr", handle, ctypes.byref(mount), 0)
    shut(call, 304, os.open("/usr", os.O_RDONLY), handle, 0)


@ends("exited 0")
def memory_policies_of_the_machine():
    shut(call, 237, 0, 0, 0, 0, 0, 0)
    shut(call, 238, 0, 0, 0)
    shut(call, 239, 0, 0, 0, 0, 0)
    shut(call, 450, 0, 0, 0, 0)


@ends("exited 0")
def nothing_below_proc_can_be_written():
    """Whoever owns the file: not one may be opened, but for the process's own."""
    for folder, folders, names in os.walk("/proc"):
        if folder == "/proc":
            folders[:] = [each for each in folders if not each.isdigit() and each not in ("self", "thread-self")]
        for name in names:
            path = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                shut(os.open, path, os.O_WRONLY)


@ends("exited 0")
def switches_that_run_programs_as_root():
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd", "/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger",
                 "/proc/sys/kernel/yama/ptrace_scope", "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/drop_caches", "/proc/sys/user/max_user_namespaces"):
        for mode in (os.O_WRONLY, os.O_RDWR):
            shut(os.open, path, mode)
    shut(os.chmod, "/proc/sys/kernel/core_pattern", 0o666)


@ends("exited 0")
def kernel_memory_and_addresses():
    for path in ("/proc/kcore", "/proc/vmallocinfo", "/proc/slabinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/timer_list", "/proc/sched_debug", "/proc/1/stack", "/proc/self/stack", "/proc/pagetypeinfo"):
        shut(lambda: open(path, "rb").read(1))
    if os.path.exists("/proc/kallsyms"):
        addresses = {line.split()[0].strip("0") for line in open("/proc/kallsyms")}
        if addresses - {"", "(null)"}:
            fail("/proc/kallsyms has addresses")
    with open("/proc/self/pagemap", "rb") as file:
        file.seek(ctypes.addressof(ROOM) // 4096 * 8)
        if struct.unpack("Q", file.read(8))[0] & ((1 << 55) - 1):
            fail("physical addresses")


@ends("exited 0")
def keys_of_the_user_are_not_listed():
    """The farmer's user has one, outside."""
    for path in ("/proc/keys", "/proc/key-users"):
        shut(os.open, path, os.O_RDONLY)


@ends("exited 0")
def every_refused_call():
    """The filter's whole list as the test wrote it down: number, six arguments, the answer, name. Each is really made."""
    wrong = []
    for line in open("in/refused_calls"):
        *numbers, expected, name = line.split()
        number, *arguments = map(int, numbers)
        answer = call(number, *arguments)
        if (ctypes.get_errno() if answer == -1 else 0) != int(expected) or (expected == "0" and answer != 0):
            wrong.append((name, arguments, answer, ctypes.get_errno()))
    if wrong:
        fail(wrong)


@ends("exited 159")
def calls_of_32_bits():
    """By their interrupt, as a 32-bit program would: another numbering, which no list of calls fits."""
    import mmap
    code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


@ends("exited 159")
def calls_of_x32():
    call(0x40000000 + 39)  # getpid


@ends("exited 159")
def calls_of_x32_by_their_own_numbers():
    call(0x40000000 + 521)  # ptrace has a number of its own there
