"""What all probes share. A probe is a function that tries one thing a task must not get, with the end it must come to beside it."""
import ctypes
import os
import sys

OPEN = 42  # the exit status that says: there is a way
PLACE = os.environ.get("PLACE", "cold")  # one of PLACES
NO_SERVER = "exited 126"  # the warm command is gone, or makes no sense
PLACES = ("cold", "warm", "forked", "served")
PROBES = {}

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def ends(expected, watched=None, forked=None, served=None, **terms):
    """How the probe must end. `watched`: where no control group limits memory and processes, so it is refused earlier or seen later. `forked` and
    `served`: as a fork of tnode's warm command, and as a warm command itself, where that ends otherwise.
    Terms change the limits it runs with: wall_ms, cpus, memory_mib, disk_mib, output_files, processes."""
    def enter(program):
        watched_or_not = {"cold": (expected, watched or expected)}
        for place, other in (("warm", None), ("forked", forked), ("served", served)):
            watched_or_not[place] = (other, other) if other else watched_or_not["cold"]
        PROBES[f"{program.__module__}.{program.__name__}"] = (watched_or_not, terms)
        return program
    return enter


def fail(*what):
    print("open:", *what)
    sys.exit(OPEN)


def shut(attempt, *arguments):
    """The attempt must raise, or be -1 as a C call's answer."""
    try:
        answer = attempt(*arguments)
    except (OSError, ValueError):
        return
    if not (isinstance(answer, int) and answer == -1):
        fail(attempt, arguments, answer)


def call(number, *arguments):
    """A system call by its number on x86-64, past everything a library could refuse by itself."""
    wide = [each if not isinstance(each, int) else ctypes.c_long(each) for each in arguments]
    return libc.syscall(ctypes.c_long(number), *wide)


def word_of(pid, name):
    """The words behind "name:" in a process's status."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name + ":"):
            return line.split()[1:]
    return []
