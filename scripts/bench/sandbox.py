#!/usr/bin/env python3
"""Starts per second, one at a time, side by side: the ways take turns in short rounds, so that what else the machine does meets all alike.
Medians show the machine as it is; the best rounds, which are what the goals are held against, show it undisturbed.

  of `true`      a plain posix_spawn; bubblewrap by itself with the arguments of a task's sandbox; crun, where it is installed; tnode cold (a new
                 sandbox each time) and warm (units of one task, indices of one unit)
  of `python3`   a plain posix_spawn; tnode warm without and with `warm: python3`; of nothing, and of a script with three imports

usage: scripts/bench/sandbox.py [BUILD_FOLDER] [ROUNDS]
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 60
ROUND_SECONDS = 0.1  # about, for each way
NICENESS = 10  # of every sandbox, so that the machine's owner comes first; here of all ways alike


class Driver:
    """tests/bench/sandbox_starts.cpp: starts a program as often as told, in the way told."""

    def __init__(self, build, *command):
        self.process = subprocess.Popen([os.path.join(build, "tests", "bench_sandbox"), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def way(self, name):
        def run(count):
            self.process.stdin.write(f"{name} {count}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer:
                sys.exit(f"bench_sandbox failed at '{name}'")
            return float(answer)

        return run

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Crun:
    """An OCI runtime with the same view of the host: /usr read-only, everything unshared."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(f"{folder}/rootfs")
        subprocess.run(["crun", "spec"], cwd=folder, check=True)
        with open(f"{folder}/config.json") as file:
            config = json.load(file)
        config["process"].update(args=["/usr/bin/true"], terminal=False)
        config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
        for name in ("usr", "lib", "lib64", "bin"):
            config["mounts"].append({"destination": f"/{name}", "source": os.path.realpath(f"/{name}"), "type": "bind", "options": ["rbind", "ro"]})
        with open(f"{folder}/config.json", "w") as file:
            json.dump(config, file)

    def run(self, count):
        started = time.monotonic()
        for number in range(count):
            subprocess.run(["crun", "--cgroup-manager=disabled", "run", f"tnode-bench-{os.getpid()}-{number}"], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return time.monotonic() - started


def compare(ways, rounds):
    """Rates of each way, one a round."""
    counts = {}
    for name, run in ways:
        run(2)  # what is only done once
        counts[name] = max(3, int(5 * ROUND_SECONDS / max(run(5), 1e-4)))
    rates = {name: [] for name, _ in ways}
    for _ in range(rounds):
        for name, run in ways:
            rates[name].append(counts[name] / run(counts[name]))
    return rates


def ratio(rates, name, to):
    return max(rates[name]) / max(rates[to])


def show(rates, base):
    for name, all_rates in rates.items():
        best = max(all_rates)
        print(f"  {name:34} {statistics.median(all_rates):7.0f}/s   best {best:7.0f}/s  {1e6 / best:7.0f} µs  {ratio(rates, name, base):6.2f} x {base}")


def goal(text, value, good):
    print(f"  {'reached' if good else 'MISSED '}  {text}: {value:.2f}")
    return good


def main(build, rounds):
    os.nice(NICENESS)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="tnode-bench-") as folder:
        driver = Driver(build, "true")
        ways = [("posix_spawn", driver.way("spawn")), ("bubblewrap", driver.way("bubblewrap")), ("tnode cold", driver.way("cold"))]
        crun = "not installed"
        if shutil.which("crun"):
            try:
                way = Crun(f"{folder}/crun")
                way.run(1)
                ways.append(("crun", way.run))
                crun = ""
            except subprocess.CalledProcessError as error:
                crun = "does not run here: " + (error.stderr or b"").decode(errors="replace").strip()[-200:]
        ways += [("tnode warm, units of a task", driver.way("units")), ("tnode warm, indices of a unit", driver.way("indices"))]
        print("true:")
        rates = compare(ways, rounds)
        show(rates, "posix_spawn")
        if crun:
            print(f"  {'crun':34} {crun}")
        driver.close()
    driver = Driver(build, "python3", "-c", "pass")
    print("python3 -c pass:")
    show(compare([("posix_spawn", driver.way("spawn")), ("tnode warm, indices of a unit", driver.way("indices")), ("warm: python3, units of a task", driver.way("forked-units")),
                  ("warm: python3, indices of a unit", driver.way("forked"))], rounds), "posix_spawn")
    driver.close()
    driver = Driver(build, "python3", "-c", "import argparse, json, random")
    print("python3 -c 'import argparse, json, random':")
    pythons = compare([("posix_spawn", driver.way("spawn")), ("tnode warm, indices of a unit", driver.way("indices")), ("warm: python3, indices of a unit", driver.way("forked")),
                       ("warm: {python3: [these]}, indices", driver.way("forked-with-modules"))], rounds)
    show(pythons, "posix_spawn")
    driver.close()
    print("goals:")
    reached = [goal("time of a cold start, at most 1.3 x bubblewrap", 1 / ratio(rates, "tnode cold", "bubblewrap"), ratio(rates, "tnode cold", "bubblewrap") >= 1 / 1.3),
               goal("rate of indices, at least 0.8 x posix_spawn", ratio(rates, "tnode warm, indices of a unit", "posix_spawn"), ratio(rates, "tnode warm, indices of a unit", "posix_spawn") >= 0.8),
               goal("rate of warm python with its imports, at least 10 x fresh", ratio(pythons, "warm: {python3: [these]}, indices", "posix_spawn"), ratio(pythons, "warm: {python3: [these]}, indices", "posix_spawn") >= 10)]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
    sys.exit(main(folder, int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS))
