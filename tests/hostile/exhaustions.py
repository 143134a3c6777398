"""Ways to use more than a task was given, one function each, run inside as `python3 in/exhaustions.py NAME`."""
import ctypes
import os
import signal
import socket
import sys
import threading
import time

MIB = 1 << 20


def stay():
    """Until somebody ends it."""
    while True:
        signal.pause()


def forks():
    while True:
        try:
            os.fork() or stay()
        except OSError:
            pass


def threads():
    while True:
        try:
            threading.Thread(target=stay, daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)


def memory():
    block = bytearray(1 << 30)
    print(len(block))


def memory_in_children():
    for _ in range(10):
        if os.fork() == 0:
            block = bytearray(40 * MIB)
            stay()
    os.wait()


def memory_shared():
    import mmap
    block = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, 4096):
        block[at] = 1


def memory_nobody_maps():
    for _ in range(20):
        file = os.memfd_create("hidden")
        for _ in range(40):
            os.write(file, bytes(MIB))


def memory_system_v():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(20):
        segment = libc.shmget(0, 40 * MIB, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        at = libc.shmat(segment, None, 0)
        ctypes.memset(at, 1, 40 * MIB)
        libc.shmdt(ctypes.c_void_p(at))


def memory_of_a_child_that_nobody_misses():
    child = os.fork()
    if child == 0:
        block = bytearray(1 << 30)
        os._exit(0)
    os.waitpid(child, 0)
    stay()


def disk():
    with open("/tmp/big", "wb") as file:
        while True:
            file.write(bytes(MIB))


def disk_in_two_places():
    for place in ("/tmp", "out"):
        with open(place + "/half", "wb") as file:
            file.write(bytes(12 * MIB))


def disk_by_empty_files():
    number = 0
    while True:
        open(f"/tmp/{number}", "w").close()
        number += 1


def processor():
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass
    while True:
        pass


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


def floods_stdout():
    while True:
        os.write(1, b"x" * 65536)


def floods_stderr():
    while True:
        os.write(2, b"x" * 65536)


def sleeps_deaf():
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    stay()


def stops_everything():
    os.fork()
    os.kill(0, signal.SIGSTOP)


def closes_everything_and_sleeps():
    os.closerange(0, 1024)
    stay()


def deep_folders():
    os.chdir("/tmp")
    for _ in range(20000):
        os.mkdir("d")
        os.chdir("d")


def output_deep():
    os.makedirs("out/" + "/".join("d" * 20))


def output_link():
    os.symlink("/etc/passwd", "out/link")


def output_replaced_by_link():
    os.rmdir(os.path.realpath("out"))
    os.symlink("/usr", "/scratch/out")


def output_pipe():
    os.mkfifo("out/pipe")


def output_socket():
    socket.socket(socket.AF_UNIX).bind("out/socket")


def output_giant_with_holes():
    with open("out/holes", "wb") as file:
        file.truncate(1 << 40)


def output_many():
    for number in range(300):
        open(f"out/{number}", "w").close()


def output_hidden_folder():
    os.mkdir("out/closed")
    open("out/closed/file", "w").close()
    os.chmod("out/closed/file", 0)
    os.chmod("out/closed", 0)
    os.chmod("out", 0)


globals()[sys.argv[1]]()
