"""Credits as users and strangers see them: payments, files of blocks, histories, and an independent reader of chains."""
import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys

import cheats
import nodes
from nodes import World, until

READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "read_chain.py")
TASK = """tnode: 1
name: trade
command: [sh, -c, "echo {index} > out/answer-{index}"]
array: {range: 0-2}
timeouts: {queue: 30s, run: 20s, total: 60s}
resources: {disk: 1MiB}
market: {max_price: 1}
quorum: {agree: 2}
"""


def read_chain(path, *options):
    return subprocess.run([sys.executable, READER, path, "--json", *options], capture_output=True, text=True, timeout=nodes.LIMIT)


def trade(world):
    """Two farmers work for a requester; the homes, with the farmers left."""
    farmers = [world.farmer(name, ["--min-price", "0.5"]) for name in ("farmer0", "farmer1")]
    status, answer, requester = world.seed("requester", world.task("trade", TASK), peers=[f.listen for f in farmers])
    assert status == 0, requester.stderr()
    for farmer in farmers:
        farmer.stop()
    return answer["task_id"], farmers


def an_exported_chain_is_verified_by_a_reader_that_shares_no_code(program):
    with World(program) as world:
        trade(world)
        for home in ("requester", "farmer0", "farmer1"):
            path = world.path(home + ".blocks")
            written = world.json_of(["ledger", "export", path], home=home)
            balance = world.json_of(["ledger", "balance"], home=home)
            assert written["blocks"] == balance["blocks"] and os.path.getsize(path) == 312 * (written["blocks"] + written["halves"])
            verified = world.json_of(["ledger", "verify", path], home="stranger")  # needs no store of its own
            read = read_chain(path)
            assert read.returncode == 0, read.stderr
            facts = json.loads(read.stdout)
            for name in facts:
                assert facts[name] == verified[name], (name, facts, verified)
            for name in ("key", "blocks", "head", "balance_micro", "held_micro"):
                assert facts[name] == balance[name], (name, facts, balance)
            assert facts["unproved_micro"] == 0 and facts["credits_proved"] == facts["credits"] and facts["debits_receipted"] == facts["debits"], facts
            audit = world.json_of(["ledger", "audit"], home=home)
            assert audit["good"] and audit["signatures"] == facts["signatures"] and audit["debits"] == facts["debits"], (audit, facts)


def a_chain_that_was_tampered_with_is_refused_by_both_readers(program):
    with World(program) as world:
        trade(world)
        path, bad = world.path("good.blocks"), world.path("bad.blocks")
        world.json_of(["ledger", "export", path], home="farmer0")
        good = open(path, "rb").read()
        blocks = [good[at:at + 312] for at in range(0, len(good), 312)]
        flipped = lambda block, at: [*blocks[:block], blocks[block][:at] + bytes([blocks[block][at] ^ 1]) + blocks[block][at + 1:], *blocks[block + 1:]]
        changed = {f"byte {at} of block {block}": flipped(block, at) for block in (0, 1, len(blocks) - 1) for at in (0, 8, 15, 16, 24, 56, 88, 120, 152, 184, 216, 224, 232, 240, 250, 311)}
        changed["a block is gone"] = blocks[:1] + blocks[2:]
        changed["two blocks change places"] = [blocks[0], blocks[2], blocks[1], *blocks[3:]]
        changed["a half comes twice"] = blocks + blocks[-1:]
        changed["it is cut off"] = [good[:-1]]
        changed["it is empty"] = []
        for what, content in changed.items():
            with open(bad, "wb") as file:
                file.write(b"".join(content))
            verified, read = world.run(["ledger", "verify", bad]), read_chain(bad)
            assert verified.returncode == 1 and read.returncode == 1, (what, verified, read)
            assert "does not hold" in verified.stderr and bad in read.stderr, (what, verified.stderr, read.stderr)
        kept = world.run(["ledger", "import", bad])
        assert kept.returncode == 1, kept


def history_is_filtered_by_task_counterparty_type_and_time(program):
    with World(program) as world:
        task, farmers = trade(world)
        whole = world.json_of(["ledger", "history"], home="requester")["blocks"]
        history = lambda *filters: world.json_of(["ledger", "history", *filters], home="requester")["blocks"]
        assert [b["type"] for b in whole][0] == "genesis" and all(b["task_id"] == task for b in whole[1:]), whole
        assert history("--task", task) == history("--task", task[:8]) == history("--task", "last") == whole[1:]
        for farmer in farmers:
            some = history("--with", farmer.key)
            assert some and some == [b for b in whole if b.get("counterparty") == farmer.key] == history("--with", farmer.key[:10])
        assert history("--type", "debit") == [b for b in whole if b["type"] == "debit"]
        assert history("--since", "1h") == whole and history("--until", "1h") == history("--since", "2099-01-01") == []
        assert history("--type", "debit", "--with", farmers[0].key, "--since", "2020-01-01 08:00") == [b for b in whole if b["type"] == "debit" and b["counterparty"] == farmers[0].key]

        rows = list(csv.DictReader(io.StringIO(world.run(["ledger", "history", "--csv"], home="requester").stdout)))
        assert len(rows) == len(whole)
        for row, block in zip(rows, whole):
            assert (int(row["seq"]), row["id"], row["type"], float(row["time"]), int(row["amount_micro"]), int(row["balance_micro"])) == \
                   (block["seq"], block["id"], block["type"], block["time"], block["amount_micro"], block["balance_micro"])
            assert row["receipt"] == (block.get("receipt") or "") and row["link"] == block.get("link", "")
            assert row["task_id"] == block.get("task_id", "") and row["counterparty"] == block.get("counterparty", "")
        # A farmer knows the task of what it earned too.
        earned = world.json_of(["ledger", "history", "--type", "credit", "--task", task], home="farmer0")["blocks"]
        assert earned and all(b["task_id"] == task for b in earned)
        # From what was paid to what its payee booked, and back.
        paid = {b["receipt"]: b["id"] for b in history("--type", "debit", "--with", farmers[0].key.upper())}
        assert paid == {b["id"]: b["link"] for b in earned}, (paid, earned)
        for wrong, word in ((["--since", "soon"], "is no time"), (["--until", "2026-02-31"], "is no time"), (["--type", "debt"], "did you mean 'debit'"), (["--with", "xyz"], "is no key")):
            done = world.run(["ledger", "history", *wrong], home="requester")
            assert done.returncode == 2 and word in done.stderr, done
        assert world.run(["ledger", "history", "--task", "00000000"], home="requester").returncode == 1


def balances(world, *homes):
    found = [world.json_of(["ledger", "balance"], home=home) for home in homes]
    assert sum(b["balance_micro"] for b in found) + sum(b["unclaimed_out_micro"] for b in found) == 0, found
    return found


def a_payment_reaches_its_payee_at_once_or_when_it_is_met(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay = ["ledger", "pay", payee.key, "2.5"]
        net = ["--listen", "127.0.0.1:0", "--peer", payee.listen]
        paid = world.json_of(net + pay, home="payer")
        assert paid["receipt"] and paid["balance_micro"] == -2_500_000 and paid["amount_micro"] == 2_500_000, paid
        payee.stop()
        assert [b["balance_micro"] for b in balances(world, "payer", "payee")] == [-2_500_000, 2_500_000]
        assert world.json_of(["ledger", "history", "--type", "credit"], home="payee")["blocks"][0]["link"] == paid["block"]

        # Nobody is there: the debt waits in the outbox, over a restart too.
        paid = world.json_of(net + pay + ["--wait", "100ms"], home="payer")
        assert not paid["receipt"] and paid["balance_micro"] == -5_000_000, paid
        assert [b["unclaimed_out_micro"] for b in balances(world, "payer", "payee")] == [2_500_000, 0]
        payer = world.farmer("payer", ["--slots", "0"])
        again = world.farmer("payee-again", ["--slots", "0"], home="payee", peers=[payer.listen])
        claimed = lambda: world.json_of(["ledger", "balance"], home="payer")["unclaimed_out_micro"] == 0
        until(claimed, "the payee takes what waited for it")
        assert balances(world, "payer", "payee")[1]["balance_micro"] == 5_000_000

        # Beside running nodes of both homes, either way.
        paid = world.json_of(["ledger", "pay", again.key, "1"], home="payer")
        assert paid["receipt"] and paid["balance_micro"] == -6_000_000, paid
        paid = world.json_of(["ledger", "pay", payer.key, "0.000001"], home="payee")
        assert paid["receipt"], paid
        assert [b["balance_micro"] for b in balances(world, "payer", "payee")] == [-5_999_999, 5_999_999]

        # What cannot be paid says so, running or not.
        for stopped in (False, True):
            if stopped:
                payer.stop()
            done = world.run(["--listen", "127.0.0.1:0", "ledger", "pay", again.key, "5000"], home="payer")
            assert done.returncode == 8 and "not enough credit" in done.stderr, done
        for wrong in ([again.key, "0"], [again.key, "-1"], [again.key, "x"], ["abc", "1"], [again.key, "1", "--wait", "1"], [payer.key, "1"]):
            done = world.run(["--listen", "127.0.0.1:0", "ledger", "pay", *wrong], home="payer")
            assert done.returncode == 2, done
        again.stop()
        balances(world, "payer", "payee")
        assert world.json_of(["ledger", "audit"], home="payer")["debits_receipted"] == 3


def a_forecast_says_what_is_left_at_this_pace(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        world.json_of(["--listen", "127.0.0.1:0", "--peer", payee.listen, "ledger", "pay", payee.key, "10"], home="payer")
        loses, gains = world.json_of(["ledger", "forecast"], home="payer"), world.json_of(["ledger", "forecast", "--window", "1d"], home="payee")
        assert (loses["free_micro"], loses["spent_micro"], loses["earned_micro"]) == (990_000_000, 10_000_000, 0) and loses["exhausted"] is not None, loses
        assert (gains["free_micro"], gains["spent_micro"], gains["earned_micro"]) == (1_010_000_000, 0, 10_000_000) and gains["exhausted"] is None, gains
        assert "does not run out" in world.run(["ledger", "forecast"], home="payee").stdout
        assert world.run(["ledger", "forecast", "--window", "7"], home="payee").returncode == 2


def an_imported_chain_is_evidence_against_its_fork(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        net = ["--listen", "127.0.0.1:0", "--peer", payee.listen]
        world.json_of(net + ["ledger", "pay", payee.key, "1"], home="payer")
        cheats.copied(world, "payer")
        for home, amount in (("payer", "2"), ("copy", "3")):
            world.json_of(net + ["ledger", "pay", payee.key, amount, "--wait", "100ms"], home=home)
            world.json_of(["ledger", "export", world.path(home + ".blocks")], home=home)
        first = world.json_of(["ledger", "import", world.path("payer.blocks")], home="judge")
        assert first["new_blocks"] == 5 and first["frauds_found"] == 0, first
        assert world.json_of(["ledger", "import", world.path("payer.blocks")], home="judge")["new_blocks"] == 0
        forked = world.run(["-o", "json", "ledger", "import", world.path("copy.blocks")], home="judge")
        assert forked.returncode == 1 and json.loads(forked.stdout)["frauds_found"] > 0, forked
        audit = world.run(["ledger", "audit", first["key"], "--wait", "0s"], home="judge")
        assert audit.returncode == 1 and "two blocks with seq" in audit.stdout, audit
        # A file that contradicts itself does not hold; why, it proves.
        with open(world.path("both.blocks"), "wb") as both:
            for home, blocks in (("payer", 5), ("copy", 5)):
                both.write(open(world.path(home + ".blocks"), "rb").read()[:blocks * 312])
        torn = world.run(["-o", "json", "ledger", "import", world.path("both.blocks")], home="other judge")
        assert torn.returncode == 1 and "does not hold" in torn.stderr and json.loads(torn.stdout)["frauds_found"] == 1, torn
        frauds = world.json_of(["ledger", "frauds"], home="other judge")["frauds"]
        assert [(f["key"], f["rule"][:23]) for f in frauds] == [(first["key"], "signed two blocks with ")], frauds
        own = world.json_of(["ledger", "import", world.path("payer.blocks")], home="payer")
        assert own["new_blocks"] == 0 and not own["restored"], own
        parted = world.run(["ledger", "import", world.path("copy.blocks")], home="payer")
        assert parted.returncode == 1 and "parts in two" in parted.stderr, parted


def an_export_replaces_nothing_but_an_earlier_one_of_the_same_chain(program):
    with World(program) as world:
        trade(world)
        export = lambda home, path: world.run(["ledger", "export", path], home=home)
        path = world.path("r.blocks")
        assert export("requester", path).returncode == 0 and export("requester", path).returncode == 0
        whole = open(path, "rb").read()
        blocks = world.json_of(["ledger", "balance"], home="requester")["blocks"]
        with open(path, "wb") as file:
            file.write(whole[:312 * (blocks - 1)])  # an earlier one
        assert export("requester", path).returncode == 0 and open(path, "rb").read() == whole
        for name, content in (("words", b"a thesis"), ("key", open(world.path("requester", "key"), "rb").read()), ("store", open(world.path("requester", "tnode.db"), "rb").read()),
                              ("later", whole[:312 * blocks] + whole[312:624])):
            path = world.path(name)
            with open(path, "wb") as file:
                file.write(content)
            refused = export("requester", path)
            assert refused.returncode == 1 and "it is not replaced" in refused.stderr and open(path, "rb").read() == content, (name, refused)
        others = export("farmer0", world.path("r.blocks"))
        assert others.returncode == 1 and "is no export of this chain" in others.stderr, others
        for path in ("/dev/null", world.dir):
            refused = export("requester", path)
            assert refused.returncode == 1 and "not a file" in refused.stderr, refused


def what_is_no_file_of_blocks_is_not_read_as_one(program):
    with World(program) as world:
        trade(world)
        path = world.path("good.blocks")
        world.json_of(["ledger", "export", path], home="farmer0")
        good = open(path, "rb").read()
        with open(path, "wb") as file:
            file.write(good + b"x" * 312)
        os.mkfifo(world.path("pipe"))
        for command in ("verify", "import"):
            for given, word in ((path, "starts with 'tnodeblk'"), ("/dev/zero", "it is a device"), (world.path("pipe"), "it is a pipe"), (world.dir, "it is a folder"), (world.path("none"), "No such file")):
                refused = world.run(["-o", "json", "ledger", command, given], home="judge")
                assert refused.returncode == 1 and word in refused.stderr and not refused.stdout, (command, given, refused)


def a_key_that_is_nobodys_is_not_paid(program):
    with World(program) as world:
        for key in ("00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "12", "xy" * 32):
            refused = world.run(["--listen", "127.0.0.1:0", "ledger", "pay", key, "1", "--wait", "0s"], home="payer")
            assert refused.returncode == 2 and "key" in refused.stderr, refused
        assert not os.path.exists(world.path("payer", "tnode.db"))


# --- audits over the swarm ---

def a_stranger_audits_a_chain_from_the_swarm_and_fetches_nothing_twice(program):
    with World(program) as world:
        hub = world.farmer("hub", ["--slots", "0"])
        payee = world.farmer("payee", ["--slots", "0"], bootstrap=[hub.listen], peers=[hub.listen])
        payer = world.farmer("payer", ["--slots", "0"], bootstrap=[hub.listen], peers=[payee.listen])
        for _ in range(3):
            assert world.json_of(["ledger", "pay", payee.key, "1"], home="payer")["receipt"]
        net = ["-o", "json", "--listen", "127.0.0.1:0", "--bootstrap", hub.listen, "--peer", payer.listen]

        def audit(blocks, key=payer.key):
            """What a stranger proves, once the chain is published up to so many blocks: a small DHT takes a new head in a quarter of a minute."""
            def current():
                done = world.run(net + ["ledger", "audit", key], home="stranger")
                proved = json.loads(done.stdout)["published"] if done.returncode == 0 else None
                return proved if proved and proved["blocks"] == blocks else None
            return until(current, f"{blocks} blocks are published")
        first = audit(7)
        own = world.json_of(["ledger", "balance"], home="payer")
        assert (first["head"], first["balance_micro"], first["debits"], first["unproved_micro"]) == (own["head"], own["balance_micro"], 3, 0), (first, own)
        again = audit(7)
        assert again["signatures"] == again["debits_receipted"] and again["bundles_fetched"] == 0, again  # only the halves
        other = audit(4, payee.key)
        assert other["credits"] == other["credits_proved"] == 3 and other["sample"]["found"] == 3 and other["sample"]["missing"] == 0, other
        world.json_of(["ledger", "pay", payee.key, "1"], home="payer")
        grown = audit(9)
        assert grown["bundles_fetched"] == 1 and grown["signatures"] - grown["debits_receipted"] <= 2, grown
        unknown = world.run(net + ["ledger", "audit", "ab" * 32, "--wait", "2s"], home="stranger")
        assert unknown.returncode == 5 and json.loads(unknown.stdout)["published"] is None, unknown


def a_head_that_nobody_took_keeps_no_node_from_leaving_and_is_put_at_the_next_start(program):
    with World(program) as world, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))  # the only DHT node that the payer knows of hears everything and answers nothing
        silent.setblocking(False)
        heard = []

        def asked_where_to_put():
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(silent.recv(2048))
            return any(b"1:q3:get" in packet for packet in heard)
        payer = world.farmer("payer", ["--slots", "0"], bootstrap=[f"127.0.0.1:{silent.getsockname()[1]}"])
        world.json_of(["ledger", "pay", "ab" * 32, "1", "--wait", "100ms"], home="payer")
        until(asked_where_to_put, "a head is being put")
        payer.process.terminate()
        assert payer.wait(5) == 0, payer.stderr()  # the DHT itself gives up after three times as long
        hub = world.farmer("hub", ["--slots", "0"])
        again = world.farmer("payer-again", ["--slots", "0"], home="payer", bootstrap=[hub.listen], peers=[hub.listen])
        net = ["-o", "json", "--listen", "127.0.0.1:0", "--bootstrap", hub.listen, "--peer", again.listen]

        def published():
            audit = world.run(net + ["ledger", "audit", again.key], home="stranger")
            return audit.returncode == 0 and json.loads(audit.stdout)["published"]
        assert until(published, "the head is published")["blocks"] == world.json_of(["ledger", "balance"], home="payer")["blocks"]


if __name__ == "__main__":
    nodes.main([
        an_exported_chain_is_verified_by_a_reader_that_shares_no_code,
        a_chain_that_was_tampered_with_is_refused_by_both_readers,
        history_is_filtered_by_task_counterparty_type_and_time,
        a_payment_reaches_its_payee_at_once_or_when_it_is_met,
        a_forecast_says_what_is_left_at_this_pace,
        an_imported_chain_is_evidence_against_its_fork,
        an_export_replaces_nothing_but_an_earlier_one_of_the_same_chain,
        what_is_no_file_of_blocks_is_not_read_as_one,
        a_key_that_is_nobodys_is_not_paid,
        a_stranger_audits_a_chain_from_the_swarm_and_fetches_nothing_twice,
        a_head_that_nobody_took_keeps_no_node_from_leaving_and_is_put_at_the_next_start,
    ])
