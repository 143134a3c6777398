"""Bad input and bad surroundings: one clear error each, the exit status that docs/cli.md promises, and nothing lost."""
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import nodes
from nodes import NETWORK, Skipped, World, network_namespace, until

GOOD = 'tnode: 1\nname: good\ncommand: [sh, -c, "echo good > out/answer"]\ntimeouts: {queue: 20s, run: 20s, total: 60s}\nresources: {disk: 1MiB}\n'


def expect(done, status, *words):
    """The exit status, each of the words in stderr, and no trace of a crash."""
    assert done.returncode == status, f"{done.args}: wanted exit {status}, got {done.returncode}; {done.stdout} {done.stderr}"
    for word in words:
        assert word in done.stderr, f"{done.args}: '{word}' is not in: {done.stderr}"
    assert "terminate called" not in done.stderr and "assert" not in done.stderr.lower(), done.stderr
    return done


# --- bencoding, enough to break torrents with ---

def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data, at=0):
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind == b"l" or kind == b"d":
        found, at = [], at + 1
        while data[at:at + 1] != b"e":
            value, at = decode(data, at)
            found.append(value)
        return (found, at + 1) if kind == b"l" else (dict(zip(found[::2], found[1::2])), at + 1)
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end], end


# --- task.yaml ---

BROKEN = """tnode: 1
name: [no, name]
comand: ["true"]
command: "echo hello"
inputs: [./missing.txt, {form: ./x}]
array: {range: 9-1, batch: zero}
resources: {memory: 512, cpus: many}
timeouts: {run: 5 parsecs}
quorum: {agree: 7, max: 5}
market: {max_price: 1000000}
"""
MISTAKES = ["2:7: ", "3:1: unknown key 'comand'; did you mean 'command'?", "4:10: ", "5:10: there is no file or folder './missing.txt'", "5:26: unknown key 'form'; did you mean 'from'?",
            "6:16: ", "6:28: ", "7:21: '512' is not a size with its unit", "7:32: ", "8:17: '5 parsecs' is not a duration", "9:25: ", "10:21: expected at most 549755.813887 credits"]


def task_file_is_refused_with_all_its_mistakes(program):
    with World(program) as world:
        task = world.task("broken", BROKEN)
        done = expect(world.run(["seed", task]), 2, *[f"{task}:{mistake}" for mistake in MISTAKES])
        assert len(done.stderr.splitlines()) >= len(MISTAKES), done.stderr
        for text, where in [("tnode: 1\ncommand: [true\n", ":2:10: the list that begins here has no ']'"), ("tnode: 2\ncommand: [a]\n", ":1:8: "), ("", ": "), ("- a\n", ":1:1: "), ("tnode: 1\n", "command"),
                            ("tnode: 1\ncommand: [a]\ncommand: [b]\n", ":3:1: "), ("\x00\x01\x02", ":1:1: "), ("a: &a [*a, *a]\n", ":1:"), ("tnode: 1\ncommand: []\n", ":2:10: ")]:
            expect(world.run(["seed", world.task("one", text)]), 2, world.path("one", "task.yaml"), where)
        expect(world.run(["seed", world.path("nowhere.yaml")]), 2, "nowhere.yaml: there is no such file")
        expect(world.run(["seed", world.dir]), 2, world.dir)
        expect(world.run(["seed", world.task("set", GOOD), "--set", "quorum.agre=1"]), 2, "agre", "did you mean")
        assert not os.path.exists(world.path("node", "tnode.db")), "a refused task makes no store"


# --- torrents ---

def broken_torrents(world):
    """(name, bytes, words of the refusal)"""
    task = world.task("whole", GOOD)
    world.json_of(["seed", task, "--torrent-only"], home="packer")
    with open(world.path("good.torrent"), "rb") as file:
        whole = file.read()

    def changed(change):
        torrent, _ = decode(whole)
        change(torrent)
        return encode(torrent)

    def lead_out(torrent):
        info = torrent[b"info"]
        info[b"file tree"] = {b"..": {b"evil": next(iter(info[b"file tree"].values()))}}
        info[b"files"][0][b"path"] = [b"..", b"evil"]

    plain = {b"info": {b"length": 4, b"name": b"holiday.jpg", b"piece length": 16384, b"pieces": hashlib.sha1(b"abcd").digest()}}
    with open(world.path("good.v1.torrent"), "rb") as file:
        twin = file.read()
    return [
        ("a-stranger", encode(plain), "canonical form"),
        ("a-twin", twin, "canonical form"),
        ("truncated", whole[:len(whole) // 2], "canonical form"),
        ("empty", b"", "canonical form"),
        ("trailing", whole + b"0:", "canonical form"),
        ("no-torrent", b"\x89PNG\r\n\x1a\n" * 100, "canonical form"),
        ("deep", b"l" * 200_000, "canonical form"),
        ("leads-out", changed(lead_out), "it would leave its folder"),
        ("absolute", changed(lambda t: t[b"info"].update({b"name": b"/etc"})), "name"),
        ("dotted-name", changed(lambda t: t[b"info"].update({b"name": b".."})), "it would leave its folder"),
        ("extra-key", changed(lambda t: t[b"info"].update({b"private": 1})), "'private' in info"),
        ("announces", changed(lambda t: t.update({b"announce": b"http://127.0.0.1/"})), "'announce' in the torrent"),
        ("huge-length", changed(lambda t: next(iter(t[b"info"][b"file tree"].values()))[b""].update({b"length": (1 << 63) - 1})), "add up to more than"),
    ]


def broken_torrents_are_refused_by_seed_get_and_watch(program):
    with World(program) as world:
        cases = broken_torrents(world)
        watch = world.path("watch")
        os.mkdir(watch)
        farmer = world.farmer("farmer", ["--watch", watch])
        for name, content, words in cases:
            path = world.path(name + ".torrent")
            with open(path, "wb") as file:
                file.write(content)
            expect(world.run(["seed", path]), 2, path, words)
            expect(world.run(["get", path]), 2, path, words)
            shutil.copy(path, watch)
        for name, content, words in cases:
            rejected = os.path.join(watch, "rejected", name + ".torrent")
            until(lambda: os.path.exists(rejected) and os.path.exists(rejected + ".reason"), f"{name} is rejected", 20)
            assert words in open(rejected + ".reason").read(), open(rejected + ".reason").read()
            assert open(rejected, "rb").read() == content, "what was dropped in is kept"
        assert os.listdir(watch) == ["rejected"], os.listdir(watch)
        assert not os.path.exists(world.path("evil")) and not os.path.exists(world.path("farmer", "evil"))
        assert farmer.running()
        # A whole one of which nothing is there: what to do is said.
        shutil.copy(world.path("good.torrent"), world.path("lonely.torrent"))
        expect(world.run(["seed", world.path("lonely.torrent")], home="other"), 1, "download them first: tnode get")
        expect(world.run(["seed", world.path("nowhere.torrent")]), 1, "there is no file")


def wrong_magnets_are_refused(program):
    with World(program) as world:
        for link, words in [("magnet:?xt=urn:btih:zzz", "needs 40 hex digits"), ("magnet:?dn=name", "it has no xt="), ("magnet:?xt=urn:btmh:1220abcd", "urn:btmh"), ("magnet:", "magnet"),
                            (f"magnet:?xt=urn:btmh:1220{7:064x}&x.pe=nowhere", "x.pe")]:
            expect(world.run(["get", link]), 2, words)
        started = time.monotonic()
        unknown = f"magnet:?xt=urn:btmh:1220{7:064x}"
        expect(world.run(["--listen", "127.0.0.1:0", "get", unknown, "--timeout", "1s"]), 5, "nobody had it")
        assert time.monotonic() - started < 10
        expect(world.run(["get", unknown, "--timeout", "soon"]), 2, "soon")
        watch = world.path("watch")
        os.mkdir(watch)
        world.farmer("farmer", ["--watch", watch])
        for name, text in [("garbled.magnet", "magnet:?xt=urn:btih:zzz\n"), ("old.magnet", f"magnet:?xt=urn:btih:{7:040x}\n"), ("prose.magnet", "not a link\n")]:
            with open(os.path.join(watch, name), "w") as file:
                file.write(text)
            until(lambda: os.path.exists(os.path.join(watch, "rejected", name + ".reason")), f"{name} is rejected", 20)


# --- usage ---

def wrong_usage_ends_with_two(program):
    with World(program) as world:
        for arguments, words in [(["--nonsense", "farm"], "--nonsense"), (["farm", "--slots", "-3"], "--slots"), (["farm", "--slots", "many"], "--slots"), (["seed"], "task"), ([], "Usage: tnode"),
                                 (["fram"], "did you mean 'farm'?"), (["-v", "fram"], "did you mean 'farm'?"), (["get"], "MAGNET|FILE|ID is missing"), (["--listen", "nonsense", "farm"], "--listen wants IP:PORT"), (["--bootstrap", "a:b:c", "farm"], "--bootstrap"),
                                 (["-o", "xml", "status"], "xml"), (["farm", "--min-price", "lots"], "--min-price"), (["farm", "--accept", "abc"], "--accept"),
                                 (["devnet", "0", "task.yaml"], "farmers"), (["devnet", "task.yaml"], "tnode devnet 3 task.yaml"), (["farm", "--accept", ""], "--accept"),
                                 (["farm", "--watch", world.path("nowhere")], "there is no folder"), (["help", "fram"], "fram")]:
            expect(world.run(arguments), 2, words)
        os.mkdir(world.path("configured"))
        with open(world.path("configured", "config.yaml"), "w") as file:
            file.write("listen: 127.0.0.1:0\nlisten: [\n")
        expect(world.run(["status"], home="configured"), 2, "config.yaml:3:")
        with open(world.path("configured", "config.yaml"), "w") as file:
            file.write("lissten: 127.0.0.1:0\n")
        expect(world.run(["status"], home="configured"), 2, "config.yaml:1:1: unknown key 'lissten'; did you mean 'listen'?")
        with open(world.path("configured", "config.yaml"), "w") as file:
            file.write("farm:\n  slots: many\n")
        expect(world.run(["farm"], home="configured"), 2, "--slots", "config.yaml")
        assert not os.path.exists(world.path("nowhere"))
        helped = world.run(["help", "seed"])
        assert helped.returncode == 0 and "--torrent-only" in helped.stdout, helped


def folders_in_place_of_files_are_named(program):
    with World(program) as world:
        for name in ("folder", "folder.torrent", "good.torrent"):
            os.mkdir(world.path(name))
        expect(world.run(["--listen", "127.0.0.1:0", "get", world.path("folder")]), 1, "it is a folder")
        expect(world.run(["--listen", "127.0.0.1:0", "seed", world.path("folder.torrent")]), 1, "it is a folder")
        # The .torrent that could not be written is no success.
        expect(world.run(["seed", world.task("good", GOOD), "--torrent-only"], cwd=world.path()), 1, "good.torrent")
        os.makedirs(world.path("configured", "config.yaml"))
        expect(world.run(["status"], home="configured"), 2, "config.yaml: it is a folder")


def unknown_ids_are_named(program):
    with World(program) as world:
        for command in (["status", "abcdef"], ["explain", "abcdef"], ["cancel", "abcdef"]):
            expect(world.run(command), 1, "no key")
        task = world.task("lonely", GOOD.replace("queue: 20s", "queue: 300ms"))
        expect(world.run(["--listen", "127.0.0.1:0", "seed", task]), 6, "no farmer bid")
        for command in ("status", "explain", "cancel"):
            expect(world.run([command, "abcdef"]), 1, "no task of this node has an id that starts with 'abcdef'")
            expect(world.run([command, "abc"]), 1, "at least 6")
        expect(world.run(["get", "abcdef"]), 1, "'abcdef'")
        expect(world.run(["get", "last"]), 1, "that task has no result")
        expect(world.run(["cancel", "last"]), 0, "over already: no_bids")


# --- surroundings ---

def namespace(world, *mounts):
    """What to put before a command so that it runs in a mount namespace of its own; lives as long as the world."""
    if os.geteuid() != 0:
        raise Skipped("only root can make a mount namespace with a file system of the test's own")
    script = "".join(f"{mount} && " for mount in mounts) + "echo ready && exec tail -f /dev/null"
    keeper = world.start(f"namespace-{len(world.processes)}", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
    try:
        until(lambda: "ready" in keeper.stdout() or not keeper.running(), "the mount namespace stands", 10)
    except AssertionError as error:
        raise Skipped(str(error)) from None
    if not keeper.running():
        raise Skipped(f"no mount namespace can be made here: {keeper.stderr().strip()}")
    return ["nsenter", "-t", str(keeper.pid), "-m", "--"]


def farm_without_bubblewrap_names_what_to_install(program):
    with World(program) as world:
        bwrap = os.path.realpath(shutil.which("bwrap") or "/usr/bin/bwrap")
        prefix = namespace(world, f"mount --bind /dev/null {bwrap}") if os.path.exists(bwrap) else []
        expect(world.run(["--listen", "127.0.0.1:0", "farm"], prefix=prefix), 7, "bubblewrap is not installed", "sudo apt install bubblewrap")
        doctor = world.run(["--listen", "127.0.0.1:0", "doctor"], prefix=prefix)
        assert doctor.returncode == 7 and "sudo apt install bubblewrap" in doctor.stdout, doctor
        # Who executes nothing needs no sandbox.
        task = world.task("lonely", GOOD.replace("queue: 20s", "queue: 300ms"))
        expect(world.run(["--listen", "127.0.0.1:0", "seed", task], prefix=prefix), 6)


def farm_without_user_namespaces_says_so(program):
    with World(program) as world:
        # A bubblewrap that cannot make its namespaces fails like this one.
        with open(world.path("bwrap"), "w") as file:
            file.write("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        os.chmod(world.path("bwrap"), 0o755)
        environment = dict(os.environ, PATH=world.dir + ":" + os.environ["PATH"])
        os.chmod(world.dir, 0o755)
        expect(world.run(["--listen", "127.0.0.1:0", "farm"], env=environment), 7, "no sandbox", "No permissions to create new namespace", "Likely mend")


def doctor_tells_what_mends_the_machine(program):
    """Real ones where this machine can be made worse for one process; those that it cannot be are in the unit tests."""
    with World(program) as world:
        def doctor(prefix=(), **more):
            done = world.run(["--listen", "127.0.0.1:0", "-o", "json", "doctor"], prefix=prefix, **more)
            return done.returncode, {check["what"]: check for check in nodes.json.loads(done.stdout)["checks"]}

        # No further user namespaces: the limit of a namespace of our own is ours to set.
        os.chmod(world.dir, 0o777)
        inside = ["unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
        status, checks = doctor(inside, home="without-namespaces")
        assert status == 7 and checks["namespaces"]["level"] == "missing", checks
        assert "user.max_user_namespaces=15000" in checks["namespaces"]["remedy"], checks["namespaces"]

        # A bubblewrap that is refused, in something that calls itself a container.
        with open(world.path("bwrap"), "w") as file:
            file.write("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        os.chmod(world.path("bwrap"), 0o755)
        status, checks = doctor(env=dict(os.environ, PATH=world.dir + ":" + os.environ["PATH"], container="docker"), home="in-container")
        assert status == 7 and "docker run --security-opt seccomp=unconfined" in checks["namespaces"]["remedy"], checks["namespaces"]

        # No control groups: weaker, and what gives some.
        without_groups = namespace(world, "mount -t tmpfs none /sys/fs/cgroup")
        status, checks = doctor(without_groups, home="without-groups")
        assert status == 0 and checks["memory"]["level"] == "weaker" and checks["memory"]["remedy"], checks
        assert checks["pausing"]["detail"] == "what runs is stopped by signals, which it may notice", checks["pausing"]
        assert "no quota can be had" in checks["cpu share"]["detail"], checks["cpu share"]


def port_in_use_is_named(program):
    with World(program) as world:
        task = world.task("good", GOOD)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", 0))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                address = f"127.0.0.1:{taken.getsockname()[1]}"
                for command in (["farm"], ["seed", task], ["get", f"magnet:?xt=urn:btmh:1220{7:064x}"]):
                    expect(world.run(["--listen", address] + command), 1, f"cannot listen on {address}", "--listen")


def second_node_of_a_home_is_refused(program):
    with World(program) as world:
        farmer = world.farmer("farmer")
        task = world.task("good", GOOD)
        for command in (["farm"], ["seed", task]):
            expect(world.run(["--listen", "127.0.0.1:0"] + command, home="farmer"), 1, f"another tnode runs with this home (pid {farmer.pid})", "--home")
        # What only reads works beside it.
        assert world.json_of(["ledger", "balance"], home="farmer")["key"] == farmer.key
        assert world.json_of(["status"], home="farmer")["tasks"] == []
        assert farmer.running()


def broken_homes_are_named(program):
    with World(program) as world:
        with open(world.path("file"), "w") as file:
            file.write("in the way\n")
        for command in (["farm"], ["seed", world.task("good", GOOD)]):
            expect(world.run(["--listen", "127.0.0.1:0"] + command, home="file"), 1, world.path("file"))
        assert open(world.path("file")).read() == "in the way\n"
        os.mkdir(world.path("keyed"))
        with open(world.path("keyed", "key"), "w") as file:
            file.write("not a key\n")
        expect(world.run(["--listen", "127.0.0.1:0", "farm", "--slots", "0"], home="keyed"), 1, "is no key", "restore it from a backup")
        assert open(world.path("keyed", "key")).read() == "not a key\n"


def home_that_cannot_be_written_is_read(program):
    with World(program) as world:
        task = world.task("lonely", GOOD.replace("queue: 20s", "queue: 300ms"))
        expect(world.run(["--listen", "127.0.0.1:0", "seed", task]), 6)
        home = world.path("node")
        prefix = namespace(world, f"mount --bind {home} {home}", f"mount -o remount,ro,bind {home}")
        for command, word in (["status"], "no_bids"), (["explain", "last"], "no farmer bid"), (["ledger", "balance"], "balance"):
            done = expect(world.run(command, prefix=prefix), 0)
            assert word in done.stdout, done
        expect(world.run(["--listen", "127.0.0.1:0", "seed", task], prefix=prefix), 1, "Read-only file system")
        # What a killed writer left is not read as if it were all.
        with open(home + "/tnode.db-wal", "wb") as file:
            file.write(b"x" * 32)
        expect(world.run(["status"], prefix=prefix), 1, "make its folder writable")


def files_of_others_are_called_so(program):
    with World(program) as world:
        if os.geteuid() != 0:
            raise Skipped("only root can be somebody else")
        os.chmod(world.dir, 0o755)
        task = world.task("secret", GOOD)
        os.chmod(os.path.dirname(task), 0o700)
        program = shutil.copy(world.program, world.path("tnode"))  # where the other user can run it
        expect(world.run(["key", "show"]), 0)
        for command in (["seed", task], ["status"]):
            done = subprocess.run([program, "--home", world.path("node" if command == ["status"] else "other")] + command, capture_output=True, text=True, user="nobody", group="nogroup", extra_groups=[], cwd=world.dir)
            expect(done, 2, "Permission denied")


def store_of_a_newer_version_is_left_alone(program):
    with World(program) as world:
        expect(world.run(["--listen", "127.0.0.1:0", "seed", world.task("lonely", GOOD.replace("queue: 20s", "queue: 300ms"))]), 6)
        store = world.path("node", "tnode.db")
        database = sqlite3.connect(store)
        database.execute("PRAGMA user_version = 99")
        database.commit()
        database.close()
        before = hashlib.sha256(open(store, "rb").read()).hexdigest()
        for command in (["farm"], ["seed", world.task("good", GOOD)], ["ledger", "balance"], ["ledger", "history"], ["status"], ["cancel", "last"]):
            expect(world.run(["--listen", "127.0.0.1:0"] + command), 1, "written by a newer tnode (version 99", "update tnode, nothing was changed")
        assert hashlib.sha256(open(store, "rb").read()).hexdigest() == before, "the store was touched"
        database = sqlite3.connect(store)
        database.execute("PRAGMA user_version = 1")
        database.commit()
        database.close()
        assert world.json_of(["ledger", "balance"])["blocks"] == 1

        # Damage is neither repaired in silence nor built upon.
        with open(store, "r+b") as file:
            file.truncate(1000)
        expect(world.run(["--listen", "127.0.0.1:0", "farm", "--slots", "0"]), 1, store)
        with open(world.path("node", "tnode.db"), "wb") as file:
            file.write(b"this is no database, though it is as long as one might be\n" * 100)
        expect(world.run(["--listen", "127.0.0.1:0", "farm", "--slots", "0"]), 1, store)


class SmallDisk:
    """A file system of a few MiB in a mount namespace of its own, seen from here through the process that keeps it."""

    def __init__(self, world, size):
        self.place = world.path("disk")
        os.mkdir(self.place)
        self.prefix = namespace(world, f"mount -t tmpfs -o size={size},mode=0755 tmpfs {self.place}")
        self.inside = f"/proc/{self.prefix[2]}/root{self.place}"

    def fill(self):
        with open(self.inside + "/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def clear(self):
        os.remove(self.inside + "/filler")


def new_home_on_a_full_disk_is_refused(program):
    with World(program) as world:
        disk = SmallDisk(world, "2m")
        disk.fill()
        task = world.task("good", GOOD)
        for command in (["farm", "--slots", "0"], ["farm"], ["seed", task]):
            done = world.run(["--listen", "127.0.0.1:0"] + command, home="disk/home", prefix=disk.prefix)
            expect(done, 1)
            assert "No space left" in done.stderr or "disk is full" in done.stderr or "full" in done.stderr, done.stderr
        disk.clear()
        expect(world.run(["--listen", "127.0.0.1:0", "seed", task, "--set", "timeouts.queue=300ms"], home="disk/home", prefix=disk.prefix), 6)


def farmer_on_a_full_disk_loses_nothing(program):
    with World(program) as world:
        disk = SmallDisk(world, "6m")
        farmer = world.farmer("farmer", home="disk/home", prefix=disk.prefix)
        one = ["--set", "quorum.agree=1"]
        status, answer, _ = world.seed("first", world.task("first", GOOD), one, home="requester", peers=[farmer.listen])
        assert status == 0, answer
        disk.fill()
        # Whether it refuses the award, drops the lease or ends: the requester hears of it or meets its own limits, and pays nothing for nothing.
        second = world.task("second", GOOD.replace("echo good", "echo second"))
        status, answer, requester = world.seed("second", second, one + ["--set", "timeouts.queue=1s", "--set", "timeouts.run=1s", "--set", "timeouts.total=3s"], home="requester", peers=[farmer.listen])
        assert status in (4, 5, 6), f"exit {status}: {requester.stderr()}"
        assert answer["paid_micro"] == 0, answer
        said = farmer.stderr() + "".join(str(event) for event in farmer.events())
        assert "full" in said or "No space left" in said, f"the farmer names its full disk: {said}"
        if not farmer.running():
            assert farmer.process.returncode == 1, farmer.process.returncode
        farmer.stop()
        disk.clear()
        balance = world.run(["-o", "json", "ledger", "balance"], home="disk/home", prefix=disk.prefix)
        expect(balance, 0)
        again = world.farmer("again", home="disk/home", prefix=disk.prefix)
        status, answer, _ = world.seed("third", world.task("third", GOOD.replace("echo good", "echo third")), one, home="requester", peers=[again.listen])
        assert status == 0, answer
        again.stop()
        done = world.run(["-o", "json", "ledger", "balance"], home="disk/home", prefix=disk.prefix)
        mine, theirs = nodes.json.loads(expect(done, 0).stdout), world.json_of(["ledger", "balance"], home="requester")
        assert mine["balance_micro"] == 200_000 and theirs["balance_micro"] == -200_000 and theirs["held_micro"] == 0, (mine, theirs)


def requester_on_a_full_disk_loses_nothing(program):
    with World(program) as world:
        disk = SmallDisk(world, "3m")
        farmer = world.farmer("farmer")
        arguments = ["--listen", "127.0.0.1:0", "--peer", farmer.listen, "-o", "json", "seed"]
        more = ["--set", "quorum.agree=1"]
        big = world.task("big", 'tnode: 1\nname: big\ncommand: [sh, -c, "head -c 4000000 /dev/zero > out/zeros"]\nresources: {disk: 16MiB}\n')
        # Where the outputs are to go is full; the home is not.
        out = disk.place + "/out"
        done = world.run(arguments + [big, "--out", out] + more, home="requester", prefix=disk.prefix)
        expect(done, 1, out, "full")
        paid = world.json_of(["ledger", "balance"], home="requester")["balance_micro"]
        # The same command with room enough: the answer is there already, and is not paid again.
        done = expect(world.run(arguments + [big, "--out", world.path("room")] + more, home="requester"), 0)
        assert os.path.getsize(world.path("room", "zeros")) == 4_000_000, done
        assert world.json_of(["ledger", "balance"], home="requester")["balance_micro"] == -100_000 and paid in (0, -100_000)
        # A home without room for the result.
        done = world.run(arguments + [big, "--out", world.path("room2"), "--set", "timeouts.run=5s", "--set", "timeouts.total=10s"] + more, home="disk/home", prefix=disk.prefix)
        assert done.returncode in (1, 5), done
        assert "full" in done.stderr or "No space left" in done.stderr, done.stderr
        expect(world.run(["ledger", "balance"], home="disk/home", prefix=disk.prefix), 0)


# --- markets where nothing can be had ---

def tasks_that_nobody_takes_end_with_their_own_status(program):
    with World(program) as world:
        good = world.task("good", GOOD)
        status, answer, requester = world.seed("alone", good, ["--set", "timeouts.queue=1s"])
        assert (status, answer["state"]) == (6, "no_bids") and "no farmer bid within timeouts.queue" in requester.stderr(), requester.stderr()

        dear = world.farmer("dear", ["--min-price", "5"])
        status, answer, requester = world.seed("poor", good, ["--set", "timeouts.queue=1s", "--set", "quorum.agree=1"], peers=[dear.listen])
        assert (status, answer["state"]) == (6, "no_bids") and "price_too_low" in requester.stderr(), requester.stderr()

        lone = ["--set", "timeouts.queue=1s", "--set", "market.max_price=6"]
        status, answer, requester = world.seed("lone", good, lone, peers=[dear.listen])
        assert (status, answer["state"]) == (4, "no_quorum") and "1 farmer bid within timeouts.queue; quorum.agree is 2" in requester.stderr(), requester.stderr()
        assert answer["paid_micro"] == 0

        greedy = world.farmer("greedy", ["--min-price", "400000", "--stranger-cap", "1000000"])
        rich = ["--set", "quorum.agree=1", "--set", "market.max_price=500000"]
        status, answer, requester = world.seed("broke", good, rich, peers=[greedy.listen])
        assert (status, answer["state"]) == (8, "no_credit") and "400000 credits are needed, 1000 are free" in requester.stderr(), requester.stderr()
        for home in ("alone", "poor", "lone", "broke"):
            balance = world.json_of(["ledger", "balance"], home=home)
            assert balance["balance_micro"] == 0 and balance["held_micro"] == 0, (home, balance)


SILENT_NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("%s", 53))
while True:
    server.recv(4096)
    print("asked", flush=True)
"""


def silent_name_server_keeps_no_node_from_leaving(program):
    """libtorrent asks for the DHT's routers by name and cannot be made to stop waiting: the node must not wait, and not fall over it."""
    with World(program) as world:
        inside = network_namespace(world, resolver=NETWORK)
        server = world.start("name-server", inside + [sys.executable, "-c", SILENT_NAME_SERVER % NETWORK])
        for count in range(1, 6):
            node = world.farmer(f"node-{count}", listen=NETWORK + ":0", prefix=inside)
            until(lambda: server.stdout().count("asked") >= count, "the name server is asked")
            node.process.terminate()
            assert node.wait(5) == 0, node.stderr()
            assert "leaving" in node.stderr().splitlines()[-1], node.stderr()


if __name__ == "__main__":
    nodes.main([task_file_is_refused_with_all_its_mistakes, broken_torrents_are_refused_by_seed_get_and_watch, wrong_magnets_are_refused, wrong_usage_ends_with_two, folders_in_place_of_files_are_named, unknown_ids_are_named,
                farm_without_bubblewrap_names_what_to_install, farm_without_user_namespaces_says_so, doctor_tells_what_mends_the_machine, port_in_use_is_named, second_node_of_a_home_is_refused, broken_homes_are_named,
                home_that_cannot_be_written_is_read, files_of_others_are_called_so, store_of_a_newer_version_is_left_alone, new_home_on_a_full_disk_is_refused, farmer_on_a_full_disk_loses_nothing, requester_on_a_full_disk_loses_nothing,
                tasks_that_nobody_takes_end_with_their_own_status, silent_name_server_keeps_no_node_from_leaving])
