"""Stock BitTorrent clients as peers: they download tasks and results from farmers alone, and farmers take tasks from them alone."""
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import nodes
from nodes import NETWORK, Skipped, World, contents, network_namespace, until

HERE = os.path.dirname(os.path.abspath(__file__))

WORK = """import random, sys
index = int(sys.argv[1])
with open(f"out/part-{index}.bin", "wb") as file:
    file.write(random.Random(index).randbytes(700_000))
with open(f"out/note-{index}.txt", "w") as file:
    file.write(open("in/deep/er/note.txt").read() + str(index))
"""
TASK = """tnode: 1
name: shared
command: [python3, in/work.py, "{index}"]
inputs: [./work.py, ./deep, ./big.bin]
array: {range: 0-3, batch: 2}
resources: {disk: 16MiB}
timeouts: {queue: 20s, run: 30s, total: 120s}
"""


def make_task(world, name="task"):
    import random
    # Several pieces, several folders, and a file that begins in the middle of nothing.
    return world.task(name, TASK, {"work.py": WORK, "big.bin": random.Random(1).randbytes(3_000_000), "deep/er/note.txt": "a note, ", "deep/one": "1"})


def inputs_of(task):
    folder = os.path.dirname(task)
    return {"in/" + path: content for path, content in contents(folder).items() if path in ("work.py", "big.bin") or path.startswith("deep/")}


def by_hand(world, task):
    """What the command writes when a person runs it."""
    folder = world.path("by-hand")
    os.makedirs(os.path.join(folder, "out"))
    shutil.copytree(os.path.dirname(task), os.path.join(folder, "in"))
    for index in range(4):
        subprocess.run([sys.executable, "in/work.py", str(index)], cwd=folder, check=True)
    return {"out/" + path: content for path, content in contents(os.path.join(folder, "out")).items()}


class Swarm:
    """Two farmers that go on after the requester whose task they did has left."""

    def __init__(self, world, listen="127.0.0.1:0", prefix=()):
        self.world = world
        one = world.farmer("farmer-1", listen=listen, prefix=prefix)
        two = world.farmer("farmer-2", listen=listen, prefix=prefix, peers=[one.listen])
        self.farmers = [one, two]
        self.task = make_task(world)
        status, self.answer, requester = world.seed("requester", self.task, peers=[one.listen, two.listen], listen=listen, prefix=prefix)
        assert status == 0 and not requester.running(), requester.stderr()
        self.result_files = by_hand(world, self.task)
        assert {"out/" + path: content for path, content in contents(self.answer["out"]).items()} == self.result_files, "the result is what the command gives by hand"
        # What was seeded from is not there any more; only the farmers have it.
        shutil.move(world.path("requester"), world.path("requester-gone"))

    def torrent(self, what, kind=""):
        """The .torrent of the task or the result, as the requester wrote it beside them."""
        return os.path.join(os.path.dirname(self.task), f"shared{kind}.torrent") if what == "task" else self.answer["out"] + f"{kind}.torrent"

    def check(self, what, folder):
        """All of the payload is in the folder, byte by byte. A client says that it is done a little before its disk is."""
        wanted = dict(inputs_of(self.task) if what == "task" else self.result_files)

        def found():
            files = contents(folder)
            assert len({path.split("/", 1)[0] for path in files}) <= 1, f"not one folder of the torrent's name: {sorted(files)}"
            return {path.split("/", 1)[1]: content for path, content in files.items()}

        def whole():
            files = found()
            return files.pop("manifest", None) and files == wanted
        try:
            until(whole, "the download is whole on disk", 10)
        except AssertionError:
            files = found()
            wrong = [path for path in wanted if files.get(path) != wanted[path]]
            raise AssertionError(f"{what}: {sorted(files)} instead of {sorted(wanted)} and a manifest; missing or with other bytes: {wrong}") from None


# --- libtorrent, which qBittorrent, Deluge and others are made of ---

class Client:
    """A stock client's session on loopback, in a process of its own. Without `utp` it dials by TCP at once: nodes on loopback have no uTP, and a
    client that tries it first goes on to TCP after five seconds."""

    def __init__(self, world, name, dht="", utp=False):
        if not importlib.util.find_spec("libtorrent"):
            raise Skipped("python3-libtorrent is not installed (sudo apt install python3-libtorrent)")
        # All nodes here have one address: a client that knows one peer an address would dial the requester of the magnet link, which has left,
        # and the farmer that it is given next only a minute later.
        settings = {"allow_multiple_connections_per_ip": True, "listen_interfaces": "127.0.0.1:0", "enable_upnp": False, "enable_natpmp": False, "enable_lsd": False, "enable_dht": bool(dht), "enable_outgoing_utp": utp}
        if dht:
            settings.update({"dht_bootstrap_nodes": dht, "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False})
        self.process = world.start(name, [sys.executable, os.path.join(HERE, "libtorrent_client.py"), json.dumps(settings)], stdin=subprocess.PIPE)
        self.answers = 0
        hello = self.answer()
        self.address, self.version = f"127.0.0.1:{hello['port']}", hello["version"]

    def answer(self):
        def there():
            lines = self.process.stdout().split("\n")[:-1]
            assert len(lines) > self.answers or self.process.running(), f"{self.process.name} fell: {self.process.stderr()}"
            return lines[self.answers:self.answers + 1]
        line = until(there, f"{self.process.name} answers", 20)[0]
        self.answers += 1
        return json.loads(line)

    def tell(self, do, name, **more):
        self.process.process.stdin.write((json.dumps({"do": do, "name": name, **more}) + "\n").encode())
        self.process.process.stdin.flush()
        return self.answer()

    def add(self, name, source, folder, peers=()):
        os.makedirs(folder, exist_ok=True)
        self.tell("add", name, source=source, folder=folder, peers=list(peers))

    def wait(self, name, peers=(), limit=40):
        """Until it has all of it."""
        resumed, status = 0, {}

        def has_all():
            nonlocal resumed, status
            status = self.tell("status", name)
            # libtorrent 2.0.8 stops a hybrid torrent when a piece's v2 hash arrives while the piece, found good, is still being written
            # (torrent::add_hashes; mended in 2.0.9). Its user presses Resume.
            if "v1 and v2 hashes do not describe the same data" in status["error"] and resumed < 10:
                resumed += 1
                print(f"note    {name}: the client's own race (libtorrent {self.version}), resumed", flush=True)
                self.tell("resume", name, peers=list(peers))
            return status["has_all"]
        try:
            until(has_all, f"the client has all of {name}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}: {status}") from None

    def download(self, name, source, folder, peers):
        self.add(name, source, folder, peers)
        self.wait(name, peers)
        self.tell("forget", name)


def libtorrent_client_downloads_task_and_result(program):
    with World(program) as world:
        # One for each way to name a torrent: a session knows a torrent once.
        clients = {kind: Client(world, "client-by-" + kind) for kind in ("torrent", "magnet", "twin")}
        swarm = Swarm(world)
        # As it comes from its makers, uTP and all, while the others go on.
        patient, patient_folder = Client(world, "patient-client", utp=True), world.path("download-patiently")
        patient.add("the result, with uTP tried first", swarm.torrent("result"), patient_folder, [swarm.farmers[0].listen])
        for farmer in swarm.farmers:
            downloads = []
            for what in ("task", "result"):
                for kind, source in (("torrent", swarm.torrent(what)), ("magnet", swarm.answer[what + "_magnet"]), ("twin", swarm.torrent(what, ".v1"))):
                    folder = world.path(f"download-{farmer.name}-{what}-{kind}")
                    name = f"the {what} by {kind} from {farmer.name} alone"
                    clients[kind].add(name, source, folder, [farmer.listen])
                    downloads.append((what, kind, folder, name))
            for what, kind, folder, name in downloads:
                clients[kind].wait(name, [farmer.listen])
                clients[kind].tell("forget", name)
                swarm.check(what, folder)
        patient.wait("the result, with uTP tried first", [swarm.farmers[0].listen])
        swarm.check("result", patient_folder)


def program_downloads_from_a_libtorrent_client_alone(program):
    with World(program) as world:
        client = Client(world, "mirror-client")
        swarm = Swarm(world)
        for what in ("task", "result"):
            client.download("the " + what, swarm.torrent(what), world.path("mirror", what), [swarm.farmers[0].listen])
        for farmer in swarm.farmers:
            farmer.stop()
        for what in ("task", "result"):
            client.add("the mirrored " + what, swarm.torrent(what), world.path("mirror", what))
            client.wait("the mirrored " + what)
            magnet = swarm.answer[what + "_magnet"].split("&x.pe=")[0] + "&x.pe=" + client.address
            done = world.run(["--listen", "127.0.0.1:0", "get", magnet, "--out", world.path("got", what), "--timeout", "20s"], home="reader")
            assert done.returncode == 0, done.stderr
            swarm.check(what, world.path("got", what))
            done = world.run(["--listen", "127.0.0.1:0", "--peer", client.address, "get", swarm.torrent(what), "--out", world.path("got-by-file", what), "--timeout", "20s"], home="reader")
            assert done.returncode == 0, done.stderr
            swarm.check(what, world.path("got-by-file", what))


def task_of_a_stock_client_alone_reaches_farmers(program):
    with World(program) as world:
        task = make_task(world)
        packed = world.json_of(["seed", task, "--torrent-only"], home="packer")
        task_id, torrent = packed["task_id"], world.path("shared.torrent")
        watches = [world.path("watch-torrent"), world.path("watch-magnet"), world.path("watch-nothing")]
        for watch in watches:
            os.mkdir(watch)
        # Who takes nothing but what was dropped in its folder shows that the folder is what let the task in.
        farmers = [world.farmer("by-torrent", ["--watch", watches[0], "--accept", "watched"])]
        for name, watch in (("by-magnet", watches[1]), ("by-nothing", watches[2])):
            farmers.append(world.farmer(name, ["--watch", watch, "--accept", "watched"], bootstrap=[farmers[0].listen]))
        client = Client(world, "client", dht=farmers[0].listen)
        shutil.move(world.path("packer", "tasks", task_id), world.path("payload"))
        shutil.rmtree(world.path("packer"))
        client.add("the task", torrent, world.path("payload"))
        client.wait("the task")

        shutil.copy(torrent, watches[0])
        with open(os.path.join(watches[1], "shared.magnet"), "w") as file:
            file.write(packed["task_magnet"].split("&x.pe=")[0] + "&x.pe=" + client.address + "\n")
        # A .torrent names no peer: the farmer finds the client by DHT, where both are.
        for farmer, moved in ((farmers[1], watches[1] + "/done/shared.magnet"), (farmers[0], watches[0] + "/done/shared.torrent")):
            until(lambda: os.path.exists(moved), f"{farmer.name} has the task: {moved}", 40)
            found = contents(world.path(farmer.name, "tasks", task_id))
            assert {path.split("/", 1)[1]: content for path, content in found.items() if "/in/" in path} == inputs_of(task), sorted(found)
        assert not os.listdir(world.path("by-nothing", "tasks"))

        status, answer, requester = world.seed("requester", task, peers=[farmer.listen for farmer in farmers])
        assert status == 0, requester.stderr()
        assert answer["task_id"] == task_id, "packed again it is the same task"
        assert {paid["key"] for paid in answer["farmers"]} == {farmers[0].key, farmers[1].key}, answer["farmers"]
        assert {"out/" + path: content for path, content in contents(answer["out"]).items()} == by_hand(world, task)
        assert farmers[2].events("declined")[0]["reason"] == "not_watched"


# --- clients too old for hybrid torrents ---

def need(client):
    found = shutil.which(client)
    if not found:
        raise Skipped(f"{client} is not installed (sudo apt install {'aria2' if client == 'aria2c' else client})")
    return found


def start_tracker(world, address, farmers, prefix=()):
    tracker = world.start("tracker", list(prefix) + [sys.executable, os.path.join(HERE, "tracker.py"), address] + [farmer.listen for farmer in farmers])
    return until(lambda: tracker.stdout().strip(), "the tracker listens", 10)


def aria2c_downloads_task_and_result_by_the_twin(program):
    with World(program) as world:
        aria2c = need("aria2c")
        swarm = Swarm(world)
        announce = start_tracker(world, "127.0.0.1", swarm.farmers)
        clients = []
        for what in ("task", "result"):
            clients.append(world.start("aria2c-" + what, [aria2c, "--no-conf", "--dir", world.path("download-" + what), "--bt-tracker", announce, "--seed-time=0", "--enable-dht=false",
                                                          "--enable-dht6=false", "--bt-enable-lpd=false", "--disable-ipv6=true", "--summary-interval=0", "--file-allocation=none",
                                                          swarm.torrent(what, ".v1")], env=dict(os.environ, HOME=world.dir)))
        for what, client in zip(("task", "result"), clients):
            assert client.wait(60) == 0, client.stdout()
            swarm.check(what, world.path("download-" + what))


def with_tracker(torrent, announce, path):
    """transmission-cli knows only the trackers in a .torrent; what stands outside of `info` is not part of its hash."""
    with open(torrent, "rb") as file:
        content = file.read()
    assert content.startswith(b"d4:info"), content[:20]
    with open(path, "wb") as file:
        file.write(b"d8:announce%d:%s" % (len(announce), announce.encode()) + content[1:])
    return path


def transmission_downloads_task_and_result_by_the_twin(program):
    with World(program) as world:
        transmission = need("transmission-cli")
        prefix = network_namespace(world)
        swarm = Swarm(world, NETWORK + ":0", prefix)
        announce = start_tracker(world, NETWORK, swarm.farmers, prefix)
        clients = []
        for port, what in ((51413, "task"), (51414, "result")):
            folder, config, done = world.path("download-" + what), world.path("config-" + what), world.path("finished-" + what)
            os.mkdir(folder)
            with open(done + ".sh", "w") as file:
                file.write(f"#!/bin/sh\ntouch {done}\n")
            os.chmod(done + ".sh", 0o755)
            torrent = with_tracker(swarm.torrent(what, ".v1"), announce, world.path(what + "-with-tracker.torrent"))
            clients.append(world.start("transmission-" + what, prefix + [transmission, "--config-dir", config, "--download-dir", folder, "--finish", done + ".sh", "--no-portmap",
                                                                         "--port", str(port), torrent], env=dict(os.environ, HOME=world.dir)))
        # It makes up its mind about peers every ten seconds.
        for what, client in zip(("task", "result"), clients):
            until(lambda: os.path.exists(world.path("finished-" + what)) or not client.running(), "transmission-cli has it all", 90)
            client.process.kill()  # it would seed on, and take its time to say good-bye to the tracker
            client.process.wait()
            swarm.check(what, world.path("download-" + what))


if __name__ == "__main__":
    nodes.main([libtorrent_client_downloads_task_and_result, program_downloads_from_a_libtorrent_client_alone, task_of_a_stock_client_alone_reaches_farmers,
                aria2c_downloads_task_and_result_by_the_twin, transmission_downloads_task_and_result_by_the_twin])
