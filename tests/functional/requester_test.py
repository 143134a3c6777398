"""What a requester's user meets: where outputs may go, what is said and kept of failures, leaving and coming back. Loopback only."""
import fcntl
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import Net, main, until

FAST = """tnode: 1
name: squares
command: [sh, -c, "echo {index} >> out/{index}.txt"]
array: {range: 0-5, batch: 2}
timeouts: {queue: 60s}
"""
SLOW = 'tnode: 1\nname: slow\ncommand: [sleep, "100"]\ntimeouts: {queue: 60s}\n'


def seed(net, arguments, peers=(), home="requester", env=None):
    """One `seed` to its end: (status, stdout, stderr)."""
    more = [option for peer in peers for option in ("--peer", peer)]
    return net.run(home, ["--listen", "127.0.0.1:0", "-o", "json"] + more + ["seed"] + arguments)


def farmers_of(net):
    return [net.farmer(f"farmer{i}").listen for i in range(2)]


def record(net, id="last", home="requester"):
    status, out, err = net.run(home, ["-o", "json", "explain", id])
    assert status == 0, err
    return json.loads(out)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def unlocked(path):
    with open(path, "r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def a_detached_seed_says_whether_it_stands(program):
    with Net(program) as net:
        task, peers = net.task("t", FAST), farmers_of(net)
        status, out, err = net.run("requester", ["--listen", peers[0], "seed", "--detach", task])
        assert status == 1 and out == "" and "cannot listen" in err, (status, out, err)
        status, out, err = seed(net, ["--detach", task], peers)
        assert status == 0, err
        answer = json.loads(out)
        # The offer is on record already, and the hint works as it is.
        assert record(net, answer["task_id"][:12])["state"] in ("running", "done")
        until(lambda: record(net, answer["task_id"])["state"] == "done", "the detached task is done")
        assert os.path.exists(net.dir + "/squares-result/5.txt")
        status, out, err = net.run("other", ["--listen", "127.0.0.1:0", "seed", "--detach", net.task("u", SLOW)])
        assert status == 0, err
        hint = next(line for line in out.splitlines() if line.startswith("watch")).split()
        assert hint[1] == "tnode", hint
        shown = subprocess.run([program] + hint[2:], capture_output=True, text=True, cwd="/")
        assert shown.returncode == 0 and "running" in shown.stdout, shown
        assert net.run("other", ["cancel", "last"])[0] == 0
        until(lambda: unlocked(net.dir + "/other/tnode.db.lock"), "the background node has left")


def outputs_are_refused_a_place_before_anything_is_paid(program):
    with Net(program) as net:
        task, other, peers = net.task("t", FAST), net.task("u", FAST.replace(">>", ">")), farmers_of(net)
        write(net.dir + "/file", "mine")
        for out, status in ((net.dir + "/file", 1), (net.dir + "/file/below", 1), ("/", 2)):
            done, _, err = seed(net, [task, "--out", out], peers)
            assert done == status and "the outputs cannot go to" in err, (out, done, err)
        place = net.dir + "/place"
        os.mkdir(place)
        write(place + "/notes.txt", "mine")
        done, _, err = seed(net, [task, "--out", place], peers)
        assert done == 2 and "notes.txt" in err and "--overwrite" in err, err
        assert net.run("requester", ["ledger", "balance"])[0] == 1, "a ledger was begun"
        os.remove(place + "/notes.txt")
        # The same task's own result may be replaced by itself; another's, or a changed one, may not.
        for again in ([], [], ["--again"]):
            assert seed(net, [task, "--out", place] + again, peers)[0] == 0
        paid = net.balance("requester")["balance_micro"]
        done, _, err = seed(net, [other, "--out", place], peers)
        assert done == 2 and "no earlier result of this task" in err, err
        write(place + "/3.txt", "changed")
        done, _, err = seed(net, [task, "--out", place], peers)
        assert done == 2 and "3.txt was changed" in err and open(place + "/3.txt").read() == "changed", err
        assert net.balance("requester")["balance_micro"] == paid
        done, _, err = seed(net, [task, "--out", place, "--overwrite"], peers)
        assert done == 0 and open(place + "/3.txt").read() == "3\n", err
        # Without --out a folder that is free is found.
        places = [json.loads(seed(net, [each], peers)[1])["out"] for each in (task, other, task)]
        assert [os.path.basename(each) for each in places] == ["squares-result", "squares-result-2", "squares-result"], places


def a_result_that_cannot_be_saved_stands(program):
    with Net(program) as net:
        router, out = net.farmer("router", options=["--slots", "0"]), net.dir + "/late"
        task = net.task("t", 'tnode: 1\nname: late\ncommand: [sh, -c, "echo yes > out/answer"]\n')
        node = net.seed("requester", task, bootstrap=[router.listen], out=out)
        node.expect("task")
        write(out, "something came in the way")
        for i in range(2):
            net.farmer(f"farmer{i}", bootstrap=[router.listen])
        assert node.wait() == 1, node.log()
        answer = node.expect("answer", limit=1)
        assert answer["state"] == "done" and answer["out"] is None and "not saved" in answer["reason"] and answer["paid"] == 200_000, answer
        status, got, err = net.run("requester", ["-o", "json", "get", "last", "--verify", "--out", net.dir + "/got"])
        assert status == 0, err
        assert open(json.loads(got)["out"] + "/out/answer").read() == "yes\n"
        assert any(name.startswith("tnode-certificate-") for name in os.listdir(net.dir + "/got"))
        status, again, err = seed(net, [task, "--out", net.dir + "/room"])
        assert status == 0 and json.loads(again)["paid"] == 200_000 and os.path.exists(net.dir + "/room/answer"), err


def why_a_task_failed_can_be_looked_up(program):
    with Net(program) as net:
        peers = farmers_of(net)
        task = net.task("t", 'tnode: 1\nname: bug\ncommand: [sh, -c, "test {index} = 5 && { echo the reason >&2; exit 7; }; echo > out/{index}"]\narray: {range: 0-7, batch: 2}\n')
        node = net.seed("requester", task, peers=peers)
        assert node.wait() == 3
        assert "unit 2 failed at index 5: exited with status 7" in node.log(), node.log()
        accepted = next(e for e in node.events if e["event"] == "accepted" and e["exit_code"] != 0)
        assert accepted["stderr"] == "the reason\n"
        found = record(net)
        assert found["reason"] == "1 of 4 units failed" and found["failures"] == [{"unit": 2, "index": 5, "outcome": "exited", "exit_code": 7, "detail": "", "stderr": "the reason\n"}], found
        assert "the reason" in net.run("requester", ["status", "last"])[1]
        # Nothing good: nothing to show, no folder.
        status, out, err = seed(net, [net.task("u", 'tnode: 1\nname: none\ncommand: ["false"]\n'), "--out", net.dir + "/nothing"], peers)
        answer = json.loads(out)
        assert status == 3 and answer["result_id"] is None and answer["out"] is None and not os.path.exists(net.dir + "/nothing"), (status, answer)


def a_unit_without_outputs_is_warned_of(program):
    with Net(program) as net:
        status, out, err = seed(net, [net.task("t", "tnode: 1\nname: silent\ncommand: [echo, hello]\n")], farmers_of(net))
        assert status == 0 and json.loads(out)["empty"] == 1 and "left no file in out/" in err, err


def what_was_left_is_on_record_as_it_is(program):
    with Net(program) as net:
        peers, task = farmers_of(net), net.task("t", SLOW)
        node = net.seed("requester", task, peers=peers)
        node.expect("award")
        until(lambda: record(net)["leased"] == 1, "the lease is on record")
        assert record(net)["state"] == "running"
        node.process.send_signal(signal.SIGINT)
        assert node.wait() == 1 and record(net)["state"] == "interrupted"
        node = net.seed("requester", task, peers=peers, options=["--set", "quorum.agree=1"])
        until(lambda: "quorum.agree is 2, not 1" in node.log(), "the terms in force are named")
        assert record(net)["state"] == "running"
        node.kill()
        assert record(net)["state"] == "interrupted"
        # Offered anew: the old offer is over and its holds are free, and both are on record.
        node = net.seed("requester", task, peers=peers, options=["--again"])
        node.expect("task")
        states = [each["state"] for each in json.loads(net.run("requester", ["-o", "json", "status"])[1])["tasks"]]
        assert states == ["running", "cancelled"], states
        status, _, err = net.run("requester", ["cancel", "last"])
        assert status == 0 and node.wait() == 1, err
        found = record(net)
        assert (found["state"], found["open"], found["leased"]) == ("cancelled", 1, 0) and not any("works on" in line for line in found["farmers"]), found
        assert net.balance("requester")["held_micro"] == 0


def done_before_names_the_terms_of_then_and_again_keeps_both(program):
    with Net(program) as net:
        peers, task = farmers_of(net), net.task("t", FAST)
        assert seed(net, [task], peers)[0] == 0
        status, out, err = seed(net, [task, "--set", "quorum.agree=3"], peers)
        assert status == 0 and "quorum.agree is 2, not 3" in err and json.loads(out)["agree"] == 2, err
        assert seed(net, [task, "--again"], peers)[0] == 0
        tasks = json.loads(net.run("requester", ["-o", "json", "status"])[1])["tasks"]
        assert [each["paid_micro"] for each in tasks] == [600_000, 600_000], tasks
        assert net.balance("requester")["balance_micro"] == -1_200_000


def waiting_is_said(program):
    with Net(program) as net:
        farmer = net.farmer("farmer0")
        node = net.seed("requester", net.task("t", FAST), peers=[farmer.listen])
        assert node.expect("waiting", limit=30)["for"] == "1 farmer bids and quorum.agree is 2: another is needed"
        until(lambda: "another is needed" in record(net)["why"], "explain says the same")


def watched_tasks_of_one_name_have_a_folder_each(program):
    with Net(program) as net:
        peers = farmers_of(net)
        os.mkdir(net.dir + "/watch")
        for number in range(2):
            write(f"{net.dir}/watch/{number}.yaml", FAST.replace(">> out", f"; echo {number} > out"))
        net.farmer("offering", peers=peers, options=["--watch", net.dir + "/watch"])
        done = net.dir + "/watch/done"
        until(lambda: all(os.path.exists(f"{done}/{number}.yaml") for number in range(2)), "both tasks are filed away")
        assert {open(f"{done}/{name}/3.txt").read() for name in ("squares-result", "squares-result-2")} == {"0\n", "1\n"}


def devnet_refuses_what_cannot_end_well_and_cleans_up(program):
    with Net(program) as net:
        environment = dict(os.environ, TMPDIR=net.dir)
        status, _, err = net.run("unused", ["devnet", "1", net.task("t", FAST)], env=environment)
        assert status == 2 and "1 farmer cannot agree 2 times" in err, err
        for ending in (signal.SIGINT, signal.SIGTERM):
            with open(net.dir + "/devnet.err", "w") as log:
                devnet = subprocess.Popen([program, "devnet", "2", net.task("u", SLOW)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=net.dir, env=environment)
            until(lambda: open(net.dir + "/devnet.err").read().count("award") == 2, "the farmers work")
            devnet.send_signal(ending)
            assert devnet.wait(30) == 1
            assert not [name for name in os.listdir(net.dir) if name.startswith("tnode-devnet")]
            assert "gives it up" not in open(net.dir + "/devnet.err").read()


if __name__ == "__main__":
    main([a_detached_seed_says_whether_it_stands, outputs_are_refused_a_place_before_anything_is_paid, a_result_that_cannot_be_saved_stands, why_a_task_failed_can_be_looked_up,
          a_unit_without_outputs_is_warned_of, what_was_left_is_on_record_as_it_is, done_before_names_the_terms_of_then_and_again_keeps_both, waiting_is_said,
          watched_tasks_of_one_name_have_a_folder_each, devnet_refuses_what_cannot_end_well_and_cleans_up])
