"""Programs that a hostile task might be; each function is one. Executed in sandboxes only, as `python3 in/attacks.py NAME`."""
import errno
import os
import socket
import sys
import time


def forks_without_end():
    while True:
        try:
            os.fork()
        except OSError:
            pass


def forks_and_goes_on_in_the_child():
    """Few processes at any time, but always a younger one: a killer that looks once would miss it."""
    while True:
        if os.fork():
            os._exit(0)


def allocates_alone():
    hoard = []
    while True:
        hoard.append(bytearray(b"x") * (8 << 20))


def allocates_in_many_children():
    for _ in range(64):
        if os.fork() == 0:
            hoard = bytearray(b"x") * (4 << 20)
            time.sleep(60)
            os._exit(len(hoard) & 1)
    time.sleep(60)


def fills(path):
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * (1 << 20))


def fills_tmp():
    fills("/tmp/big")


def fills_out():
    fills("out/big")


def fills_out_and_keeps_trying():
    while True:
        try:
            fills("out/big")
        except OSError:
            pass


def fills_shared_memory():
    fills("/dev/shm/big")


def leaves_a_sparse_giant():
    """Takes no room here; streamed out it would take a terabyte there."""
    with open("out/giant", "wb") as file:
        file.truncate(1 << 40)


def leaves_several_sparse_files():
    """Each within the disk limit by its length, together far beyond it."""
    for i in range(48):
        with open(f"out/{i}", "wb") as file:
            file.truncate(15 << 20)


def leaves_one_file_by_many_names():
    with open("out/0", "wb") as file:
        file.write(b"x" * (4 << 20))
    for i in range(1, 200):
        os.link("out/0", f"out/{i}")


def leaves_too_many_files():
    for i in range(10_001):
        os.close(os.open(f"out/{i}", os.O_CREAT | os.O_WRONLY))


def leaves_deep_folders():
    for _ in range(40):
        os.mkdir("out/d") if os.path.basename(os.getcwd()) == "work" else os.mkdir("d")
        os.chdir("out/d" if os.path.basename(os.getcwd()) == "work" else "d")
    open("bottom", "w").close()


def floods_stdout():
    while True:
        os.write(1, b"y\n" * 4096)


def floods_stderr():
    while True:
        os.write(2, b"y\n" * 4096)


def sleeps():
    time.sleep(3600)


def spins():
    while True:
        pass


def stops_itself():
    os.kill(os.getpid(), 19)


def sleeps_deaf():
    import signal
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    while True:
        time.sleep(3600)


def opens_sockets():
    """Ends well only when any socket to the outside can be had."""
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
        try:
            socket.socket(family, socket.SOCK_DGRAM)
            return
        except OSError as error:
            print("socket:", family.name, errno.errorcode[error.errno], file=sys.stderr)
    sys.exit(21)


def writes_outside():
    """Ends well only when something outside out/ and /tmp can be written, made, or removed."""
    written = []
    for path in ("/x", "/work/x", "in/x", "in/attacks.py", "../x", "/usr/x", "/usr/bin/env", "/etc/passwd", "/etc/x", "/init", "/dev/x",
                 "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/1/mem", "/proc/1/oom_score_adj", "/sys/x", "/run/x", "/root/x", "/home/x",
                 "/var/tmp/x", "/mnt/x", "/dev/kmsg", "/dev/mem", "/dev/sda"):
        for mode in ("r+b", "wb"):
            try:
                with open(path, mode) as file:
                    file.write(b"x")
                written.append(path)
            except OSError:
                pass
    for remove in ("/work/in", "/work/in/attacks.py", "/init", "/etc/passwd"):
        try:
            os.rename(remove, "/tmp/moved")
            written.append(remove)
        except OSError:
            pass
    if written:
        print("written:", written, file=sys.stderr)
        return
    print("nothing outside could be written", file=sys.stderr)
    sys.exit(22)


def looks_around():
    """Ends well only when it sees another's secrets: keys, environments, processes, or descriptors left open."""
    seen = []
    for path in ("/etc/shadow", "/root", "/home", "/var", "/sys/kernel", "/run", "/proc/1/environ", "/proc/1/fd", "/proc/kcore", "/mnt", "/media", "/srv"):
        try:
            found = os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
            if found:
                seen.append(path)
        except OSError:
            pass
    seen += [f"process {pid}" for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
    for fd in range(3, 1024):
        try:
            seen.append(f"descriptor {fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            pass
    if os.getuid() == 0 or os.environ.get("HOME", "").startswith("/root"):
        seen.append("being root")
    if seen:
        print("seen:", seen, file=sys.stderr)
        return
    print("nothing to be seen", file=sys.stderr)
    sys.exit(23)


def leaves_a_symlink():
    os.symlink("/etc/passwd", "out/innocent")


def leaves_a_link_to_a_folder():
    os.symlink("/", "out/root")


def leaves_a_pipe():
    os.mkfifo("out/pipe")


def leaves_a_socket():
    socket.socket(socket.AF_UNIX).bind("out/socket")


def leaves_a_device():
    """Ends well only when it can."""
    try:
        os.mknod("out/null", 0o020666, os.makedev(1, 3))
    except PermissionError:
        print("no devices here", file=sys.stderr)
        sys.exit(24)


def leaves_a_setuid_file():
    """Ends well only when it can."""
    with open("out/root-shell", "wb") as file:
        file.write(b"#!/bin/sh\n")
    try:
        os.chmod("out/root-shell", 0o4755)
    except PermissionError:
        print("no set-user-id files here", file=sys.stderr)
        sys.exit(25)


def leaves_a_name_with_newline():
    open("out/one\ntwo", "w").close()


def leaves_a_name_that_is_no_text():
    open(b"out/\xff\xfe", "w").close()


def leaves_a_backslash():
    open("out/..\\..\\evil", "w").close()


def leaves_names_that_differ_in_case():
    open("out/readme", "w").close()
    open("out/README", "w").close()


def leaves_a_closed_folder():
    """Not hostile enough: its owner can open it again."""
    os.mkdir("out/closed")
    with open("out/closed/file", "w") as file:
        file.write("inside\n")
    os.chmod("out/closed/file", 0)
    os.chmod("out/closed", 0)
    os.chmod("out", 0)


def kills_everyone():
    os.kill(1, 9)
    try:
        os.kill(-1, 9)
    except ProcessLookupError:
        pass  # nobody else is there
    with open("out/alone", "w") as file:
        file.write("still here\n")


def leaves_daemons():
    for _ in range(8):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            for fd in range(3):
                os.close(fd)
            time.sleep(3600)
            os._exit(0)
    with open("out/done", "w") as file:
        file.write("left some behind\n")


def leaves_daemons_that_hold_stdout():
    if os.fork() == 0:
        os.setsid()
        time.sleep(3600)
        os._exit(0)
    with open("out/done", "w") as file:
        file.write("left one behind\n")


globals()[sys.argv[1]]()
