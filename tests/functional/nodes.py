"""Processes of the program for tests about strangers: foreign clients, hostile tasks, bad input.

Every process has a home and a loopback port of its own, is ended by its process id, and shows its log when a test fails. Every wait
is for a condition and has a limit. What a test cannot try here is printed as skipped, with the reason.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

LIMIT = 60   # seconds that any single wait may take
POLL = 0.02  # between two looks at a condition
NETWORK = "10.77.0.1"  # the address in network_namespace(); unlike 127.x it is one that a node has in the open


class Skipped(Exception):
    """A precondition is missing on this machine; its text says which."""


def until(condition, what, limit=LIMIT):
    """The first true value of `condition()`."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened within {limit} s: {what}")
        time.sleep(POLL)


class Process:
    """A running program whose stdout and stderr go to files of the world."""

    def __init__(self, world, name, argv, **more):
        self.world, self.name, self.argv = world, name, argv
        self.out_path, self.err_path = world.path(name + ".out"), world.path(name + ".err")
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.process = subprocess.Popen(argv, stdout=out, stderr=err, stdin=more.pop("stdin", subprocess.DEVNULL), cwd=more.pop("cwd", world.dir), **more)
        self.pid = self.process.pid

    def stdout(self):
        return open(self.out_path, errors="replace").read()

    def stderr(self):
        return open(self.err_path, errors="replace").read()

    def running(self):
        return self.process.poll() is None

    def wait(self, limit=LIMIT):
        """Its exit status."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {limit} s") from None

    def stop(self):
        """SIGTERM, and SIGKILL for one that does not mind it."""
        if not self.running():
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop on SIGTERM") from None

    # --- nodes only ---

    def events(self, event=None):
        """Its jsonl events; an unfinished last line is left for later."""
        lines = self.stdout().split("\n")[:-1]
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [e for e in found if event is None or e.get("event") == event]

    def expect(self, event, limit=LIMIT, **fields):
        def there():
            for found in self.events(event):
                if all(found.get(name) == value for name, value in fields.items()):
                    return found
            assert self.running(), f"{self.name} ended with {self.process.returncode} before it said {event} {fields}"
            return None
        return until(there, f"{self.name} says {event} {fields}", limit)


class World:
    """Everything of one test: a temporary folder and the processes in it. All of it is gone afterwards, whatever happens."""

    def __init__(self, program):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="tnode-strangers-")
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        problems = []
        for process in self.processes:
            try:
                process.stop()
            except AssertionError as error:
                problems.append(str(error))
        if kind is not None and kind is not Skipped:
            for process in self.processes:
                print(f"--- {process.name}: {' '.join(process.argv)}\n{process.stdout()[-2000:]}\n{process.stderr()[-4000:]}", file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)
        if kind is None and problems:
            raise AssertionError("; ".join(problems))
        return False

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def start(self, name, argv, **more):
        process = Process(self, name, argv, **more)
        self.processes.append(process)
        return process

    def run(self, arguments, home="node", limit=LIMIT, prefix=(), **more):
        """One command to its end, as subprocess.run returns it."""
        argv = list(prefix) + [self.program, "--home", self.path(home)] + list(arguments)
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=limit, stdin=subprocess.DEVNULL,
                              cwd=more.pop("cwd", self.dir), **more)

    def node(self, name, command, bootstrap=(), peers=(), listen="127.0.0.1:0", output="jsonl", home=None, prefix=(), **more):
        argv = list(prefix) + [self.program, "--home", self.path(home or name), "--listen", listen, "-o", output]
        for address in bootstrap:
            argv += ["--bootstrap", address]
        for address in peers:
            argv += ["--peer", address]
        return self.start(name, argv + list(command), **more)

    def farmer(self, name, options=(), **more):
        """A farmer that says it is ready; it has `listen` and `key`."""
        farmer = self.node(name, ["farm"] + list(options), **more)
        farming = farmer.expect("farming")
        farmer.listen, farmer.key = farming["listen"], farming["key"]
        return farmer

    def seed(self, name, task, options=(), limit=LIMIT, **more):
        """Runs `seed` to its end: (exit status, the final object or None, the process)."""
        out = self.path(name + "-result")
        requester = self.node(name, ["seed", task, "--out", out] + list(options), cwd=os.path.dirname(task), **more)
        status = requester.wait(limit)
        answers = requester.events("answer")
        return status, answers[-1] if answers else None, requester

    def task(self, name, text, files=()):
        """Writes NAME/task.yaml and files beside it; its path."""
        folder = self.path(name)
        for path, content in dict(files).items():
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "task.yaml"), "w") as file:
            file.write(text)
        return os.path.join(folder, "task.yaml")

    def json_of(self, arguments, home="node"):
        done = self.run(["-o", "json"] + list(arguments), home=home)
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}, {done.stderr}"
        return json.loads(done.stdout)


def tree(folder):
    """Every regular file below a folder: {path: (bytes, executable)}."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = (file.read(), os.access(path, os.X_OK) and bool(os.stat(path).st_mode & 0o100))
    return found


def contents(folder):
    """Like tree(), for clients that keep no executable bit."""
    return {path: content for path, (content, _) in tree(folder).items()}


def network_namespace(world, resolver=None):
    """What to put before a command so that it runs where NETWORK is the only address besides loopback; a resolver is the name server there."""
    if os.geteuid() != 0:
        raise Skipped("only root can make the network namespace that this test needs")
    if not shutil.which("ip"):
        raise Skipped("the program ip is not installed (sudo apt install iproute2)")
    steps = ["ip link set lo up", f"ip addr add {NETWORK}/32 dev lo"]
    if resolver:
        with open(world.path("resolv.conf"), "w") as file:
            file.write(f"nameserver {resolver}\n")
        steps.append(f"mount --bind {world.path('resolv.conf')} {os.path.realpath('/etc/resolv.conf')}")
    mounts = ["--mount"] if resolver else []
    keeper = world.start("namespace", ["unshare", "--net", *mounts, "sh", "-c", " && ".join(steps + ["echo ready", "exec tail -f /dev/null"])])
    until(lambda: "ready" in keeper.stdout() or not keeper.running(), "the network namespace stands", 10)
    if not keeper.running():
        raise Skipped(f"no network namespace can be made here: {keeper.stderr().strip()}")
    return ["nsenter", "-t", str(keeper.pid), "-n", *(["--mount"] if mounts else []), "--"]


# --- what a farmer might leave behind ---

def children(pid):
    """But for a runner's doormen, who stay as long as it does."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", errors="replace") as file:
                    name, fields = file.read().rsplit(")", 1)
                    if int(fields.split()[1]) == pid and not name.endswith("(tnode-doorman"):
                        found.append(int(entry))
            except OSError:
                pass  # it ended meanwhile
    return found


def runner_of(farmer):
    """The process that starts this farmer's sandboxes."""
    for pid in children(farmer.pid):
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == "tnode-runner":
                return pid
    raise AssertionError(f"{farmer.name} has no runner process")


def processes_of_task(task_id):
    """Processes of any sandbox that execute this task, wherever they hang in the tree of processes."""
    mark, found = b"TNODE_TASK=" + task_id.encode(), []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read():
                        found.append(int(entry))
            except OSError:
                pass
    return found


def control_groups(runner):
    """Control groups that this runner made."""
    return [os.path.join(at, name) for at, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith(f"tnode-{runner}-")]


def main(tests):
    """Runs functions of one argument, the program. Arguments: its path, then names of tests (default: all)."""
    program, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    failed = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        started = time.monotonic()
        word, detail = "ok", ""
        try:
            test(program)
        except Skipped as reason:
            word, detail = "skipped", f": {reason}"
        except Exception as error:  # one failure must not hide the others
            traceback.print_exc()
            word, detail, failed = "FAILED", f": {error}", failed + 1
        print(f"{word:8}{test.__name__} ({time.monotonic() - started:.1f} s){detail}", flush=True)
    sys.exit(1 if failed else 0)
