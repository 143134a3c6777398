"""Who may owe a farmer how much, with real processes: strangers' cap, lines, work that was done, and chains that were audited."""
import os

import nodes
from nodes import World, until

TASK = """tnode: 1
name: {name}
command: [sh, -c, "echo {{index}} > out/{name}-{{index}}"]
array: {{range: 0-{last}}}
timeouts: {{queue: {queue}, run: 20s, total: 60s}}
resources: {{disk: 1MiB}}
market: {{max_price: 1}}
quorum: {{agree: 1, max: 1}}
"""
PRICE = ["--min-price", "0.5"]


def task(world, name, units, queue="30s"):
    return world.task(name, TASK.format(name=name, last=units - 1, queue=queue))


def seed(world, name, units, farmer, home=None, queue="30s"):
    """A task of so many units by this farmer alone: exit status, answer, process."""
    return world.seed(name, task(world, name, units, queue), peers=[farmer.listen], home=home or name)


def refusals(requester):
    """What a requester was told of an offer or an award that asked for too much."""
    return [event.get("detail", event["reason"]) for event in requester.events() if event.get("event") in ("refused", "lost") and event["reason"].startswith("owed_too_much")]


def trust(world, home, key=None):
    answer = world.json_of(["ledger", "trust"] + ([key] if key else []), home=home)
    return answer["keys"][0] if key else answer


def key_of(world, home):
    return world.json_of(["key", "show"], home=home)["key"]


def strangers_share_one_cap_and_are_told_why(program):
    with World(program) as world:
        farmer = world.farmer("farmer", PRICE + ["--stranger-cap", "1"])
        status, answer, greedy = seed(world, "greedy", 4, farmer, queue="3s")
        assert status == 6 and answer["accepted"] == 2 and refusals(greedy), (status, answer, greedy.stderr())
        assert "of at most 1 together. Work for us" in refusals(greedy)[-1], refusals(greedy)
        status, answer, other = seed(world, "other", 1, farmer, queue="3s")
        assert status == 6 and refusals(other), (status, other.stderr())
        assert world.json_of(["ledger", "balance"], home="farmer")["balance_micro"] <= 1_000_000
        known = trust(world, "farmer", key_of(world, "greedy"))
        assert not known["named"] and known["taken_micro"] == 1_000_000 and known["room_micro"] < 500_000, known
        everyone = trust(world, "farmer")
        assert everyone["stranger_cap_micro"] == 1_000_000 and 999_000 <= everyone["strangers_micro"] <= 1_000_000, everyone
        shown = world.run(["ledger", "trust", known["key"]], home="farmer").stdout
        assert "stranger  of 1 for all strangers together" in shown, shown
        farmer.stop()

        # A line of its own: no stranger any more, and the others are none the worse.
        os.makedirs(world.path("farmer"), exist_ok=True)
        with open(world.path("farmer", "config.yaml"), "w") as file:
            file.write(f"credit:\n  stranger_cap: 1\n  line: 500\n  lines:\n    {key_of(world, 'other')}: 3\n")
        farmer = world.farmer("farmer-again", PRICE, home="farmer")
        status, answer, other = seed(world, "other-again", 5, farmer, home="other")
        assert status == 0 and answer["paid_micro"] == 2_500_000, (status, other.stderr())
        known = trust(world, "farmer", key_of(world, "other"))
        assert known["named"] and known["line_micro"] == 3_000_000 and known["debt_micro"] == 2_500_000 and known["room_micro"] == 500_000, known
        assert trust(world, "farmer")["line_micro"] == 500_000_000
        status, answer, greedy = seed(world, "greedy-again", 1, farmer, home="greedy", queue="3s")
        assert status == 6, (status, greedy.stderr())


def who_worked_here_is_served_however_poor_strangers_are(program):
    with World(program) as world:
        worker = world.farmer("worker", PRICE)
        status, _, master = seed(world, "master", 4, worker)
        assert status == 0, master.stderr()
        worker.stop()
        farmer = world.farmer("master-farms", PRICE + ["--stranger-cap", "0"], home="master")
        # Its terms are in the store some moments after it says that it farms.
        known = until(lambda: (seen := trust(world, "master", worker.key))["room_micro"] == 2_000_000 and seen, "the farmer's terms are kept")
        assert known["claim_micro"] == 2_000_000, known
        status, _, stranger = seed(world, "stranger", 1, farmer, queue="3s")
        assert status == 6 and refusals(stranger), stranger.stderr()
        status, answer, asks = seed(world, "worker-asks", 4, farmer, home="worker")
        assert status == 0 and answer["paid_micro"] == 2_000_000, asks.stderr()
        assert trust(world, "master", worker.key)["room_micro"] == 0
        status, _, more = seed(world, "worker-asks-more", 1, farmer, home="worker", queue="3s")
        assert status == 6 and refusals(more), more.stderr()
        # A payment of the farmer's own gives room at once, beside the running node.
        world.json_of(["ledger", "pay", worker.key, "0.5"], home="master")
        until(lambda: trust(world, "master", worker.key)["room_micro"] == 500_000, "the payment counts")
        status, _, again = seed(world, "worker-asks-again", 1, farmer, home="worker")
        assert status == 0, again.stderr()


def an_audited_chain_vouches_for_those_it_owes(program):
    with World(program) as world:
        worker = world.farmer("worker", PRICE)
        status, _, friend = seed(world, "friend", 3, worker)
        assert status == 0, friend.stderr()
        worker.stop()
        # The friend works for the farmer; then it only publishes its chain.
        friend = world.farmer("friend-farms", PRICE, home="friend")
        status, _, farmer = seed(world, "farmer", 4, friend)
        assert status == 0, farmer.stderr()
        friend.stop()
        friend = world.farmer("friend-publishes", ["--slots", "0"], home="friend")
        farmer = world.farmer("farmer-farms", PRICE + ["--stranger-cap", "0"], home="farmer", bootstrap=[friend.listen], peers=[friend.listen])
        status, _, refused = seed(world, "worker-asks", 3, farmer, home="worker", queue="3s")
        assert status == 6 and refusals(refused), refused.stderr()
        net = ["--listen", "127.0.0.1:0", "--bootstrap", friend.listen, "--peer", friend.listen]

        def audited():
            done = world.run(net + ["-o", "json", "ledger", "audit", friend.key, "--wait", "20s"], home="farmer")
            assert done.returncode in (0, 5), done
            return done.returncode == 0 and trust(world, "farmer", worker.key)["vouchers"]
        vouchers = until(audited, "the friend's chain is found, with what it owes the worker")
        assert vouchers == [{"key": friend.key, "amount_micro": 1_500_000}], vouchers
        status, answer, asks = seed(world, "worker-asks-again", 3, farmer, home="worker")
        assert status == 0 and answer["paid_micro"] == 1_500_000, asks.stderr()
        assert trust(world, "farmer", worker.key)["room_micro"] == 0
        assert trust(world, "farmer", friend.key)["room_micro"] == 500_000


def terms_that_make_no_sense_are_refused_with_their_place(program):
    with World(program) as world:
        for words, said in ((["--line", "-1"], "--line wants credits"), (["--stranger-cap", "much"], "--stranger-cap wants credits"), (["--line-of", "friend=5"], "is no key of a node"),
                            (["--line-of", "5"], "--line-of wants KEY=CREDITS"), (["--line-of", "ab" * 32 + "=x"], "wants credits")):
            done = world.run(["--listen", "127.0.0.1:0", "farm", "--slots", "0"] + words)
            assert done.returncode == 2 and said in done.stderr, (words, done)
        for text, said in (("credit: 5\n", "config.yaml:1:9: 'credit' has the keys"), ("credit:\n  limes: {}\n", "did you mean 'lines'"), ("credit:\n  lines: 7\n", "'lines' wants KEY: CREDITS"),
                           ("credits:\n  line: 7\n", "did you mean 'credit'")):
            os.makedirs(world.path("configured"), exist_ok=True)
            with open(world.path("configured", "config.yaml"), "w") as file:
                file.write(text)
            done = world.run(["status"], home="configured")
            assert done.returncode == 2 and said in done.stderr, (text, done)
        done = world.run(["ledger", "trust", "xyz"])
        assert done.returncode == 2 and "is no key of a node" in done.stderr, done
        assert world.run(["ledger", "trust"], home="nobody").returncode == 1


if __name__ == "__main__":
    nodes.main([strangers_share_one_cap_and_are_told_why, who_worked_here_is_served_however_poor_strangers_are, an_audited_chain_vouches_for_those_it_owes,
                terms_that_make_no_sense_are_refused_with_their_place])
