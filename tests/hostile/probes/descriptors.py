"""Descriptors that came along, and terminals to type into."""
import ctypes
import fcntl
import os
import struct

from probe import PLACE, call, ends, fail, shut


@ends("exited 0")
def nothing_was_inherited():
    """Before this the farmer's process opened a folder, a file, a network socket, at low and high numbers, without close-on-exec."""
    for number in range(4 if PLACE == "served" else 3, 4096):  # 3: the warm command's requests
        shut(os.fstat, number)
    if os.readlink("/proc/self/fd/0") != "/dev/null":
        fail(os.readlink("/proc/self/fd/0"))
    for number in (1, 2):
        if not os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
            fail(os.readlink(f"/proc/self/fd/{number}"))


@ends("exited 0")
def standard_streams_are_no_way():
    for number in (0, 1, 2):
        if os.isatty(number):
            fail(number, "is a terminal")
        for request in (0x5401, 0x5412, 0x540E, 0x5413, 0x541C, 0x8901, 0x8902):
            shut(fcntl.ioctl, number, request, bytearray(8))
    shut(os.read, 1, 1)
    shut(os.open, "/proc/self/fd/0", os.O_RDWR | os.O_CREAT | os.O_EXCL)


@ends("exited 0")
def types_into_a_terminal():
    """The farmer was started at a terminal; whether the task typed into it is looked at outside."""
    shut(os.open, "/dev/tty", os.O_RDWR)
    if [name for name in os.listdir("/dev/pts") if name != "ptmx"]:
        fail(os.listdir("/dev/pts"))
    leader, follower = os.openpty()
    for number in (follower, leader):
        shut(fcntl.ioctl, number, 0x5412, b"x")                     # TIOCSTI
        shut(call, 16, number, ctypes.c_uint64(0x100005412), b"x")  # the kernel looks at the low half only
        shut(fcntl.ioctl, number, 0x541C, b"\x03")                  # TIOCLINUX: paste
        shut(call, 16, number, ctypes.c_uint64(0xFFFFFFFF0000541C), b"\x03")
        shut(fcntl.ioctl, number, 0x5423, bytearray(struct.pack("i", 21)))  # TIOCSETD: the modem multiplexer's line discipline
        shut(fcntl.ioctl, number, 0x541D, 0)                                # TIOCCONS
    os.setsid() if os.getsid(0) != os.getpid() else None
    fcntl.ioctl(follower, 0x540E, 0)  # its own terminal it may have
    shut(fcntl.ioctl, follower, 0x5412, b"x")
    shut(fcntl.ioctl, os.open("/dev/tty", os.O_RDWR), 0x5412, b"x")


@ends("exited 0")
def terminals_of_the_host_by_number():
    for number in range(16):
        shut(os.open, f"/dev/pts/{number}", os.O_RDWR)
    for path in ("/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0", "/dev/vcs", "/dev/vcsa"):
        shut(os.open, path, os.O_RDWR)
