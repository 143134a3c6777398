"""Files: what is shown, what can be written, and modes that give rights away."""
import ctypes
import errno
import os
import subprocess

from probe import PLACE, call, ends, fail, libc, shut


@ends("exited 0")
def only_scratch_can_be_written():
    for path in ("/x", "/usr/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/dev/x", "/dev/pts/x", "/work/x", "/work/in/x", "/proc/x", "/init", "/bin/x", "/lib/x", "in/run.py"):
        shut(open, path, "w")
        shut(open, path, "a")
        shut(os.mkdir, path + ".d")
        shut(os.symlink, "/", path + ".l")
    for path in ("/etc/passwd", "/work/out", "/tmp", "/init", "in/run.py", "/usr/bin/env"):
        shut(os.unlink, path)
        shut(os.rename, path, "/tmp/taken")
        shut(os.chmod, path, 0o777) if path != "/work/out" and path != "/tmp" else None
        shut(os.utime, path, (0, 0)) if path != "/work/out" and path != "/tmp" else None
        shut(os.truncate, path, 0)
    shut(os.link, "/usr/bin/env", "/tmp/env")


@ends("exited 0")
def every_mount_but_two_is_read_only():
    writable = set()
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        place, options = fields[4], fields[5].split(",")
        kind = line.split(" - ")[1].split()[0]
        if "nosuid" not in options:
            fail("set-user-id programs work below", place)
        if "rw" in options:
            writable.add(place)
            if "nodev" not in options and kind == "tmpfs":
                fail("devices work below", place)
    # /dev/pts holds terminals and nothing else; the few nodes of /dev can be written as devices are.
    odd = {place for place in writable if place not in ("/scratch", "/dev/shm", "/dev/pts") and not os.path.exists(place) is False and not is_device(place)}
    if odd:
        fail("writable", odd)


def is_device(path):
    import stat
    return stat.S_ISCHR(os.stat(path).st_mode)


@ends("exited 0")
def the_host_is_not_seen():
    for path in ("/sys", "/run", "/home", "/root", "/var", "/boot", "/mnt", "/media", "/srv", "/opt", "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/resolv.conf", "/etc/hosts", "/etc/ssh", "/etc/ssl/private",
                 "/dev/sda", "/dev/vda", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net", "/dev/loop-control", "/dev/mapper", "/dev/dri", "/dev/snd", "/dev/input", "/dev/mqueue", "/dev/hugepages"):
        shut(os.stat, path)
    allowed = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "proc", "dev", "scratch", "tmp", "work", "init"} | ({"warm"} if PLACE in ("forked", "served") else set())
    if set(os.listdir("/")) - allowed:
        fail(set(os.listdir("/")) - allowed)
    if set(os.listdir("/etc")) - {"passwd", "group", "ld.so.cache", "alternatives", "mime.types"}:
        fail(os.listdir("/etc"))
    if os.listdir("/work") != ["out", "in"] and os.listdir("/work") != ["in", "out"]:
        fail(os.listdir("/work"))


@ends("exited 0")
def other_tasks_and_the_home_are_not_seen():
    for name in ("HOST_HOME", "HOST_FILE"):
        shut(os.stat, os.environ[name])
        shut(os.stat, "/proc/1/root" + os.environ[name])
        shut(os.stat, "/proc/self/root" + os.environ[name])
    shut(os.stat, "/work/in/../../" + os.environ["HOST_HOME"])
    for line in open("/proc/self/mountinfo"):
        if os.environ["HOST_HOME"] + "/results" in line:
            fail(line)


@ends("exited 0")
def environment_is_what_the_task_says():
    extra = set(os.environ) - {"PATH", "HOME", "TZ", "LANG", "TNODE_INDEX", "TNODE_TASK", "LISTENER", "SOCKET", "HOST_HOME", "HOST_FILE", "CORE_LIMIT", "PLACE", "SANDBOX", "PWD", "LC_CTYPE"}
    if extra:
        fail(extra)


@ends("exited 0")
def dev_has_what_programs_need_and_no_more():
    extra = set(os.listdir("/dev")) - {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "stdin", "stdout", "stderr", "core"}
    if extra:
        fail(extra)


@ends("exited 0")
def device_nodes():
    for kind, number in ((0o020666, os.makedev(1, 3)), (0o020666, os.makedev(1, 1)), (0o060666, os.makedev(254, 0)), (0o060666, os.makedev(8, 0)), (0o020000, 0)):
        shut(os.mknod, "/tmp/d", kind, number)
        shut(call, 259, -100, b"out/d", kind, number)
    shut(os.open, "/dev/tty", os.O_RDWR)


@ends("exited 0")
def set_user_id_by_every_call():
    tmp = os.open("/tmp", os.O_RDONLY)
    for bits in (0o4755, 0o2755, 0o6777, 0o4000):
        own = os.open("/tmp/s", os.O_CREAT | os.O_WRONLY)
        shut(os.chmod, "/tmp/s", bits)
        shut(os.fchmod, own, bits)
        shut(call, 268, tmp, b"s", bits, 0)                                                # fchmodat
        shut(call, 452, tmp, b"s", bits, 0)                                                # fchmodat2
        shut(call, 2, b"/tmp/t", os.O_CREAT | os.O_WRONLY, bits)                           # open
        shut(call, 85, b"/tmp/t", bits)                                                    # creat
        shut(call, 257, -100, b"/tmp/t", os.O_CREAT | os.O_WRONLY, bits)                   # openat
        shut(call, 257, -100, b"/tmp", os.O_TMPFILE | os.O_WRONLY, bits)
        shut(call, 2, b"/tmp", os.O_TMPFILE | os.O_WRONLY, bits)
        shut(call, 437, -100, b"/tmp/u", (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, bits, 0), 24)  # openat2
        shut(call, 133, b"/tmp/t", 0o100000 | bits, 0)                                     # mknod makes plain files too
        shut(call, 259, tmp, b"t", 0o100000 | bits, 0)
        shut(call, 133, b"/tmp/t", bits, 0)
        os.close(own)
    os.umask(0)
    os.mkdir("/tmp/folder", 0o7777)
    for path in ("/tmp/s", "/tmp/folder"):
        if os.stat(path).st_mode & 0o6000:
            fail(path, oct(os.stat(path).st_mode))
    for path in ("/tmp/t", "/tmp/u"):
        shut(os.stat, path)


@ends("exited 0")
def file_capabilities():
    open("/tmp/c", "w").close()
    shut(os.setxattr, "/tmp/c", "security.capability", b"\x01\x00\x00\x02" + b"\xff" * 16)
    shut(os.setxattr, "/tmp/c", "trusted.x", b"1")


@ends("exited 0")
def owners_cannot_be_given_away():
    open("/tmp/o", "w").close()
    for uid in (0, 1, 65534, 1001):
        shut(os.chown, "/tmp/o", uid, -1)
        shut(os.chown, "/tmp/o", -1, uid)


@ends("exited 0")
def set_user_id_programs_of_the_host_give_nothing():
    for program in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/newgrp", "/usr/bin/mount", "/usr/bin/sudo", "/usr/bin/pkexec", "/usr/bin/fusermount3", "/usr/bin/ping"):
        if not os.path.exists(program):
            continue
        child = os.fork()
        if child == 0:
            os.dup2(os.open("/dev/null", os.O_RDWR), 1)
            os.dup2(1, 2)
            try:
                os.execv(program, [program, "--help"])
            except OSError:
                os._exit(0)
        os.waitpid(child, 0)
    script = "import os, sys; print(os.geteuid(), os.getuid()); sys.exit(os.geteuid() != 1000)"
    if subprocess.run(["/usr/bin/python3", "-S", "-c", script]).returncode != 0:
        fail("another user")


@ends("exited 0")
def extents_flags_and_quotas_of_files():
    import fcntl
    with open("/usr/bin/env", "rb") as file:
        for request in (0x40086602, 0x401C5820, 0xC0045877, 0xC0045878, 0x5820, 0x1277, 1, 0x4004587D):
            shut(fcntl.ioctl, file, request, bytearray(64))  # flags, freeze, thaw, discard, block maps


@ends("exited 0")
def capacities_are_the_tasks_own():
    """What a task could learn from the size of a file system is its own limit, not the farmer's disk."""
    size = os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize
    if size > 64 << 20:
        fail(size)
    try:
        os.posix_fallocate(os.open("/tmp/big", os.O_CREAT | os.O_RDWR), 0, 1 << 40)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            return
    fail("terabytes")
