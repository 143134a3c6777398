#!/usr/bin/env python3
"""How much of the machine sandboxes take under `farm --cpus`: units that spin on every CPU, and the CPU time of the machine that went to them.

Usage: cpu_share.py PATH/TO/tnode [SHARE…]   (default: 25% 50% 100%)
Prints one line a share: what was asked for, how it is held, what was used. Other load of the machine makes the figures smaller, never larger.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

SECONDS = 6
TASK = """tnode: 1
name: spin
command: [sh, -c, 'for i in 1 2 3 4; do while :; do :; done & done; wait']
array: {range: 0-7}
resources: {cpus: 1, memory: 64MiB, disk: 16MiB}
timeouts: {run: 1h}
quorum: {agree: 1}
"""


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def ticks(pid):
    """CPU time of a process and all below it, in the kernel's ticks."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) + sum(ticks(child) for child in children(pid))
    except OSError:
        return 0


def event(path, name, patience=30):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for line in open(path):
            if line.endswith("\n") and json.loads(line).get("event") == name:
                return json.loads(line)
        time.sleep(0.05)
    sys.exit(f"never heard '{name}'")


def measure(tnode, share, folder):
    log = os.path.join(folder, "farmer.jsonl")
    with open(log, "w") as out:
        farmer = subprocess.Popen([tnode, "--home", os.path.join(folder, "farmer"), "--listen", "127.0.0.1:0", "-o", "jsonl", "farm", "--accept", "anyone", "--cpus", share], stdout=out, stderr=subprocess.DEVNULL)
    requester = None
    try:
        farming = event(log, "farming")
        task = os.path.join(folder, "task.yaml")
        with open(task, "w") as file:
            file.write(TASK)
        requester = subprocess.Popen([tnode, "--home", os.path.join(folder, "requester"), "--listen", "127.0.0.1:0", "--peer", farming["listen"], "seed", task],
                                     cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        runner = children(farmer.pid)[0]
        while ticks(runner) < 50:
            time.sleep(0.05)
        before, started = ticks(runner), time.monotonic()
        time.sleep(SECONDS)
        used = (ticks(runner) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - started) / os.cpu_count()
        print(f"--cpus {share:6} {farming['cpu_mode']:9} slots {farming['slots']}   used {used:6.1%} of {os.cpu_count()} CPUs")
    finally:
        for process in (requester, farmer):
            if process:
                process.send_signal(signal.SIGTERM)
                process.wait()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or ["25%", "50%", "100%"]:
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o755)
            measure(os.path.abspath(sys.argv[1]), wanted, place)
