#!/usr/bin/env python3
"""Starts per second, one at a time, side by side: the ways take turns in short rounds, so that what else the machine does meets all alike.
Medians show the machine as it is; the best rounds, which are what the goals are held against, show it undisturbed. CPU time is that of all
processes that a start takes, the kernel's work for them included; it changes little with what else the machine does.

  of `true`      a plain posix_spawn; bubblewrap by itself with every argument of a task's sandbox (namespaces, mounts, filter, user), the program
                 in place of the first process; crun, which needs root here, with neither filter nor user namespace; tnode cold (a sandbox for
                 each) and warm (units of one task, indices of one unit)
  of `python3`   a plain posix_spawn; os.fork in an interpreter without any sandbox; tnode warm without and with `warm: python3`; of nothing, and of
                 three imports

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


class Meter:
    """CPU time of everything started in a control group of its own; tells nothing where there is none to be had."""

    def __init__(self, name):
        self.group = None
        mounts = [line.split(" - ") for line in open("/proc/self/mountinfo")]
        own = dict(line.strip().split(":", 2)[1:] for line in open("/proc/self/cgroup"))
        for left, right in mounts:
            kind, _, options = right.split()[:3]
            root, place = left.split()[3:5]
            controllers = next((names for names in own if "cpuacct" in names.split(",")), None) if kind == "cgroup" and "cpuacct" in options.split(",") else "" if kind == "cgroup2" else None
            if controllers not in own or (self.group and kind == "cgroup2"):
                continue
            path = own[controllers]
            group = place + (path[len(root):] if root != "/" and path.startswith(root) else path).rstrip("/") + f"/tnode-bench-{os.getpid()}-{name}"
            try:
                os.mkdir(group)
            except OSError:
                continue
            self.group, self.file = group, group + ("/cpuacct.usage" if kind == "cgroup" else "/cpu.stat")

    def enter(self):
        if self.group:
            with open(self.group + "/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))

    def seconds(self):
        if not self.group:
            return 0.0
        with open(self.file) as file:
            text = file.read()
        return int(text.split()[1]) / 1e6 if text.startswith("usage_usec") else int(text) / 1e9

    def remove(self):
        for _ in range(100 if self.group else 0):
            try:
                return os.rmdir(self.group)
            except OSError:
                time.sleep(0.02)


class Driver:
    """A process that starts a program as often as told, in the way told, and answers with the seconds it took."""

    def __init__(self, *command):
        self.meter = Meter(str(id(self)))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=self.meter.enter)

    def way(self, name):
        def run(count):
            before = self.meter.seconds()
            try:
                self.process.stdin.write(f"{name} {count}\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                raise RuntimeError(f"'{name}' failed")
            return float(answer), self.meter.seconds() - before

        return run

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.meter.remove()


def answer_orders(start):
    """What a driver does."""
    for line in sys.stdin:
        count = int(line.split()[1])
        began = time.monotonic()
        for _ in range(count):
            start()
        print(f"{time.monotonic() - began:.6f}", flush=True)


def fork_forever(code):
    """A driver: a child of this interpreter for each, in no sandbox and with no tidying up."""
    import gc

    for line in code.split(";"):
        exec(line)
    program = compile(code, "<string>", "exec")
    gc.freeze()

    def start():
        child = os.fork()
        if not child:
            exec(program, {"__name__": "__main__"})
            os._exit(0)
        os.waitpid(child, 0)

    answer_orders(start)


def crun_forever(folder):
    """A driver: an OCI runtime with the same view of the host, /usr read-only, everything unshared."""
    os.makedirs(f"{folder}/rootfs", exist_ok=True)
    if not os.path.exists(f"{folder}/config.json"):
        subprocess.run(["crun", "spec"], cwd=folder, check=True)
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    config["process"].update(args=["/usr/bin/true"], terminal=False)
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup" and not mount["destination"].lstrip("/") in ("usr", "lib", "lib64", "bin")]
    for name in ("usr", "lib", "lib64", "bin"):
        config["mounts"].append({"destination": f"/{name}", "source": os.path.realpath(f"/{name}"), "type": "bind", "options": ["rbind", "ro"]})
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)

    def start():
        ended = subprocess.run(["crun", "--cgroup-manager=disabled", "run", f"tnode-bench-{os.getpid()}"], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
        if ended.returncode:
            sys.exit(ended.stderr.decode(errors="replace").strip()[-200:])

    answer_orders(start)


def crun_driver(folder):
    """With why there is none, when there is none."""
    if not shutil.which("crun"):
        return None, "not installed (./bootstrap.sh bench installs it)"
    myself = [sys.executable, os.path.abspath(__file__), "--crun", folder]
    hybrid = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"] if any(line.split()[2] == "cgroup" for line in open("/proc/mounts")) else []
    # It refuses to run where both versions of control groups are mounted: it sees the first alone.
    without = ["unshare", "--mount", "sh", "-c", f'umount -l {hybrid[0]} && exec "$@"', "sh"] if hybrid else []
    trial = subprocess.run([*without, *myself], input="crun 1\n", capture_output=True, text=True)
    if trial.returncode:
        return None, "does not run here: " + (trial.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Driver(*without, *myself), ""


def compare(ways, rounds):
    """Rates of each way and CPU seconds a start, one each a round."""
    counts, rates, costs = {}, {}, {}
    for name, run in ways:
        run(2)  # what is only done once
        counts[name] = max(3, int(5 * ROUND_SECONDS / max(run(5)[0], 1e-4)))
        rates[name], costs[name] = [], []
    for _ in range(rounds):
        for name, run in ways:
            run(1)  # what another way's turn has ended, stands again
            seconds, cpu = run(counts[name])
            rates[name].append(counts[name] / seconds)
            costs[name].append(cpu / counts[name])
    return rates, costs


def ratio(measured, name, to):
    rates, _ = measured
    return max(rates[name]) / max(rates[to])


def cpu_ratio(measured, name, to):
    _, costs = measured
    return statistics.median(costs[name]) / statistics.median(costs[to]) if statistics.median(costs[to]) else 0.0


def show(title, measured, base, missing=()):
    print(title)
    rates, costs = measured
    for name, all_rates in rates.items():
        best, cpu = max(all_rates), statistics.median(costs[name])
        print(f"  {name:34} {statistics.median(all_rates):7.0f}/s   best {best:7.0f}/s  {1e6 / best:7.0f} µs  {ratio(measured, name, base):6.2f} x {base}" + (f"   CPU {cpu * 1e6:7.0f} µs" if cpu else ""))
    for name, why in missing:
        print(f"  {name:34} {why}")


def goal(text, value, good, cpu):
    print(f"  {'reached' if good else 'MISSED '}  {text}: {value:.2f}" + (f"   (by CPU time: {cpu:.2f})" if cpu else ""))
    return good


def main(build, rounds):
    os.nice(NICENESS)
    bench, myself = os.path.join(build, "tests", "bench_sandbox"), [sys.executable, os.path.abspath(__file__)]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    drivers = []

    def driver(*command):
        drivers.append(Driver(*command))
        return drivers[-1]

    try:
        with tempfile.TemporaryDirectory(prefix="tnode-bench-") as folder:
            own = driver(bench, "true")
            ways = [("posix_spawn", own.way("spawn")), ("bubblewrap", own.way("bubblewrap")), ("tnode cold", own.way("cold"))]
            crun, why_not = crun_driver(f"{folder}/crun")
            if crun:
                drivers.append(crun)
                ways.append(("crun", crun.way("crun")))
            ways += [("tnode warm, units of a task", own.way("units")), ("tnode warm, indices of a unit", own.way("indices"))]
            of_true = compare(ways, rounds)
            show("true:", of_true, "posix_spawn", [("crun", why_not)] if why_not else [])
        own, forks = driver(bench, "python3", "-c", "pass"), driver(*myself, "--fork", "pass")
        of_python = compare([("posix_spawn", own.way("spawn")), ("os.fork, no sandbox", forks.way("fork")), ("tnode warm, indices of a unit", own.way("indices")),
                             ("warm: python3, units of a task", own.way("forked-units")), ("warm: python3, indices of a unit", own.way("forked"))], rounds)
        show("python3 -c pass:", of_python, "posix_spawn")
        imports = "import argparse, json, random"
        own, forks = driver(bench, "python3", "-c", imports), driver(*myself, "--fork", imports)
        of_imports = compare([("posix_spawn", own.way("spawn")), ("os.fork, no sandbox", forks.way("fork")), ("tnode warm, indices of a unit", own.way("indices")),
                              ("warm: python3, indices of a unit", own.way("forked")), ("warm: {python3: [these]}, indices", own.way("forked-with-modules"))], rounds)
        show(f"python3 -c '{imports}':", of_imports, "posix_spawn")
    except RuntimeError as error:
        sys.exit(f"a way to start programs {error}")
    finally:
        for each in drivers:
            each.close()
    print("goals:")
    cold, indices = ratio(of_true, "bubblewrap", "tnode cold"), ratio(of_true, "tnode warm, indices of a unit", "posix_spawn")
    nothing, imported = ratio(of_python, "warm: python3, indices of a unit", "posix_spawn"), ratio(of_imports, "warm: {python3: [these]}, indices", "posix_spawn")
    floor = ratio(of_python, "os.fork, no sandbox", "posix_spawn")
    reached = [goal("time of a cold start, at most 1.3 x bubblewrap", cold, cold <= 1.3, cpu_ratio(of_true, "tnode cold", "bubblewrap")),
               goal("rate of indices, at least 0.8 x posix_spawn", indices, indices >= 0.8, 1 / (cpu_ratio(of_true, "tnode warm, indices of a unit", "posix_spawn") or 1e9)),
               goal("rate of warm python with imports, at least 10 x fresh", imported, imported >= 10, 1 / (cpu_ratio(of_imports, "warm: {python3: [these]}, indices", "posix_spawn") or 1e9)),
               goal(f"rate of warm python of nothing, at least 10 x fresh or 0.8 x what a fork alone can reach ({floor:.2f})", nothing, nothing >= 10 or nothing >= 0.8 * floor,
                    1 / (cpu_ratio(of_python, "warm: python3, indices of a unit", "posix_spawn") or 1e9))]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fork"]:
        fork_forever(sys.argv[2])
    elif sys.argv[1:2] == ["--crun"]:
        crun_forever(sys.argv[2])
    else:
        folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
        sys.exit(main(folder, int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS))
