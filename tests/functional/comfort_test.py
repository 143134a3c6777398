"""A farmer is a guest on its owner's machine: shares that hold, pausing and going on, and nothing left behind whatever is killed."""
import contextlib
import fcntl
import os
import signal
import sys
import threading
import time

import nodes
from nodes import Skipped, World, children, control_groups, processes_of_task, runner_of, until

ONE = ["--set", "quorum.agree=1"]
SMALL = "resources: {memory: 64MiB, disk: 16MiB}\n"
# Writes how often it came round, so that a unit that was started anew would show.
COUNTS = "tnode: 1\nname: counts\ncommand: [sh, -c, 'i=0; while [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done; echo $i > out/answer']\n" + SMALL
SPINS = "tnode: 1\nname: spins\ncommand: [sh, -c, 'while :; do :; done']\ntimeouts: {run: 10m}\n" + SMALL


def ticks(pid):
    """CPU time of a process, in the kernel's ticks."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def offer(world, name, text, farmer, options=()):
    """A requester that goes on by itself."""
    task = world.task(name, text)
    return world.node(name, ["seed", task, "--out", world.path(name + "-result")] + ONE + list(options), peers=[farmer.listen], cwd=os.path.dirname(task))


def groups_of_all(runner):
    """The groups around all sandboxes of a runner; on version 2 there is one for the runner itself, too."""
    return [group for group in control_groups(runner) if not group.endswith("-runner")]


def share_of_memory_bounds_bids_units_and_the_group_of_all(program):
    with World(program) as world:
        farmer = world.farmer("farmer", ["--memory", "200MiB", "--slots", "4"])
        status, answer, requester = world.seed("large", world.task("large", "tnode: 1\nname: large\ncommand: [true]\nresources: {memory: 190MiB, disk: 16MiB}\n"),
                                               ONE + ["--set", "timeouts.queue=1s"], peers=[farmer.listen])
        assert status == 6 and "too_much_memory" in requester.stderr(), requester.stderr()
        status, answer, requester = world.seed("small", world.task("small", "tnode: 1\nname: small\ncommand: [sh, -c, 'echo > out/{index}']\narray: {range: 0-5}\n" + SMALL), ONE, peers=[farmer.listen])
        assert status == 0, requester.stderr()
        bid = requester.expect("bid")
        assert bid["slots"] == 2, f"two units of 80 MiB fit into 200 MiB: {bid}"
        farming = farmer.expect("farming")
        assert farming["memory"] == 200 << 20, farming
        held = [f"{group}/{name}" for group in groups_of_all(runner_of(farmer)) for name in ("memory.max", "memory.limit_in_bytes") if os.path.exists(f"{group}/{name}")]
        if farming["limits"] == "watchdog":
            raise Skipped("no control groups here, so no group of all sandboxes either; the rest held")
        assert [open(path).read().strip() for path in held] == [str(200 << 20)], held


def share_of_cpus_is_a_quota_or_fewer_cpus(program):
    with World(program) as world:
        farmer = world.farmer("farmer", ["--cpus", "50%"])
        farming, runner = farmer.expect("farming"), runner_of(farmer)
        milli = os.cpu_count() * 1000 // 2
        assert farming["cpu_milli"] == milli and farming["slots"] == max(1, milli // 1000), farming
        if farming["cpu_mode"] == "quota":
            found = [open(f"{group}/{name}").read().split() for group in groups_of_all(runner) for name in ("cpu.max", "cpu.cfs_quota_us") if os.path.exists(f"{group}/{name}")]
            assert [quota[0] for quota in found] == [str(milli * 100)], found
        else:
            assert farming["cpu_mode"] == "affinity", farming
            assert len(os.sched_getaffinity(runner)) == max(1, milli // 1000), os.sched_getaffinity(runner)
            assert "no quota can be had here" in farmer.stderr(), farmer.stderr()
        status, _, requester = world.seed("small", world.task("small", "tnode: 1\nname: small\ncommand: [sh, -c, 'echo > out/x']\n" + SMALL), ONE, peers=[farmer.listen])
        assert status == 0, requester.stderr()


def wrong_shares_are_refused(program):
    with World(program) as world:
        for options, words in ([["--cpus", "half"], "a share of the machine such as 50%"], [["--cpus", "101%"], "more than the machine"], [["--cpus", "0"], "is nothing"],
                               [["--memory", "4"], "a size with its unit"], [["--memory", "0B"], "is nothing"], [["--when", "never"], "--when"]):
            done = world.run(["--listen", "127.0.0.1:0", "farm"] + options)
            assert done.returncode == 2 and words in done.stderr, f"{options}: exit {done.returncode}, {done.stderr}"


def paused_farmer_stands_still_and_goes_on(program):
    with World(program) as world:
        farmer = world.farmer("farmer")
        requester = offer(world, "spins", SPINS, farmer)
        task_id = requester.expect("task")["task_id"]
        spinner = until(lambda: next((pid for pid in processes_of_task(task_id) if ticks(pid) > 5), None), "the unit uses the CPU")
        done = world.run(["-o", "json", "pause"], home="farmer")
        assert done.returncode == 0 and nodes.json.loads(done.stdout)["state"] == "paused", done.stderr
        farmer.expect("paused", reason="until `tnode resume`", running="1")

        def still():
            before, end = ticks(spinner), time.monotonic() + 0.3
            until(lambda: time.monotonic() > end, "time passes")
            return ticks(spinner) == before
        until(still, "it stands still")
        before = ticks(spinner)
        # Somebody else's task meanwhile: refused by name, and run when work continues.
        other = offer(world, "counts", COUNTS, farmer)
        other.expect("refused", reason="paused")
        done = world.run(["resume"], home="farmer")
        assert done.returncode == 0, done.stderr
        farmer.expect("continued", running="1")
        until(lambda: ticks(spinner) > before + 5, "it goes on")
        assert world.run(["cancel", "last"], home="spins").returncode == 0
        assert other.wait() == 0, other.stderr()
        assert open(world.path("counts-result", "answer")).read() == "30\n"


def pausing_needs_a_farmer(program):
    with World(program) as world:
        done = world.run(["pause"], home="nobody")
        assert done.returncode == 1 and "no farmer runs with the home" in done.stderr, done.stderr


def farmer_rests_while_others_use_the_machine(program):
    with World(program) as world:
        farmer = world.farmer("farmer", ["--when", "idle"])
        farmer.expect("paused")
        for count in range(os.cpu_count() * 4):
            world.start(f"owner-{count}", [sys.executable, "-c", "while True: pass"])
        requester = offer(world, "counts", COUNTS, farmer, ["--set", "timeouts.queue=3s"])
        assert requester.wait() == 6, requester.stderr()
        assert "paused" in requester.stderr(), requester.stderr()


def farmer_works_once_the_owner_is_away(program):
    """The kernel's counters are the test's own here, bound over /proc/stat. A sandbox cannot start over such a /proc, so there are no slots."""
    with World(program) as world:
        if os.geteuid() != 0:
            raise Skipped("only root can bind a file over /proc/stat, to say how busy the machine is")
        busy, idle, load = [1000], [1000], {"busy": 0}

        counters = os.open(world.path("stat"), os.O_WRONLY | os.O_CREAT, 0o644)

        def write():  # in one call: who reads meanwhile finds the old line or the new one
            os.pwrite(counters, f"cpu  {busy[0]:012} 0 0 {idle[0]:012} 0 0 0 0 0 0\n".encode(), 0)

        write()
        keeper = world.start("namespace", ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                           f"mount --bind {world.path('stat')} /proc/stat && mount -t tmpfs none /dev/pts && mount -t tmpfs none /proc/pressure && echo ready && exec tail -f /dev/null"])
        until(lambda: "ready" in keeper.stdout() or not keeper.running(), "the mount namespace stands", 10)
        if not keeper.running():
            raise Skipped(f"no mount namespace can be made here: {keeper.stderr().strip()}")
        over = threading.Event()

        def pass_time():
            while not over.wait(0.1):
                busy[0] += load["busy"]
                idle[0] += 20 - load["busy"]
                write()

        clock = threading.Thread(target=pass_time)
        clock.start()
        try:
            farmer = world.farmer("farmer", ["--when", "idle", "--slots", "0"], prefix=["nsenter", "-t", str(keeper.pid), "-m", "--"])
            farmer.expect("paused")
            farmer.expect("continued")
            load["busy"] = 16
            until(lambda: any("others use" in event["reason"] for event in farmer.events("paused")), "it rests when the owner is back")
        finally:
            over.set()
            clock.join()


def leftovers(world, home):
    """What a crash may have left half made in a home, but for a unit that is at work again."""
    results = world.path(home, "results")
    halves = [entry for entry in os.listdir(results) if not os.path.exists(os.path.join(results, entry, "torrent"))]
    return [entry for entry in os.listdir(world.path(home, "work")) if not entry.startswith("job-")] + halves


def everything_killed_at_once_leaves_nothing_to_the_next_start(program):
    """Also what stands still: a frozen process is killed only when it may go on again."""
    with World(program) as world:
        for paused in (False, True):
            farmer = world.farmer(f"farmer-{paused}", home="farmer")
            requester = offer(world, f"spins-{paused}", SPINS, farmer)
            task_id = requester.expect("task")["task_id"]
            until(lambda: processes_of_task(task_id), "the unit runs")
            if paused:
                assert world.run(["pause"], home="farmer").returncode == 0
                farmer.expect("paused")
            runner = runner_of(farmer)
            groups = control_groups(runner)
            os.makedirs(world.path("farmer", "results", "00" * 32, "half"))
            os.makedirs(world.path("farmer", "work", "half"))
            for pid in [farmer.pid, runner] + children(runner):
                with contextlib.suppress(ProcessLookupError):  # the end of the one before may have been its own
                    os.kill(pid, signal.SIGKILL)
            farmer.wait()
            again = world.farmer(f"again-{paused}", home="farmer")
            assert not [group for group in groups if os.path.exists(group)], groups
            assert leftovers(world, "farmer") == [], leftovers(world, "farmer")
            assert world.run(["cancel", "last"], home=f"spins-{paused}").returncode == 0
            runner = runner_of(again)
            again.stop()
            until(lambda: not processes_of_task(task_id), "no process of the task is left")  # the lease of before was worked on again
            assert not control_groups(runner), control_groups(runner)


def whatever_lives_in_groups_of_a_runner_that_is_gone_ends_with_the_next_start(program):
    """However it came to be there. It holds up neither that start nor the ones after it."""
    with World(program) as world:
        first = world.farmer("first")
        if first.expect("farming")["limits"] == "watchdog":
            raise Skipped("no control groups here")
        left = sorted({os.path.join(os.path.dirname(group), "tnode-4194304-1") for group in groups_of_all(runner_of(first))})
        left = [group for group in left if not os.path.basename(os.path.dirname(group)).startswith("tnode-")]
        first.stop()
        sleepers = [world.start(f"sleeper-{number}", ["sleep", "600"]) for number in range(2)]
        try:
            for group in left:
                os.makedirs(os.path.join(group, "1"))
                # Version 1 lets processes live beside groups, too.
                beside = not os.path.exists(os.path.join(group, "cgroup.controllers"))
                for sleeper, folder in zip(sleepers, (os.path.join(group, "1"), group if beside else os.path.join(group, "1"))):
                    with open(os.path.join(folder, "cgroup.procs"), "w") as file:
                        file.write(str(sleeper.pid))
            world.farmer("second")
            assert not [group for group in left if os.path.exists(group)], left
            assert [sleeper.wait() for sleeper in sleepers] == [-signal.SIGKILL] * 2
        finally:
            for sleeper in sleepers:
                sleeper.process.kill()
                sleeper.process.wait()
            for group in left:
                for folder in (os.path.join(group, "1"), group):
                    if os.path.exists(folder):
                        os.rmdir(folder)


def groups_of_a_runner_that_lives_are_left_alone(program):
    """Their names would do: both the lock and the process must be gone. Here the name tells of a process that never was, and the lock is held."""
    with World(program) as world:
        first = world.farmer("first")
        if first.expect("farming")["limits"] == "watchdog":
            raise Skipped("no control groups here")
        groups = control_groups(runner_of(first))
        parent = os.path.dirname(groups[0])
        named = os.path.join(parent, f"tnode-{runner_of(first)}-1")  # right process, wrong start time: left by one that had the same id
        locked = os.path.join(parent, "tnode-4194304-1")
        others = os.path.join(parent, "tnode-not-ours")
        made = [named, locked, others]
        lock = None
        try:
            for group in made:
                os.mkdir(group)
            lock = os.open(locked, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            second = world.farmer("second")
            assert not os.path.exists(named), "left behind, and swept"
            assert os.path.exists(locked), "somebody holds it"
            assert os.path.exists(others), "no name of ours"
            assert all(os.path.exists(group) for group in groups), groups
            second.stop()
        finally:
            if lock is not None:
                os.close(lock)
            for group in made:
                if os.path.exists(group):
                    os.rmdir(group)


if __name__ == "__main__":
    nodes.main([share_of_memory_bounds_bids_units_and_the_group_of_all, share_of_cpus_is_a_quota_or_fewer_cpus, wrong_shares_are_refused, paused_farmer_stands_still_and_goes_on,
                pausing_needs_a_farmer, farmer_rests_while_others_use_the_machine, farmer_works_once_the_owner_is_away, everything_killed_at_once_leaves_nothing_to_the_next_start,
                whatever_lives_in_groups_of_a_runner_that_is_gone_ends_with_the_next_start,
                groups_of_a_runner_that_lives_are_left_alone])
