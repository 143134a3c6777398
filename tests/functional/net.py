"""Real tnode processes for a test: each with a home and a loopback port of its own, ended by their process ids, logs shown on failure."""
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIMIT = 60  # seconds that any single wait may take


class Node:
    """One running process of the program; `out` is its stdout as lines of JSON."""

    def __init__(self, net, name, arguments, program=None, home=None):
        self.net, self.name = net, name
        self.home = home or os.path.join(net.dir, name)
        self.log_path = os.path.join(net.dir, name + ".log")
        self.events = []
        self._rest = b""
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [program or net.program, "--home", self.home] + arguments,
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, cwd=net.dir)
        log.close()
        os.set_blocking(self.process.stdout.fileno(), False)

    def read(self, wait):
        """Takes in what the process said within `wait` seconds; False at the end of its output."""
        ready, _, _ = select.select([self.process.stdout], [], [], wait)
        if not ready:
            return True
        data = self.process.stdout.read()
        if data == b"":
            return False
        if data is None:
            return True
        self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self.events.append(json.loads(line))
        return True

    def expect(self, event, limit=LIMIT, since=0, **fields):
        """The first event of that name with these fields; fails after `limit` seconds or when the process ends without it."""
        end, at, alive = time.monotonic() + limit, since, True
        while True:
            while at < len(self.events):
                found = self.events[at]
                at += 1
                if found.get("event") == event and all(found.get(k) == v for k, v in fields.items()):
                    return found
            if not alive or time.monotonic() > end:
                raise AssertionError(f"{self.name}: no event {event} {fields}; it said {self.events[-5:]}")
            alive = self.read(0.1)

    def wait(self, limit=LIMIT):
        """Exit status, after all output was read."""
        end = time.monotonic() + limit
        while self.read(0.1):
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} did not end within {limit} s; it said {self.events[-5:]}")
        return self.process.wait(10)

    def kill(self):
        """What a power cut is to one process."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not stop on SIGTERM")

    def log(self):
        return open(self.log_path, errors="replace").read()


class Net:
    """A private net; use as a context manager. Everything is ended and removed, whatever happens."""

    def __init__(self, program):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="tnode-functional-")
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        problems = []
        for node in self.nodes:
            try:
                node.stop()
            except AssertionError as error:
                problems.append(str(error))
        if kind is not None:
            for node in {node.log_path: node for node in self.nodes}.values():
                print(f"--- {node.name} ---\n{node.log()[-3000:]}", file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)
        if kind is None and problems:
            raise AssertionError("; ".join(problems))
        return False

    def start(self, name, arguments, program=None, home=None):
        node = Node(self, name, arguments, program, home)
        self.nodes.append(node)
        return node

    def farmer(self, name, bootstrap=(), peers=(), listen="127.0.0.1:0", options=(), program=None):
        arguments = ["--listen", listen, "-o", "jsonl"]
        for address in bootstrap:
            arguments += ["--bootstrap", address]
        for address in peers:
            arguments += ["--peer", address]
        node = self.start(name, arguments + ["farm", "--slots", "1"] + list(options), program)
        farming = node.expect("farming")
        node.listen, node.key = farming["listen"], farming["key"]
        return node

    def seed(self, name, task, bootstrap=(), peers=(), listen="127.0.0.1:0", options=(), out=None):
        arguments = ["--listen", listen, "-o", "jsonl"]
        for address in bootstrap:
            arguments += ["--bootstrap", address]
        for address in peers:
            arguments += ["--peer", address]
        return self.start(name, arguments + ["seed", task, "--out", out or os.path.join(self.dir, name + "-out")] + list(options))

    def run(self, home, arguments, limit=LIMIT, **more):
        """One command to its end: (status, stdout, stderr)."""
        done = subprocess.run([self.program, "--home", os.path.join(self.dir, home)] + arguments, capture_output=True, text=True,
                              timeout=limit, cwd=self.dir, stdin=subprocess.DEVNULL, **more)
        return done.returncode, done.stdout, done.stderr

    def task(self, name, text, files=()):
        """Writes <dir>/<name>/task.yaml and files beside it."""
        folder = os.path.join(self.dir, name)
        os.makedirs(folder, exist_ok=True)
        for path, content in dict(files).items():
            os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
            with open(os.path.join(folder, path), "w") as file:
                file.write(content)
        with open(os.path.join(folder, "task.yaml"), "w") as file:
            file.write(text)
        return os.path.join(folder, "task.yaml")

    def balance(self, home):
        status, out, err = self.run(home, ["-o", "json", "ledger", "balance"])
        assert status == 0, err
        return json.loads(out)

    def history(self, home):
        status, out, err = self.run(home, ["-o", "json", "ledger", "history"])
        assert status == 0, err
        return json.loads(out)["blocks"]

    def check_ledgers(self, homes):
        """Zero-sum, one CREDIT a DEBIT, one DEBIT a ref, nothing left held."""
        total, debits, credits = 0, [], []
        for home in homes:
            balance = self.balance(home)
            total += balance["balance_micro"] + balance["unclaimed_out_micro"]
            assert balance["held_micro"] == 0, (home, balance)
            for block in self.history(home):
                if block["type"] == "debit":
                    debits.append(block["ref"])
                if block["type"] == "credit":
                    credits.append(block["ref"])
        assert total == 0, f"credits were made or lost: {total}"
        assert len(set(debits)) == len(debits), "paid twice"
        assert len(set(credits)) == len(credits) and set(credits) <= set(debits), "credited twice, or without a debit"
        return len(debits), len(credits)


def until(condition, what, limit=LIMIT):
    """Waits for a condition, never for luck."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.02)


def main(tests):
    """Runs test functions (program) → None by name; arguments: the program, then names to run (default all)."""
    program, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    failed = []
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        started = time.monotonic()
        try:
            test(program)
            print(f"ok      {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception as error:  # one failure must not hide the others
            import traceback
            traceback.print_exc()
            print(f"FAILED  {test.__name__}: {error}", flush=True)
            failed.append(test.__name__)
    sys.exit(1 if failed else 0)
