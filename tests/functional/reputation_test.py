"""Reputation with real processes: what a node saw of farmers is kept, shown, computed anew from its rows, and decides how many replicas there are."""
import os

import nodes
from nodes import World

TASK = """tnode: 1
name: {name}
command: [sh, -c, "echo {{index}} > out/{name}-{{index}}"]
array: {{range: 0-{last}}}
timeouts: {{queue: 30s, run: 20s, total: 120s}}
resources: {{disk: 1MiB}}
quorum: {{agree: 2{more}}}
"""


def seed(world, name, units, farmers, home, more=""):
    task = world.task(name, TASK.format(name=name, last=units - 1, more=more))
    status, answer, requester = world.seed(name, task, peers=[farmer.listen for farmer in farmers], home=home)
    assert status == 0, requester.stderr()
    return answer, requester


def reputation(world, home, key=None):
    found = world.json_of(["ledger", "reputation"] + ([key] if key else []), home=home)["farmers"]
    return found[0] if key else {each["key"]: each for each in found}


def farmers_that_proved_themselves_need_fewer_replicas_where_the_task_allows_it(program):
    with World(program) as world:
        farmers = [world.farmer(name) for name in ("one", "two")]
        answer, _ = seed(world, "first", 40, farmers, "requester")
        assert answer["replicas"] == 80, answer
        for farmer in farmers:
            seen = reputation(world, "requester", farmer.key)
            assert (seen["agreed"], seen["dissented"], seen["unchecked"], seen["in_a_row"], seen["level"]) == (40, 0, 0, 40, "proven"), seen
            assert seen["success_per_mille"] == seen["quality_per_mille"] == 1000 and seen["checked_per_mille"] == 50, seen
            assert sum(row["agreed"] for row in seen["rows"]) == 40, seen
        answer, requester = seed(world, "second", 100, farmers, "requester", ", adaptive: true")
        assert 100 <= answer["replicas"] < 140, answer
        alone = [event for event in requester.events("accepted") if event["votes"] == 1]
        assert len(alone) > 60, len(alone)
        both = reputation(world, "requester")
        assert sum(each["unchecked"] for each in both.values()) == len(alone), both
        shown = world.run(["ledger", "reputation", farmers[0].key], home="requester").stdout
        assert "proven" in shown and " agreed, " in shown, shown
        # Its certificate says that some stand on one signature, and why that was enough.
        got = world.run(["--listen", "127.0.0.1:0", "--peer", farmers[0].listen, "get", answer["result_magnet"], "--verify", "--out", world.path("got")], home="reader")
        assert got.returncode == 0 and "each signed by at least 1 farmers (the offer asked for 2, or one that its requester had found right before)" in got.stdout, got
        # Who asks for a quorum has it.
        answer, _ = seed(world, "third", 20, farmers, "requester")
        assert answer["replicas"] == 40, answer
        # And another requester, who knows nobody, too.
        answer, _ = seed(world, "fourth", 5, farmers, "newcomer", ", adaptive: true")
        assert answer["replicas"] == 10, answer


def a_liar_is_remembered_and_left_out(program):
    liar_program = os.path.join(os.path.dirname(program), "tests", "tnode_liar")
    with World(program) as world:
        farmers = [world.farmer(name) for name in ("one", "two")]
        liar = world.start("liar", [liar_program, "--home", world.path("liar"), "--listen", "127.0.0.1:0", "-o", "jsonl"])
        farming = liar.expect("farming")
        liar.listen, liar.key = farming["listen"], farming["key"]
        for number in range(10):  # it may come too late to be asked at all
            seed(world, f"task-{number}", 20, [liar] + farmers, "requester")
            seen = reputation(world, "requester")
            if liar.key in seen:
                break
        lied = seen[liar.key]
        assert lied["dissented"] > 0 and lied["agreed"] == 0 and lied["level"] == "doubtful", lied
        for farmer in farmers:
            assert seen[farmer.key]["agreed"] == 20 * (number + 1) and seen[farmer.key]["dissented"] == 0, seen
        # There are others: the liar is asked for nothing any more, but while one of them is still on its way.
        answer, requester = seed(world, "last", 60, farmers + [liar], "requester")
        assert answer["replicas"] <= 120 + 8, requester.stderr()
        assert reputation(world, "requester", "ab" * 32)["level"] == "newcomer"
        assert world.run(["ledger", "reputation", "xyz"], home="requester").returncode == 2


if __name__ == "__main__":
    nodes.main([farmers_that_proved_themselves_need_fewer_replicas_where_the_task_allows_it, a_liar_is_remembered_and_left_out])
