"""Runtimes over real processes: packed the same anywhere, fetched and unpacked once, kept within a limit, harmless when hostile."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import LIMIT, Net, main, until

TASK = """tnode: 1
name: {name}
command: [sh, -c, "cat /etc/motto; [ -e /usr/bin/python3 ] && echo of the host; cat /etc/motto > out/motto; ls / /etc /usr/bin > out/names"]
runtime: "magnet:?xt=urn:btmh:1220{runtime}"
env: {{N: "{number}"}}
timeouts: {{queue: {queue}}}
"""
HOST_TASK = """tnode: 1
command: [sh, -c, "echo well > out/a"]
"""


def make_tree(folder, motto="made for tnode", ballast=0, many=0):
    """A root file system of a few programs of this machine and what they are linked with."""
    os.makedirs(folder + "/usr/bin")
    os.makedirs(folder + "/etc")
    for name in ("bin", "lib", "lib64"):
        os.makedirs(f"{folder}/usr/{name}", exist_ok=True)
        os.symlink("usr/" + name, f"{folder}/{name}")
    for program in ("sh", "cat", "ls", "id"):
        path = os.path.realpath(shutil.which(program))
        shutil.copy(path, f"{folder}/usr/bin/{program}")
        for library in re.findall(r"(/\S+)", subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout):
            target = folder + (library if library.startswith("/usr") else "/usr" + library)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(library, target)
    with open(folder + "/etc/motto", "w") as file:
        file.write(motto + "\n")
    if ballast:
        with open(folder + "/ballast", "wb") as file:
            file.write(os.urandom(ballast))
    for i in range(many):
        if i % 1000 == 0:
            os.makedirs(f"{folder}/many/{i // 1000}")
        with open(f"{folder}/many/{i // 1000}/{i}", "w") as file:
            file.write(str(i))


def farm(net, name, options=(), **more):
    """A farmer that takes anyone's task, also where limits are only watched (a user without control groups)."""
    return net.farmer(name, options=["--accept", "anyone"] + list(options), **more)


def pack(net, home, tree, prefix=()):
    done = subprocess.run(list(prefix) + [net.program, "--home", os.path.join(net.dir, home), "-o", "json", "runtime", "pack", tree, "--out", os.path.join(net.dir, "packed.torrent")],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def forge(net, home, *entries, manifest="fits"):
    forger = os.path.join(os.path.dirname(net.program), "tests", "tnode_runtime_forger")
    done = subprocess.run([forger, os.path.join(net.dir, home), manifest, *entries], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(net, name, runtime, farmers, number=0, queue="30s", options=()):
    task = net.task(f"{name}-{number}", TASK.format(name=name, runtime=runtime, number=number, queue=queue))
    return net.seed("requester", task, peers=[f.listen for f in farmers], out=f"{net.dir}/{name}-{number}-out", options=options)


def answer(seed):
    assert seed.wait() == 0, seed.log()
    return seed.expect("answer", limit=1)


def read(path):
    with open(path) as file:
        return file.read()


def the_same_tree_gives_the_same_runtime(program):
    with Net(program) as net:
        make_tree(net.dir + "/one")
        shutil.copytree(net.dir + "/one", net.dir + "/two", symlinks=True)
        first = pack(net, "requester", net.dir + "/one")
        assert pack(net, "requester", net.dir + "/one")["runtime_id"] == first["runtime_id"]
        # Another host, user and day: other times, owners, modes, devices, and what debootstrap copies from the host.
        for at, folders, files in os.walk(net.dir + "/two"):
            for path in [os.path.join(at, name) for name in folders + files]:
                os.utime(path, (1, 1), follow_symlinks=False)
                if os.geteuid() == 0:
                    os.chown(path, 1234, 4321, follow_symlinks=False)
                if not os.path.islink(path):
                    os.chmod(path, 0o4775 if os.access(path, os.X_OK) else 0o640)
        os.mkfifo(net.dir + "/two/usr/pipe")
        for path in ("etc/hostname", "etc/resolv.conf", "etc/passwd"):
            with open(f"{net.dir}/two/{path}", "w") as file:
                file.write("of one machine")
        os.makedirs(net.dir + "/two/tmp/left")
        second = pack(net, "other", net.dir + "/two", prefix=["sh", "-c", 'umask 077; exec "$@"', "sh"])
        assert second["runtime_id"] == first["runtime_id"], (first, second)
        assert second["left_out"] == first["left_out"] + 5
        with open(net.dir + "/two/etc/motto", "a") as file:
            file.write(".")
        assert pack(net, "other", net.dir + "/two")["runtime_id"] != first["runtime_id"]
        # Anybody can look into it with the tools at hand.
        image = [os.path.join(at, "root.tar") for at, _, names in os.walk(f"{net.dir}/requester/runtimes/{first['runtime_id']}") if "root.tar" in names][0]
        listed = subprocess.run(["tar", "tf", image], capture_output=True, text=True, check=True).stdout.split("\n")
        assert "etc/motto" in listed and "usr/bin/" in listed
        status, out, err = net.run("other", ["-o", "json", "runtime", "list"])
        runtimes = json.loads(out)["runtimes"]
        assert status == 0 and len(runtimes) == 2, err
        status, out, err = net.run("other", ["-o", "id", "runtime", "remove", first["runtime_id"][:8]])
        assert status == 0 and out.strip() == first["runtime_id"], err
        status, out, err = net.run("other", ["-o", "id", "runtime", "list"])
        assert first["runtime_id"] not in out, out


def a_task_runs_in_its_runtime_which_is_fetched_once(program):
    with Net(program) as net:
        make_tree(net.dir + "/tree")
        runtime = pack(net, "requester", net.dir + "/tree")["runtime_id"]
        farmers = [farm(net, f"farmer{i}") for i in range(2)]
        seed = ask(net, "first", runtime, farmers)
        first = answer(seed)
        assert read(first["out"] + "/motto") == "made for tnode\n"
        names = read(first["out"] + "/names").split()
        assert "motto" in names and "python3" not in names and "host.conf" not in names, names
        assert len([e for e in seed.events if e["event"] == "refused" and e["reason"] == "preparing_runtime"]) == 2
        for farmer in farmers:
            farmer.expect("runtime_ready", runtime=runtime)
        answer(ask(net, "second", runtime, farmers, number=1))
        for farmer in farmers:
            farmer.read(0.1)
            assert len([e for e in farmer.events if e["event"] == "runtime_ready"]) == 1, "it was there already"
        assert net.check_ledgers(["requester", "farmer0", "farmer1"])[0] >= 4
        # A requester that has only the link: the farmers pass the runtime on to one that comes late.
        late = farm(net, "late", peers=[f.listen for f in farmers])
        shutil.rmtree(net.dir + "/requester/runtimes")
        for farmer in farmers:
            farmer.stop()
        farmers = [farm(net, "farmer0", peers=[late.listen]), late]
        third = answer(ask(net, "third", runtime, farmers, number=2))
        late.expect("runtime_ready", runtime=runtime)
        assert read(third["out"] + "/motto") == "made for tnode\n"


def a_full_cache_lets_the_longest_unused_runtime_go(program):
    with Net(program) as net:
        runtimes = []
        for i in range(3):
            make_tree(f"{net.dir}/tree{i}", motto=f"motto {i}", ballast=6 << 20)
            runtimes.append(pack(net, "requester", f"{net.dir}/tree{i}")["runtime_id"])
        farmers = [farm(net, f"farmer{i}", options=["--runtime-cache", "50MiB"]) for i in range(2)]
        for number, which in enumerate([0, 1, 0, 2, 1]):
            done = answer(ask(net, "task", runtimes[which], farmers, number=number))
            assert read(done["out"] + "/motto") == f"motto {which}\n"
        for farmer in farmers:
            farmer.read(0.1)
            removed = [e["runtime"] for e in farmer.events if e["event"] == "runtime_removed"]
            assert removed == [runtimes[1], runtimes[0]], removed
            until(lambda: len(os.listdir(f"{farmer.home}/runtimes")) == 2, "what was let go is gone from the disk")


def a_farmer_says_why_it_does_not_take_a_runtime(program):
    with Net(program) as net:
        make_tree(net.dir + "/tree", ballast=3 << 20)
        runtime = pack(net, "requester", net.dir + "/tree")["runtime_id"]
        foreign = forge(net, "requester", "file:a:x", manifest="pdp11")
        farmers = [farm(net, "small", options=["--runtime-cache", "8MiB"]), farm(net, "none", options=["--runtime-cache", "0"])]
        seed = ask(net, "large", runtime, farmers, queue="3s")
        assert "at most" in seed.expect("refused", reason="no_runtime", farmer=farmers[0].key)["detail"]
        assert "host" in seed.expect("refused", reason="no_runtime", farmer=farmers[1].key)["detail"]
        assert seed.wait() == 6, seed.log()
        assert os.listdir(net.dir + "/small/runtimes") == []
        seed = ask(net, "foreign", foreign, farmers[:1], queue="3s")
        assert "pdp11" in seed.expect("refused", reason="no_runtime", farmer=farmers[0].key)["detail"]
        assert seed.wait() == 6, seed.log()
        status, _, err = net.run("other", ["farm", "--runtime-cache", "8"])
        assert status == 2 and "--runtime-cache" in err, err
        with open(net.dir + "/small/config.yaml", "w") as file:
            file.write("farm:\n  runtime_cache: 64MiB\n")
        farmers[0].stop()
        again = farm(net, "small")
        answer(ask(net, "large", runtime, [again], number=1, options=["--set", "quorum.agree=1"]))


def hostile_runtimes_are_refused_with_one_reason_and_touch_nothing(program):
    with Net(program) as net:
        target = net.dir + "/target"
        os.makedirs(target)
        with open(target + "/file", "w") as file:
            file.write("untouched")
        farmer = farm(net, "farmer", options=["--runtime-cache", "64MiB"])
        hostile = {
            "'.' or '..'": ["file:../../evil:x"],
            "is an absolute path": [f"file:{target}/evil:x"],
            "is in no folder": [f"link:a:{target}", "file:a/evil:x"],
            "comes twice": ["folder:a", f"link:a:{target}", "file:a/evil:x"],
            "is a device": ["type:4:disk"],
            "is a hard link": ["type:1:passwd"],
            "is a pipe": ["type:6:pipe"],
            "one canonical form": ["mode:0004755:su"],
            "which the sandbox makes itself": ["folder:etc", "file:etc/passwd:root::0:0"],
            "'etc' is no folder": [f"link:etc:{target}"],
            "ends too early": ["file:a:x", "cut"],
        }
        for number, (reason, entries) in enumerate(hostile.items()):
            seed = ask(net, "hostile", forge(net, "requester", *entries), [farmer], number=number, queue="2s")
            detail = seed.expect("refused", reason="no_runtime")["detail"]
            assert reason in detail, (reason, detail)
            seed.stop()
        seed = ask(net, "bomb", forge(net, "requester", *[f"zeros:f{i}:1000000" for i in range(9)], manifest="small"), [farmer], queue="2s")
        assert "more than its manifest says" in seed.expect("refused", reason="no_runtime")["detail"]
        seed.stop()
        assert os.listdir(target) == ["file"] and read(target + "/file") == "untouched"
        assert not [at for at, _, names in os.walk(net.dir + "/farmer") if "evil" in names]
        until(lambda: os.listdir(net.dir + "/farmer/runtimes") == [], "nothing of them is kept")
        # Links may point anywhere, and mean what they say inside the sandbox only.
        tree = net.dir + "/links"
        make_tree(tree)
        os.symlink(target, tree + "/opt")
        os.symlink(target + "/file", tree + "/etc/motto2")
        os.symlink("../../../../../../../.." + target, tree + "/usr/up")
        runtime = pack(net, "requester", tree)["runtime_id"]
        task = net.task("links-task", f"""tnode: 1
command: [sh, -c, "cat /opt/file || cat /etc/motto2 || cat /usr/up/file || echo none > out/a"]
runtime: "magnet:?xt=urn:btmh:1220{runtime}"
quorum: {{agree: 1}}
""")
        done = answer(net.seed("requester", task, peers=[farmer.listen], out=net.dir + "/links-out"))
        assert read(done["out"] + "/a") == "none\n"
        answer(net.seed("requester", net.task("host", HOST_TASK), peers=[farmer.listen], options=["--set", "quorum.agree=1"]))


def hosts_that_differ_give_one_result_with_one_runtime(program):
    if os.geteuid() != 0:
        return print("skipped hosts_that_differ_give_one_result_with_one_runtime: only root can give a farmer another /usr")
    with Net(program) as net:
        # Another host: `id` is another program there, as it may be in another release.
        other = net.dir + "/id"
        with open(other, "w") as file:
            file.write("#!/bin/sh\necho another release\n")
        os.chmod(other, 0o755)
        wrapper = net.dir + "/on-another-host"
        with open(wrapper, "w") as file:
            file.write(f'#!/bin/sh\nexec unshare --mount sh -c "mount --bind {other} {os.path.realpath("/usr/bin/id")} && exec {program} \\"\\$@\\"" sh "$@"\n')
        os.chmod(wrapper, 0o755)
        farmers = [farm(net, "here"), farm(net, "there", program=wrapper)]
        task = """tnode: 1
command: [sh, -c, "id > out/a"]
quorum: {agree: 2, max: 2}
"""
        peers = [f.listen for f in farmers]
        seed = net.seed("requester", net.task("apart", task), peers=peers)
        assert seed.wait() == 4, seed.log()
        make_tree(net.dir + "/tree")
        pack(net, "requester", net.dir + "/tree")
        text = task + "runtime: ../packed.torrent\n"
        done = answer(net.seed("requester", net.task("together", text), peers=peers, out=net.dir + "/together-out"))
        assert read(done["out"] + "/a").startswith("uid=1000"), read(done["out"] + "/a")


def a_runtime_comes_from_where_its_link_says(program):
    with Net(program) as net:
        make_tree(net.dir + "/tree")
        runtime = pack(net, "holder", net.dir + "/tree")["runtime_id"]
        holder = net.farmer("holder", options=["--slots", "0"])
        farmer = farm(net, "farmer")
        task = net.task("task", TASK.format(name="task", runtime=f"{runtime}&x.pe={holder.listen}", number=0, queue="30s") + "quorum: {agree: 1}\n")
        done = answer(net.seed("requester", task, peers=[farmer.listen], out=net.dir + "/task-out"))
        assert read(done["out"] + "/motto") == "made for tnode\n"
        assert not os.path.exists(net.dir + "/requester/runtimes/" + runtime)


def offers_alone_bring_no_more_than_the_cache_holds(program):
    with Net(program) as net:
        farmer = farm(net, "farmer", options=["--runtime-cache", "50MiB"])
        # Bids that no award follows: it would take a second farmer.
        for number in range(3):
            make_tree(f"{net.dir}/tree{number}", motto=f"motto {number}", ballast=18 << 20)
            runtime = pack(net, "requester", f"{net.dir}/tree{number}")["runtime_id"]
            seed = ask(net, "never", runtime, [farmer], number=number, queue="60s")
            if number < 2:
                farmer.expect("runtime_ready", runtime=runtime)
            else:
                detail = seed.expect("refused", reason="no_runtime")["detail"]
                assert "the others became no awards" in detail, detail
            seed.stop()


def a_farmer_killed_while_it_unpacks_goes_on(program):
    with Net(program) as net:
        make_tree(net.dir + "/tree", many=2_000)
        runtime = pack(net, "requester", net.dir + "/tree")["runtime_id"]
        farmer = farm(net, "farmer")
        seed = ask(net, "task", runtime, [farmer], queue="60s", options=["--set", "quorum.agree=1"])
        place = f"{net.dir}/farmer/runtimes/{runtime}"
        end = time.monotonic() + LIMIT
        while not os.path.exists(place + "/root.partial/etc"):  # no pause: unpacking may take less than one
            assert time.monotonic() < end, "it unpacks"
        farmer.kill()
        assert not os.path.exists(place + "/root"), "the machine is too fast for this test: give the tree more files"
        os.makedirs(place + "/root.partial/left")
        requester = seed.expect("task")["listen"]
        again = farm(net, "farmer", peers=[requester])
        done = answer(seed)
        assert read(done["out"] + "/motto") == "made for tnode\n"
        assert [name for name in sorted(os.listdir(place)) if not name.startswith("tnode-runtime-")] == ["ran", "root", "torrent"] and not os.path.exists(place + "/root/left"), os.listdir(place)
        assert len(os.listdir(place + "/root/many")) == 2
        # A runtime that was packed in a farmer's home is served by the node that runs there, at once.
        make_tree(net.dir + "/later", motto="later")
        later = pack(net, "farmer", net.dir + "/later")["runtime_id"]
        helper = farm(net, "helper", peers=[again.listen])
        done = answer(ask(net, "later", later, [helper], number=1, options=["--set", "quorum.agree=1"]))
        assert read(done["out"] + "/motto") == "later\n"
        status, _, err = net.run("farmer", ["runtime", "remove", later])
        assert status == 1 and "a node runs" in err, err


if __name__ == "__main__":
    main([the_same_tree_gives_the_same_runtime, a_task_runs_in_its_runtime_which_is_fetched_once, a_full_cache_lets_the_longest_unused_runtime_go, a_farmer_says_why_it_does_not_take_a_runtime,
          hostile_runtimes_are_refused_with_one_reason_and_touch_nothing, hosts_that_differ_give_one_result_with_one_runtime, a_runtime_comes_from_where_its_link_says,
          offers_alone_bring_no_more_than_the_cache_holds, a_farmer_killed_while_it_unpacks_goes_on])
