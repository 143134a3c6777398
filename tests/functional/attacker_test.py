"""One who attacks the ledger: forks, replays, forges, backdates, mints, floods. Each is caught, and the proof is printed, or bounded, and the bound is printed."""
import json
import os

import cheats
import nodes
from cheats import Attacker
from nodes import World, until

TASK = """tnode: 1
name: {name}
command: {command}
array: {{range: 0-{last}}}
timeouts: {{queue: {queue}, run: 50s, total: 100s}}
resources: {{disk: 1MiB, memory: 32MiB}}
market: {{max_price: 1}}
quorum: {{agree: 1, max: 1}}
"""
QUICK, ENDLESS = '[sh, -c, "echo {index} > out/{index}"]', "[tail, -f, /dev/null]"


def task(world, name, units=1, command=QUICK, queue="20s"):
    return world.task(name, TASK.format(name=name, command=command, last=units - 1, queue=queue))


def caught(what, fraud):
    """The proof, for whoever reads the test's log: the rule and the blocks' places and ids."""
    print(f"  caught   {what}: the key {fraud['rule']}")
    for block in map(bytes.fromhex, fraud["blocks"]):
        print(f"           seq {int.from_bytes(block[8:15], 'little')}  {cheats.block_id(block).hex()}")


def bounded(what, figure):
    print(f"  bounded  {what}: {figure}")


def known(world, key, home):
    """What a home says of a key, without looking at the swarm."""
    done = world.run(["-o", "json", "ledger", "audit", key, "--wait", "0s"], home=home)
    return json.loads(done.stdout)


def proof(world, key, home):
    """The proof that a home has, once it has one."""
    return until(lambda: known(world, key, home)["fraud"], f"{home} has a proof")


def net(*peers):
    return ["--listen", "127.0.0.1:0", *[word for peer in peers for word in ("--bootstrap", peer.listen, "--peer", peer.listen)]]


def key_of(world, home):
    return world.json_of(["key", "show"], home=home)["key"]


def balance(world, home):
    return world.json_of(["ledger", "balance"], home=home)


def attacker(world, name, peer, seed=0x61):
    """With its key and that of the node it is connected to."""
    made = Attacker(world, name, peer.listen, seed)
    made.key = bytes.fromhex(made.do("sign " + made.seed + " 00", "signed")) and key_of_seed(world, made.seed)
    made.peer = bytes.fromhex(peer.key)
    return made


def key_of_seed(world, seed):
    home = world.path("key-" + seed[:8])
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, "key"), "w") as file:
        file.write(seed + "\n")
    return bytes.fromhex(key_of(world, "key-" + seed[:8]))


# --- forks ---

def fork_of(world, payee):
    """A home that was copied, and both went on: its key."""
    world.json_of([*net(payee), "ledger", "pay", payee.key, "1"], home="cheat")
    cheats.copied(world, "cheat")
    world.json_of([*net(payee), "ledger", "pay", payee.key, "2"], home="cheat")
    return key_of(world, "cheat")


def a_fork_is_found_told_to_counterparties_and_refused_by_all(program):
    with World(program) as world:
        victim = world.farmer("victim")
        friend = world.farmer("friend", peers=[victim.listen])
        key = fork_of(world, victim)
        assert known(world, key, "friend")["fraud"] is None
        world.json_of([*net(victim), "ledger", "pay", victim.key, "3", "--wait", "2s"], home="copy")  # a second block at the same place
        for home in ("victim", "friend"):
            fraud = proof(world, key, home)
            assert "two blocks with seq" in fraud["rule"] and len(fraud["blocks"]) == 2 and fraud["blocks"][0] != fraud["blocks"][1], fraud
        caught("a fork, by the counterparty that got both blocks", fraud)
        # Everyone refuses the key from now on: one that only heard of it, one that comes later, and after a restart.
        late = world.farmer("late", peers=[friend.listen])
        proof(world, key, "late")
        for farmer in (friend, late):
            farmer.stop()
        again = world.farmer("late-again", home="late")
        options = ["--set", "timeouts.queue=2s"]
        status, answer, requester = world.seed("cheat", task(world, "trade"), options, peers=[again.listen])
        assert status in (4, 6) and answer["paid_micro"] == 0, (status, answer, requester.stderr())
        assert again.events("declined") and again.events("declined")[0]["reason"] == "caught", again.stdout()
        honest, answer, requester = world.seed("honest", task(world, "trade"), options, peers=[again.listen])
        assert honest == 0, requester.stderr()


def a_fork_that_no_counterparty_sees_is_found_by_an_audit_kept_and_handed_on(program):
    """Each half of the fork goes to another victim; only the published chain shows both."""
    with World(program) as world:
        hub = world.farmer("hub", ["--slots", "0"])
        around = dict(bootstrap=[hub.listen], peers=[hub.listen])
        first = world.farmer("first", ["--slots", "0"], **around)
        second = world.farmer("second", ["--slots", "0"], **around)
        key = fork_of(world, first)
        world.json_of(["--listen", "127.0.0.1:0", "--peer", second.listen, "ledger", "pay", second.key, "3", "--wait", "5s"], home="copy")
        for home in ("first", "second", "hub"):
            assert known(world, key, home)["fraud"] is None, home
        public = world.farmer("public", ["--slots", "0"], home="cheat", bootstrap=[hub.listen], peers=[first.listen])

        def audited():
            done = world.run([*net(hub), "-o", "json", "ledger", "audit", key], home="second")
            return json.loads(done.stdout)["fraud"]
        caught("a fork whose halves went to two victims, by an audit", until(audited, "the audit shows it"))
        for home in ("second", "hub", "first"):  # the auditor's node keeps it and tells those it meets, and they tell others
            assert "two blocks with seq" in proof(world, key, home)["rule"], home
        public.stop()


# --- replays, forgeries, other times ---

def what_is_replayed_is_booked_once(program):
    with World(program) as world:
        victim = world.farmer("victim", ["--slots", "0"])
        evil = attacker(world, "evil", victim)
        payment = cheats.payment_frame(evil.debit(evil.peer, 2, 5_000_000))
        evil.do(f"times 60 {payment}", "said")
        until(lambda: balance(world, "victim")["balance_micro"] == 5_000_000, "it is booked")
        evil.tell(payment)
        credits = world.json_of(["ledger", "history", "--type", "credit"], home="victim")["blocks"]
        assert len(credits) == 1 and balance(world, "victim")["balance_micro"] == 5_000_000, credits
        # The answer comes each time: it is the same CREDIT, so whoever asks again learns nothing new and is owed nothing more.
        answers = {line.split()[2] for line in evil.stdout().splitlines() if line.startswith("message ") and b"6:credit".hex() in line}
        assert len(answers) == 1, answers
        bounded("61 replays of one payment", "1 CREDIT, 61 answers with the same block at most")


def what_is_forged_is_not_booked(program):
    with World(program) as world:
        victim = world.farmer("victim", ["--slots", "0"])
        world.json_of([*net(victim), "ledger", "pay", victim.key, "1"], home="honest")
        honest = bytes.fromhex(key_of(world, "honest"))
        evil = attacker(world, "evil", victim)
        good = evil.debit(evil.peer, 2, 5_000_000)
        forged = {
            "another's DEBIT, signed by the attacker": evil.debit(evil.peer, 4, 5_000_000, key=honest),
            "another's DEBIT that was paid, brought by the attacker": [b for b in cheats.exported(world, "honest") if b[15] == cheats.DEBIT][0],
            "a DEBIT of the victim itself": evil.debit(evil.key, 4, 5_000_000, key=evil.peer),
            "a larger amount under an old signature": good[:216] + (9_000_000).to_bytes(8, "little") + good[224:],
            "the other scalar of a signature": cheats.twin_of(good),
            "no signature": good[:248] + bytes(64),
            "a DEBIT for somebody else": evil.debit(honest, 2, 5_000_000),
            "a CREDIT": evil.block(evil.seed, evil.key, cheats.CREDIT, 2, counterparty=evil.peer, link=bytes([7] * 32), ref=bytes([8] * 32), amount=1, balance=1),
            "a block that deals with itself": evil.block(evil.seed, evil.key, cheats.DEBIT, 2, counterparty=evil.key, link=bytes([7] * 32), ref=bytes([8] * 32), amount=1),
            "half a block": good[:200],
        }
        before = balance(world, "victim")
        for what, block in forged.items():
            refused = len(evil.refusals())
            evil.tell(cheats.payment_frame(block))
            until(lambda: len(evil.refusals()) > refused, f"{what} is refused")
            assert b"bad_block" in evil.refusals()[-1], (what, evil.refusals()[-1])
        assert balance(world, "victim") == before
        assert known(world, honest.hex(), "victim")["fraud"] is None and known(world, evil.key.hex(), "victim")["fraud"] is None
        evil.tell(cheats.payment_frame(good))
        until(lambda: balance(world, "victim")["balance_micro"] == before["balance_micro"] + 5_000_000, "the right one is booked")
        bounded(f"{len(forged)} kinds of forgery", "0 booked, and nobody's key is touched")


def what_is_backdated_convicts_its_author(program):
    with World(program) as world:
        victim = world.farmer("victim", ["--slots", "0"])
        evil = attacker(world, "evil", victim)
        evil.tell(cheats.payment_frame(evil.debit(evil.peer, 20, 1_000_000, time_ms=1_700_000_000_000)))
        until(lambda: balance(world, "victim")["balance_micro"] == 1_000_000, "the first is booked")
        evil.tell(cheats.payment_frame(evil.debit(evil.peer, 44, 1_000_000, time_ms=1_600_000_000_000)))
        fraud = proof(world, evil.key.hex(), "victim")
        assert "dated block 44 before block 20" in fraud["rule"], fraud
        assert balance(world, "victim")["balance_micro"] == 1_000_000
        caught("a later block that is dated earlier", fraud)


# --- money out of nothing ---

def two_keys_that_pay_each_other_gain_nothing(program):
    with World(program) as world:
        cap = 1
        farmer = world.farmer("farmer", ["--min-price", "0.5", "--stranger-cap", str(cap)])
        mint = world.farmer("mint", ["--slots", "0"])
        other = attacker(world, "other-key", mint)
        for number in range(3):  # the second key's chain may go as far below zero as it likes: it says so itself
            other.tell(cheats.payment_frame(other.debit(other.peer, 2 + 2 * number, 500_000_000, what=f"mint {number}")))
        until(lambda: balance(world, "mint")["balance_micro"] == 1_500_000_000, "1,500 credits are minted")
        mint.stop()
        status, answer, rich = world.seed("mint", task(world, "mint-task", 4, queue="3s"), peers=[farmer.listen])
        assert status == 6 and answer["accepted"] == 2, (status, answer, rich.stderr())
        status, answer, poor = world.seed("poor", task(world, "poor-task", 1, queue="3s"), peers=[farmer.listen])
        assert status == 6 and answer["accepted"] == 0, (status, answer, poor.stderr())
        gained = balance(world, "farmer")["balance_micro"] / 1e6
        assert gained <= cap
        bounded("a key with 1,500 minted credits, and another one after it", f"work for {gained:g} credits, of at most {cap} for all strangers together")


def many_new_keys_gain_what_one_gains(program):
    with World(program) as world:
        cap, keys = 2, 12
        farmer = world.farmer("farmer", ["--min-price", "0.5", "--stranger-cap", str(cap)])
        # All at once, each a home and a key of its own, each wants as much as the cap holds.
        sybils = [world.node(f"sybil{n}", ["seed", task(world, f"sybil-task{n}", 4, queue="4s"), "--out", world.path(f"sybil{n}-out")], peers=[farmer.listen]) for n in range(keys)]
        for sybil in sybils:
            sybil.wait()
        done = sum(sybil.events("answer")[-1]["accepted"] for sybil in sybils)
        assert 1 <= done <= 2 * cap, done
        bounded(f"{keys} new keys that want {4 * keys} units", f"{done} units, of at most {2 * cap}: the cap is {cap} credits for all strangers together")
        # What they took is known for what it is after a restart too.
        farmer.stop()
        again = world.farmer("farmer-again", ["--min-price", "0.5", "--stranger-cap", str(cap)], home="farmer")
        status, answer, late = world.seed("late", task(world, "late-task", 4, queue="3s"), peers=[again.listen])
        assert done + answer["accepted"] <= 2 * cap, (status, answer)


# --- floods ---

def one_who_floods_with_messages_costs_a_bounded_amount(program):
    with World(program) as world:
        victim = world.farmer("victim")
        flood = attacker(world, "flood", victim)
        flood.do("pay 400", "paid")
        flood.do("convict 400", "convicted")
        flood.do(f"times 3000 {cheats.frame('ask-blocks', **{'from': 0})}", "said")
        # Honest work goes on meanwhile.
        status, answer, requester = world.seed("honest", task(world, "honest-task", 3), peers=[victim.listen])
        assert status == 0 and answer["accepted"] == 3, requester.stderr()
        credits = len(world.json_of(["ledger", "history", "--type", "credit", "--with", flood.key.hex()], home="victim")["blocks"])
        answers = sum(1 for line in flood.stdout().splitlines() if line.startswith("message ") and b"6:blocks".hex() in line and line.endswith(b"1:t6:blockse".hex()))
        assert 64 <= credits < 200 and 64 <= answers < 1000, (credits, answers)
        victim.stop()
        frauds = world.json_of(["ledger", "frauds"], home="victim")["frauds"]
        assert 100 <= len(frauds) <= 140 and all("two blocks with seq 4" in fraud["rule"] for fraud in frauds), len(frauds)
        bounded("400 payments of a millionth", f"{credits} CREDITs: 64 at once, then 2 a second from one peer")
        bounded("proofs against 400 keys made to be convicted", f"{len(frauds)} kept: 128 at once, then 6 a minute from one peer; of keys without dealings here 256 at once from all")
        bounded("3000 questions about one's own chain", f"{answers} answered: 64 at once, then 10 a second")


def one_who_talks_nonsense_is_let_go(program):
    with World(program) as world:
        victim = world.farmer("victim", ["--slots", "0"])
        for number, (what, nonsense) in enumerate({"no bencoding": b"nonsense".hex(), "an unknown type": cheats.frame("gimme"), "four blocks for a proof": cheats.frame("fraud", blocks=[bytes(312)] * 4)}.items()):
            evil = attacker(world, f"evil{number}", victim, 0x30 + number)
            evil.tell(f"times 200 {nonsense}")
            until(evil.dropped, f"one who says {what} is let go")
            assert 1 <= len(evil.refusals()) <= 80, len(evil.refusals())
            bounded(f"200 messages of {what}", f"let go after {len(evil.refusals())} refusals: 64 at once, then 1 a second")
        assert victim.running()


def a_crowd_of_new_keys_keeps_nobody_from_working(program):
    with World(program) as world:
        victim = world.farmer("victim")
        crowd = attacker(world, "crowd", victim)
        block = cheats.payment_frame(crowd.debit(crowd.peer, 2, 1))
        crowd.tell(f"keys 40 {block}")  # another's DEBIT: none of them may bring it
        status, answer, requester = world.seed("honest", task(world, "honest-task", 3), peers=[victim.listen])
        assert status == 0 and answer["accepted"] == 3, requester.stderr()
        until(lambda: "met " in crowd.stdout(), "the crowd has passed")
        met = int([line for line in crowd.stdout().splitlines() if line.startswith("met ")][-1].split()[1])
        assert met > 0 and victim.running() and world.json_of(["ledger", "history", "--type", "credit", "--with", crowd.key.hex()], home="victim")["blocks"] == []
        bounded(f"{met} new keys, one after the other, each with a payment that is not its own", "0 booked; 3 of 3 units of an honest requester done meanwhile")


# --- proofs and accusations ---

def a_false_accusation_costs_its_sender_alone(program):
    with World(program) as world:
        judge = world.farmer("judge")
        paid = world.json_of([*net(judge), "ledger", "pay", judge.key, "1"], home="accused")
        accused = key_of(world, "accused")
        blocks = cheats.exported(world, "accused")
        forged = blocks[2][:216] + bytes([blocks[2][216] ^ 1]) + blocks[2][217:]
        wrong = {"honest blocks": (blocks[1], blocks[2]), "the same block twice": (blocks[1], blocks[1]), "a forged signature": (blocks[2], forged), "one block": (blocks[1],)}
        for number, (what, blocks_told) in enumerate(wrong.items()):
            liar = attacker(world, f"liar{number}", judge, 0x40 + number)
            liar.tell(cheats.fraud_frame(*blocks_told))
            until(liar.dropped, f"a liar with {what} is let go")
            assert b"false_proof" in liar.refusals()[-1]
            liar.stop()
            assert world.run(["ledger", "audit", accused, "--wait", "0s"], home="judge").returncode == 0, what
        bounded(f"{len(wrong)} kinds of false accusation", "each sender is refused from then on; the accused is not touched")
        assert world.json_of([*net(judge), "ledger", "pay", judge.key, "1"], home="accused")["receipt"] and paid["receipt"]
        assert judge.running()


def anybody_may_hand_over_a_proof_that_holds(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        key = fork_of(world, payee)
        payee.stop()
        world.json_of(["--listen", "127.0.0.1:0", "ledger", "pay", payee.key, "3", "--wait", "100ms"], home="copy")
        here, there = cheats.exported(world, "cheat"), cheats.exported(world, "copy")
        judge = world.farmer("judge", ["--slots", "0"])
        witness = attacker(world, "witness", judge, 0x50)
        witness.tell(cheats.fraud_frame(here[3], there[3]))
        caught("a fork, by a stranger's word that holds", proof(world, key, "judge"))
        assert not witness.dropped()


def awards_of_a_requester_that_is_caught_end_at_once(program):
    with World(program) as world:
        farmer = world.farmer("farmer")
        requester = world.node("cheat", ["seed", task(world, "endless", 2, ENDLESS), "--out", world.path("cheat-out")], peers=[farmer.listen])
        requester.expect("award")
        task_id = requester.expect("task")["task_id"]
        until(lambda: nodes.processes_of_task(task_id), "the farmer executes it")
        evil = attacker(world, "evil", farmer)
        key = bytes.fromhex(key_of(world, "cheat"))
        evil.tell(cheats.fraud_frame(*evil.fork(cheats.secret_of(world, "cheat"), key, evil.key)))
        dropped = farmer.expect("lease_dropped")
        assert "refused: it signed two blocks with seq 99" in dropped["reason"], dropped
        until(lambda: not nodes.processes_of_task(task_id), "what ran for it is stopped")
        lost = requester.expect("lost")
        assert lost["reason"].startswith("caught"), lost
        caught("a requester in the middle of its task", proof(world, key.hex(), "farmer"))
        requester.stop()


def units_of_a_farmer_that_is_caught_go_to_others(program):
    with World(program) as world:
        cheat = world.farmer("cheat", ["--slots", "1", "--min-price", "0.1"])
        requester = world.node("requester", ["seed", world.task("mixed", TASK.format(name="mixed", command="[tail, -f, /dev/null]", last=0, queue="40s")), "--out", world.path("requester-out")], peers=[cheat.listen])
        listen = requester.expect("task")["listen"]
        requester.expect("award")
        evil = attacker(world, "evil", cheat)
        witness = Attacker(world, "witness", listen, 0x51)
        key = bytes.fromhex(cheat.key)
        witness.tell(cheats.fraud_frame(*evil.fork(cheats.secret_of(world, "cheat"), key, evil.key)))
        lost = requester.expect("lost", farmer=cheat.key)
        assert lost["reason"].startswith("caught: it signed two blocks"), lost
        other = world.farmer("other", peers=[listen])
        award = requester.expect("award", farmer=other.key)
        assert award["units"].startswith("0"), award
        until(lambda: cheat.events("lease_dropped"), "the cheat hears that its lease is over")
        caught("a farmer in the middle of a unit", proof(world, cheat.key, "requester"))
        requester.stop()


if __name__ == "__main__":
    nodes.main([
        a_fork_is_found_told_to_counterparties_and_refused_by_all,
        a_fork_that_no_counterparty_sees_is_found_by_an_audit_kept_and_handed_on,
        what_is_replayed_is_booked_once,
        what_is_forged_is_not_booked,
        what_is_backdated_convicts_its_author,
        two_keys_that_pay_each_other_gain_nothing,
        many_new_keys_gain_what_one_gains,
        one_who_floods_with_messages_costs_a_bounded_amount,
        one_who_talks_nonsense_is_let_go,
        a_crowd_of_new_keys_keeps_nobody_from_working,
        a_false_accusation_costs_its_sender_alone,
        anybody_may_hand_over_a_proof_that_holds,
        awards_of_a_requester_that_is_caught_end_at_once,
        units_of_a_farmer_that_is_caught_go_to_others,
    ])
