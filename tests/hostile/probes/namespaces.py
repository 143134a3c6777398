"""New namespaces, other ones, and mounts: by every interface the kernel has had for them."""
import ctypes
import os
import signal

from probe import OPEN, call, ends, fail, libc, shut

NEW = {"time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}


@ends("exited 0")
def unshare_each():
    for flag in NEW.values():
        shut(libc.unshare, flag)
    shut(libc.unshare, NEW["user"] | NEW["mount"])


@ends("exited 0")
def clone_each():
    for name, flag in NEW.items():
        if name == "time":
            continue  # its bit is a part of clone's signal number
        answer = call(56, flag | signal.SIGCHLD, 0, 0, 0, 0)
        if answer == 0:
            os._exit(OPEN)
        shut(lambda: answer)


@ends("exited 0")
def clone3_hides_its_flags_in_memory():
    for flag in NEW.values():
        arguments = (ctypes.c_uint64 * 11)(flag, 0, 0, 0, signal.SIGCHLD)
        answer = call(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
        if answer == 0:
            os._exit(OPEN)
        shut(lambda: answer)


@ends("exited 0")
def setns_to_its_own_and_to_the_first_process():
    for name in os.listdir("/proc/self/ns"):
        shut(lambda: libc.setns(os.open(f"/proc/self/ns/{name}", os.O_RDONLY), 0))
        shut(lambda: libc.setns(os.open(f"/proc/1/ns/{name}", os.O_RDONLY), 0))
    shut(lambda: libc.setns(os.pidfd_open(1), NEW["mount"]))


@ends("exited 0")
def namespace_ioctls_lead_to_no_parent():
    import fcntl
    for name in ("user", "pid"):
        with open(f"/proc/self/ns/{name}") as own:
            shut(fcntl.ioctl, own, 0xB701)  # NS_GET_USERNS
            shut(fcntl.ioctl, own, 0xB702)  # NS_GET_PARENT


@ends("exited 0")
def user_maps_cannot_be_written():
    for name in ("uid_map", "gid_map", "setgroups", "projid_map"):
        shut(os.open, f"/proc/self/{name}", os.O_WRONLY)


@ends("exited 0")
def mount_in_every_old_way():
    for source, target, kind, flags in ((b"none", b"/tmp", b"tmpfs", 0), (b"proc", b"/tmp", b"proc", 0), (b"/", b"/tmp", None, 4096), (b"none", b"/", None, 0x44000), (b"none", b"/work/in", None, 32 | 4096),
                                        (b"none", b"/proc", None, 32), (b"overlay", b"/tmp", b"overlay", 0), (b"sysfs", b"/tmp", b"sysfs", 0), (b"cgroup2", b"/tmp", b"cgroup2", 0)):
        shut(libc.mount, source, target, kind, flags, None)


@ends("exited 0")
def unmount_what_hides_something():
    for path in (b"/work/in", b"/proc", b"/dev", b"/dev/shm", b"/scratch", b"/usr", b"/"):
        for flags in (0, 1, 2, 8):
            shut(libc.umount2, path, flags)


@ends("exited 0")
def mount_by_the_new_calls():
    at_cwd = -100
    shut(call, 428, at_cwd, b"/", 1)                       # open_tree, a clone
    shut(call, 428, at_cwd, b"/usr", 0)
    shut(call, 429, at_cwd, b"/usr", at_cwd, b"/tmp", 0)   # move_mount
    shut(call, 430, b"tmpfs", 0)                           # fsopen
    shut(call, 431, 0, 6, 0, 0, 0)                         # fsconfig
    shut(call, 432, 0, 0, 0)                               # fsmount
    shut(call, 433, at_cwd, b"/proc", 0)                   # fspick
    shut(call, 442, at_cwd, b"/work/in", 0, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32)  # mount_setattr: no longer read-only
    shut(call, 467, at_cwd, b"/", 1, (ctypes.c_uint64 * 4)(), 32)                   # open_tree_attr


@ends("exited 0")
def mounts_are_not_told():
    request = (ctypes.c_uint64 * 4)(32, 0xFFFFFFFFFFFFFFFF, 0, 0)
    shut(call, 457, request, ctypes.create_string_buffer(4096), 4096, 0)  # statmount
    shut(call, 458, request, (ctypes.c_uint64 * 64)(), 64, 0)             # listmount


@ends("exited 0")
def pivot_root_and_chroot():
    os.makedirs("/tmp/new/old")
    shut(call, 155, b"/tmp/new", b"/tmp/new/old")
    shut(call, 155, b".", b".")
    shut(os.chroot, "/tmp")
    shut(os.chroot, "/")


@ends("exited 0")
def dots_end_at_the_sandboxs_root():
    os.chdir("/tmp")
    for _ in range(64):
        os.chdir("..")
    if sorted(os.listdir(".")) != sorted(os.listdir("/")) or os.path.exists("home"):
        fail(os.listdir("."))
