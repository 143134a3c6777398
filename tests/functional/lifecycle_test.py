"""The main job over real processes: finding each other, agreeing, paying, surviving kills. Loopback only."""
import json
import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import Net, main, until

SMALL = """tnode: 1
name: small
command: [sh, -c, "cat in/word > out/{index}; echo {index} >> out/{index}"]
inputs: [./word]
array: {range: 0-9, batch: 2}
timeouts: {queue: 30s}
"""
WORD = {"word": "hello\n"}


def check_small(answer, out):
    for key in ("task_id", "task_magnet", "result_id", "result_magnet", "units", "accepted", "paid", "out"):
        assert key in answer, key
    assert answer["v"] == 1 and answer["units"] == 5 and answer["accepted"] == 5, answer
    assert os.path.samefile(answer["out"], out)
    for index in range(10):
        assert open(f"{out}/{index}").read() == f"hello\n{index}\n"


def finish(net, seed, status=0):
    assert seed.wait() == status, seed.log()
    return seed.expect("answer", limit=1)


def farmers_are_found_by_dht_alone(program):
    with Net(program) as net:
        router = net.farmer("router", options=["--slots", "0"])
        farmers = [net.farmer(f"farmer{i}", bootstrap=[router.listen]) for i in range(2)]
        seed = net.seed("requester", net.task("t", SMALL, WORD), bootstrap=[router.listen])
        answer = finish(net, seed)
        check_small(answer, net.dir + "/requester-out")
        assert {f["key"] for f in answer["farmers"]} == {f.key for f in farmers}
        # Each farmer that agreed was paid its bid, once: 5 units at 0.1.
        assert [f["paid_micro"] for f in answer["farmers"]] == [500_000, 500_000]
        for farmer in farmers:
            until(lambda: net.balance(farmer.name)["balance_micro"] == 500_000, "the CREDIT is booked")
        assert net.check_ledgers(["requester", "farmer0", "farmer1"])[0] >= 2


def farmers_are_found_by_peer_alone(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        answer = finish(net, net.seed("requester", net.task("t", SMALL, WORD), peers=[f.listen for f in farmers]))
        check_small(answer, net.dir + "/requester-out")


def the_order_of_starting_does_not_matter(program):
    with Net(program) as net:
        router = net.farmer("router", options=["--slots", "0"])
        seed = net.seed("requester", net.task("t", SMALL, WORD), bootstrap=[router.listen])
        seed.expect("task")
        for i in range(2):
            net.farmer(f"farmer{i}", bootstrap=[router.listen])
        check_small(finish(net, seed), net.dir + "/requester-out")


def a_watched_task_is_taken_and_its_file_filed_away(program):
    with Net(program) as net:
        task = net.task("t", SMALL, WORD)
        router = net.farmer("router", options=["--slots", "0"])
        for i in range(2):
            os.mkdir(net.dir + f"/watch{i}")
        farmers = [net.farmer(f"farmer{i}", bootstrap=[router.listen], options=["--watch", net.dir + f"/watch{i}", "--accept", "watched"]) for i in range(2)]
        seed = net.seed("requester", task, bootstrap=[router.listen])
        magnet = seed.expect("task")["task_magnet"]
        seed.expect("refused", reason="not_watched")
        until(lambda: os.path.exists(net.dir + "/small.torrent"), "seed wrote the .torrent")
        os.rename(net.dir + "/small.torrent", net.dir + "/watch0/small.torrent")
        with open(net.dir + "/watch1/small.magnet", "w") as file:
            for piece in (magnet[:20], magnet[20:], "\n"):  # written slowly
                file.write(piece)
                file.flush()
        check_small(finish(net, seed), net.dir + "/requester-out")
        until(lambda: os.path.exists(net.dir + "/watch0/done/small.torrent"), "moved to done/")
        until(lambda: os.path.exists(net.dir + "/watch1/done/small.magnet"), "moved to done/")
        with open(net.dir + "/watch0/bad.magnet", "w") as file:
            file.write("magnet:?xt=urn:btmh:nonsense")
        until(lambda: os.path.exists(net.dir + "/watch0/rejected/bad.magnet.reason"), "rejected with a reason")
        farmers[0].expect("rejected", file="bad.magnet")
        os.rename(net.dir + "/requester-out.torrent", net.dir + "/watch0/result.torrent")
        farmers[0].expect("rejected", file="result.torrent", reason="this is a result, not a task")


def a_task_yaml_in_the_watch_folder_is_offered(program):
    with Net(program) as net:
        router = net.farmer("router", options=["--slots", "0"])
        for i in range(2):
            net.farmer(f"farmer{i}", bootstrap=[router.listen])
        os.mkdir(net.dir + "/watch")
        node = net.farmer("offering", bootstrap=[router.listen], options=["--watch", net.dir + "/watch"])
        net.task("watch", SMALL, WORD)
        task_id = node.expect("offering", file="task.yaml", name="small")["task_id"]
        until(lambda: os.path.exists(net.dir + "/watch/done/small-result/9"), "the result is beside the filed task")
        assert open(net.dir + "/watch/done/small-result/3").read() == "hello\n3\n"
        until(lambda: os.path.exists(net.dir + "/watch/done/task.yaml"), "the task is filed")
        node.expect("filed", file="task.yaml", task_id=task_id)
        assert net.balance("offering")["balance_micro"] < 0 and node.process.poll() is None


def a_dry_run_says_the_cost_and_writes_nothing(program):
    with Net(program) as net:
        task = net.task("t", SMALL, WORD)
        before = sorted(os.listdir(net.dir))
        status, out, err = net.run("requester", ["-o", "json", "seed", "--dry-run", task])
        plan = json.loads(out)
        assert status == 0 and plan["indices"] == 10 and plan["units"] == 5 and plan["cost_high_micro"] == 15_000_000 and plan["cost_low_micro"] == 0 and plan["cost_likely_micro"] == 10_000_000, (out, err)
        status, out, err = net.run("requester", ["seed", "--dry-run", task])
        assert status == 0 and "cat in/word" in out
        assert sorted(os.listdir(net.dir)) == before, "a dry run wrote something"


def a_second_seed_has_the_answer_at_once(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        task = net.task("t", SMALL, WORD)
        first = finish(net, net.seed("requester", task, peers=[f.listen for f in farmers]))
        second = finish(net, net.seed("requester", task, out=net.dir + "/again"))
        assert second["result_id"] == first["result_id"] and second["paid"] == first["paid"]
        check_small(second, net.dir + "/again")
        status, out, _ = net.run("requester", ["-o", "json", "status", "last"])
        assert status == 0 and json.loads(out)["state"] == "done"


def a_task_reads_the_result_of_another(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        peers = [f.listen for f in farmers]
        first = finish(net, net.seed("requester", net.task("t", SMALL, WORD), peers=peers))
        second = 'tnode: 1\nname: chained\ncommand: [sh, -c, "cat in/data/out/* > out/all"]\ninputs: [{from: "%s", to: data}]\ntimeouts: {queue: 30s}\n' % first["result_magnet"]
        answer = finish(net, net.seed("requester", net.task("u", second), peers=peers, out=net.dir + "/chained"))
        assert open(answer["out"] + "/all").read() == "".join(f"hello\n{index}\n" for index in range(10))


def a_result_comes_with_proof_of_who_agreed(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        peers = [f.listen for f in farmers]
        many = finish(net, net.seed("requester", net.task("t", SMALL, WORD), peers=peers))
        one = finish(net, net.seed("requester", net.task("u", 'tnode: 1\nname: one\ncommand: [sh, -c, "echo 1 > out/x"]\n'), peers=peers, out=net.dir + "/one"))
        for answer, units in ((many, 5), (one, 1)):
            # The requester is gone: its farmers hold result and proof.
            status, out, err = net.run("stranger", ["-o", "json", "--listen", "127.0.0.1:0", "--peer", peers[0], "get", answer["result_magnet"], "--verify", "--timeout", "20s"])
            assert status == 0, err
            proof = json.loads(out)
            assert proof["verified"] and proof["fewest_signers"] == 2 and len(proof["signers"]) == units
            assert set(proof["signers"][0]["farmers"]) == {f.key for f in farmers}
            assert os.path.exists(proof["out"] + "/manifest")
        status, out, err = net.run("requester", ["-o", "json", "get", many["result_id"], "--verify", "--out", net.dir + "/own"])
        assert status == 0 and json.loads(out)["verified"], err
        status, out, err = net.run("stranger", ["--listen", "127.0.0.1:0", "--peer", peers[0], "get", many["task_magnet"], "--verify", "--timeout", "1s", "--out", net.dir + "/task"])
        assert status == 1 and "not verified: this is no result" in err, f"a task has no certificate: {status} {err}"


def a_liar_is_outvoted_and_not_paid(program):
    liar_program = os.path.join(os.path.dirname(program), "tests", "tnode_liar")
    with Net(program) as net:
        router = net.farmer("router", options=["--slots", "0"])
        liar = net.farmer("liar", bootstrap=[router.listen], program=liar_program, options=["--min-price", "0.01"])
        honest = [net.farmer(f"farmer{i}", bootstrap=[router.listen]) for i in range(2)]
        seed = net.seed("requester", net.task("t", SMALL, WORD), bootstrap=[router.listen])
        for _ in range(3):
            seed.expect("bid")
        answer = finish(net, seed)
        check_small(answer, net.dir + "/requester-out")
        assert liar.key not in {f["key"] for f in answer["farmers"]}, "the liar was paid"
        if any(e.get("event") == "award" and e["farmer"] == liar.key for e in seed.events):
            assert any(e.get("event") == "escalate" for e in seed.events), "the liar had units, but nothing escalated"
        assert net.balance("liar")["balance_micro"] == 0
        net.check_ledgers(["requester", "liar", "farmer0", "farmer1"])
        assert honest[0].process.poll() is None


def a_result_larger_than_any_honest_one_is_not_downloaded(program):
    liar_program = os.path.join(os.path.dirname(program), "tests", "tnode_liar")
    with Net(program) as net:
        liar = net.farmer("liar", program=liar_program, options=["--size", str(8 << 20)])
        task = net.task("t", 'tnode: 1\nname: little\ncommand: [sh, -c, "echo 1 > out/x"]\nresources: {disk: 1MiB}\nquorum: {agree: 1}\n')
        seed = net.seed("requester", task, peers=[liar.listen])
        assert "are taken here" in seed.expect("fetch_failed")["reason"]
        status, out, err = net.run("requester", ["cancel", "last"])
        assert status == 0, err
        assert seed.wait() == 1
        assert net.balance("liar")["balance_micro"] == 0


def a_second_interrupt_while_it_leaves_does_no_harm(program):
    with Net(program) as net:
        for command in (["farm", "--slots", "0"], ["seed", net.task("t", SMALL, WORD)]):
            node = net.start("impatient", ["--listen", "127.0.0.1:0", "-o", "jsonl"] + command)
            node.expect("farming" if command[0] == "farm" else "task")
            while node.process.poll() is None:
                node.process.send_signal(signal.SIGINT)
                node.read(0.001)
            assert node.wait() == (0 if command[0] == "farm" else 1), node.log()


def a_failing_task_is_paid_and_explains_itself(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        task = net.task("t", 'tnode: 1\nname: bad\ncommand: [sh, -c, "echo the reason >&2; exit 9"]\n')
        seed = net.seed("requester", task, peers=[f.listen for f in farmers])
        answer = finish(net, seed, status=3)
        assert answer["state"] == "failed" and answer["failed"] == 1 and answer["paid"] == 200_000
        assert "the reason" in seed.log() and "status 9" in seed.log()


def long_task(net, pause):
    return net.task("t", f"""tnode: 1
name: long
command: [python3, -c, "import time; time.sleep({pause}); print({{index}}, file=open('out/{{index}}', 'w'))"]
array: {{range: 0-11}}
timeouts: {{queue: 60s}}
""")


def check_long(net, answer, out):
    assert answer["accepted"] == 12, answer
    for index in range(12):
        assert open(f"{out}/{index}").read() == f"{index}\n"


def a_requester_killed_again_and_again_goes_on(program):
    dice = random.Random(int(os.environ.get("TNODE_KILL_SEED", "7")))
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(3)]
        task, out = long_task(net, 0.1), net.dir + "/out"
        peers = [f.listen for f in farmers]
        for kill in range(6):
            seed = net.seed("requester", task, peers=peers, out=out)
            wanted = dice.choice(["bid", "award", "accepted", "paid", "accepted"])
            try:
                seed.expect(wanted, limit=20)
            except AssertionError:
                assert any(e["event"] == "answer" for e in seed.events), "neither working nor done"
            seed.kill()
        answer = finish(net, net.seed("requester", task, peers=peers, out=out))
        check_long(net, answer, out)
        paid = {f["key"]: f["paid_micro"] for f in answer["farmers"]}
        for farmer in farmers:
            until(lambda: net.balance(farmer.name)["balance_micro"] == paid.get(farmer.key, 0), f"{farmer.name} is paid what was debited")
        net.check_ledgers(["requester"] + [f.name for f in farmers])


def farmers_killed_again_and_again_are_not_missed(program):
    dice = random.Random(int(os.environ.get("TNODE_KILL_SEED", "11")))
    with Net(program) as net:
        router = net.farmer("router", options=["--slots", "0"])
        farmers = [net.farmer(f"farmer{i}", bootstrap=[router.listen]) for i in range(3)]
        task, out = long_task(net, 0.15), net.dir + "/out"
        seed = net.seed("requester", task, bootstrap=[router.listen], out=out)
        seed.expect("award")
        for kill in range(5):
            victim = dice.randrange(3)
            what = dice.choice(["ran", "bid", "ran"])
            try:
                farmers[victim].expect(what, limit=3, since=len(farmers[victim].events))
            except AssertionError:
                pass  # it had nothing to do just now: kill it idle
            if seed.process.poll() is not None:
                break
            farmers[victim].kill()
            farmers[victim] = net.farmer(f"farmer{victim}", bootstrap=[router.listen])
        answer = finish(net, seed)
        check_long(net, answer, out)
        paid = {f["key"]: f["paid_micro"] for f in answer["farmers"]}
        for farmer in farmers:
            until(lambda: net.balance(farmer.name)["balance_micro"] == paid.get(farmer.key, 0), f"{farmer.name} is paid what was debited")
            assert os.listdir(farmer.home + "/work") == [], "half-done work is left"
        net.check_ledgers(["requester", "farmer0", "farmer1", "farmer2"])


def nothing_outlives_a_killed_farmer(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        task = net.task("t", 'tnode: 1\nname: sleepy\ncommand: [sleep, "271828"]\n')
        seed = net.seed("requester", task, peers=[f.listen for f in farmers])
        sleeping = lambda: sum(1 for pid in os.listdir("/proc") if pid.isdigit() and b"271828" in cmdline(pid))
        until(lambda: sleeping() == 2, "both sandboxes run")
        for farmer in farmers:
            farmer.kill()
        until(lambda: sleeping() == 0, "the sandboxes end with their farmers", limit=10)
        status, out, err = net.run("requester", ["cancel", "last"])
        assert status == 0, err
        assert seed.wait() == 1 and net.balance("requester")["held_micro"] == 0


def cmdline(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError:
        return b""


def a_cancelled_task_gives_back_what_was_held(program):
    with Net(program) as net:
        farmers = [net.farmer(f"farmer{i}") for i in range(2)]
        task = net.task("t", 'tnode: 1\nname: sleepy\ncommand: [sleep, "100"]\n')
        seed = net.seed("requester", task, peers=[f.listen for f in farmers])
        seed.expect("award")
        until(lambda: net.balance("requester")["held_micro"] > 0, "the award is held for")
        seed.kill()
        status, out, err = net.run("requester", ["cancel", "last"])
        assert status == 0, err
        assert net.balance("requester")["held_micro"] == 0
        status, out, _ = net.run("requester", ["-o", "json", "status", "last"])
        assert json.loads(out)["state"] == "cancelled"


if __name__ == "__main__":
    main([farmers_are_found_by_dht_alone, farmers_are_found_by_peer_alone, the_order_of_starting_does_not_matter, a_watched_task_is_taken_and_its_file_filed_away,
          a_task_yaml_in_the_watch_folder_is_offered, a_dry_run_says_the_cost_and_writes_nothing, a_second_seed_has_the_answer_at_once, a_task_reads_the_result_of_another,
          a_result_comes_with_proof_of_who_agreed, a_liar_is_outvoted_and_not_paid, a_result_larger_than_any_honest_one_is_not_downloaded,
          a_second_interrupt_while_it_leaves_does_no_harm, a_failing_task_is_paid_and_explains_itself,
          a_requester_killed_again_and_again_goes_on, farmers_killed_again_and_again_are_not_missed, nothing_outlives_a_killed_farmer, a_cancelled_task_gives_back_what_was_held])
