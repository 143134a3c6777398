"""One index that leaves everything it can behind, and the next one that looks for it. `python3 in/poison.py leave|look`."""
import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
PLACES = ("/tmp", "out", "/dev/shm", "/scratch")


def stay():
    """Until somebody ends it."""
    while True:
        signal.pause()


def leave():
    for place in PLACES:
        try:
            os.makedirs(f"{place}/folder/{'deep/' * (3 if place == 'out' else 50)}", exist_ok=True)
            open(f"{place}/file", "w").close()
            os.chmod(f"{place}/folder", 0)
        except OSError:
            pass
    os.remove("out/file")
    os.chmod("out/folder", 0o700)
    os.chmod("/scratch", 0)
    libc.shmget(77, 4096, 0o1666)
    libc.semget(77, 1, 0o1666)
    libc.msgget(77, 0o1666)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 64)
                stay()
            os._exit(0)


def look():
    found = [place for place in ("/tmp", "out", "/dev/shm") if os.listdir(place)]
    found += [name for name in os.listdir("/scratch") if name not in ("out", "tmp")]
    found += [what for what, get in (("shm", lambda: libc.shmget(77, 4096, 0)), ("sem", lambda: libc.semget(77, 1, 0)), ("msg", lambda: libc.msgget(77, 0))) if get() >= 0]
    found += [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
    if found:
        print("left behind:", found)
        sys.exit(42)


globals()[sys.argv[1]]()
