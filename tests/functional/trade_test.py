"""Nodes that all offer, execute and pay each other, while random ones are killed with -9 and started again; then the books are opened.

usage: trade_test.py PROGRAM [--nodes 10] [--minutes 5] [--seed 1]     without options: a short run, for every day
"""
import argparse
import collections
import os
import random
import signal
import socket
import sys
import time

import nodes
from nodes import World, until

TASK = """tnode: 1
name: {name}
command: [sh, -c, "echo {name} {{index}} > out/{{index}}"]
{array}
timeouts: {{queue: 40s, run: 20s, total: 80s}}
resources: {{disk: 1MiB, memory: 32MiB}}
market: {{max_price: 1}}
quorum: {{agree: 2, max: 4}}
"""
SETTLE = 240  # seconds after the last kill in which everything comes to its end


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Trader:
    """One node over all its lives: a farmer of one slot that offers what is put into its watch folder."""

    def __init__(self, world, number, hub=None):
        self.world, self.name, self.listen = world, f"node{number}", f"127.0.0.1:{free_port()}"
        self.hub, self.process, self.kills, self.offered = hub, None, 0, 0
        self.watch = world.path(self.name + "-watch")
        os.mkdir(self.watch)

    def start(self):
        known = [self.hub.listen] if self.hub else []
        self.process = self.world.node(self.name, ["farm", "--slots", "1", "--min-price", "0.1", "--accept", "anyone", "--watch", self.watch], peers=known, bootstrap=known, listen=self.listen)

    def ready(self):
        lives = [e for e in self.process.events() if e["event"] == "farming"]
        return len(lives) > self.kills and lives[-1]

    def kill(self):
        self.process.process.send_signal(signal.SIGKILL)
        self.process.process.wait()
        self.kills += 1
        # What it was writing when it was killed is no line: the next life's lines begin anew.
        with open(self.process.out_path, "ab") as out:
            out.write(b"\n")

    def offer(self, dice):
        """A task of one unit, at times of a few; its name tells it from all others."""
        name = f"{self.name}-{self.offered}"
        self.offered += 1
        units = dice.choice((1, 1, 1, 3))
        text = TASK.format(name=name, array="" if units == 1 else "array: {range: 0-2}")
        hidden = os.path.join(self.watch, "." + name)
        with open(hidden, "w") as file:
            file.write(text)
        os.rename(hidden, os.path.join(self.watch, name + ".yaml"))

    def open_tasks(self):
        return [name for name in os.listdir(self.watch) if name.endswith(".yaml")]


def trade(world, traders, dice, seconds):
    """Offers, payments and kills until the time is over; what was asked for."""
    asked = collections.Counter()
    dead = {}  # when each is started again
    end = time.monotonic() + seconds
    next_offer = next_pay = next_kill = time.monotonic()
    payments = []
    while time.monotonic() < end:
        now = time.monotonic()
        for trader in [t for t, at in dead.items() if now >= at]:
            del dead[trader]
            trader.start()
        alive = [t for t in traders if t not in dead and t.ready()]
        if now >= next_offer and alive:
            next_offer = now + dice.uniform(0.3, 1.2)
            trader = dice.choice(alive)
            if len(trader.open_tasks()) < 3:
                trader.offer(dice)
                asked["tasks"] += 1
        if now >= next_pay and len(alive) > 1:
            next_pay = now + dice.uniform(0.5, 2)
            payer, payee = dice.sample(alive, 2)
            argv = [world.program, "--home", world.path(payer.name), "-o", "json", "ledger", "pay", payee.key, f"0.{dice.randrange(1, 100):02}", "--wait", "5s"]
            payments.append(world.start(f"payment{len(payments)}", argv))
            asked["payments"] += 1
        if now >= next_kill and alive:
            next_kill = now + dice.uniform(1.5, 4)
            trader = dice.choice(alive)
            trader.kill()
            dead[trader] = now + dice.uniform(0, 3)
            asked["kills"] += 1
        time.sleep(0.05)
    for trader in dead:
        trader.start()
    until(lambda: all(not payment.running() for payment in payments), "payments end", SETTLE)
    return asked


def open_books(world, traders):
    """The laws, over everybody's chain as it stands on disk."""
    balances = {t.name: world.json_of(["ledger", "balance"], home=t.name) for t in traders}
    names = {balance["key"]: name for name, balance in balances.items()}
    total = sum(b["balance_micro"] for b in balances.values())
    unclaimed = sum(b["unclaimed_out_micro"] for b in balances.values())
    debits, credits, paid = {}, collections.Counter(), collections.Counter()
    units_of, blocks = {}, 0
    for trader in traders:
        for task in world.json_of(["status"], home=trader.name)["tasks"]:
            units_of[task["task_id"]] = task["units"]
        for block in world.json_of(["ledger", "history"], home=trader.name)["blocks"]:
            blocks += 1
            if block["type"] == "debit":
                assert block["ref"] not in [d["ref"] for d in debits.values() if d["payer"] == trader.name], f"{trader.name} paid one award twice"
                debits[block["id"]] = {**block, "payer": trader.name}
                if "task_id" in block and block["amount_micro"]:
                    paid[block["task_id"], block["counterparty"]] += block["amount_micro"]
            if block["type"] == "credit":
                credits[block["link"]] += 1
    lone = set(credits) - set(debits)
    assert not lone, f"CREDITs without a DEBIT: {lone}"
    assert max(credits.values(), default=0) <= 1, "a DEBIT was credited twice"
    open_debits = [d for i, d in debits.items() if i not in credits]
    assert total + unclaimed == 0, f"balances add up to {total}, {unclaimed} are on their way"
    assert sum(d["amount_micro"] for d in open_debits) == unclaimed, (open_debits, unclaimed)
    # All ask the same price: whoever got more than one vote a unit pays was paid for something twice.
    for (task, farmer), amount in paid.items():
        assert amount <= 100_000 * units_of[task], f"{names.get(farmer)} was paid {amount} for task {task} of {units_of[task]} units"
    held = sum(b["held_micro"] for b in balances.values())
    for trader in traders:
        export = world.path(trader.name + ".blocks")
        world.json_of(["ledger", "export", export], home=trader.name)
        verified = world.json_of(["ledger", "verify", export], home=trader.name)
        assert verified["good"] and verified["unproved_micro"] == 0, verified
        for key in names:
            known = world.run(["ledger", "audit", key, "--wait", "0s"], home=trader.name)
            assert known.returncode == 0, f"{trader.name} has something against {names[key]}: {known.stdout}{known.stderr}"
    return {"blocks": blocks, "debits": len(debits), "credits": sum(credits.values()), "tasks paid": len({task for task, _ in paid}), "on their way": unclaimed, "held": held,
            "moved": sum(d["amount_micro"] for d in debits.values()) / 1e6}


def run(program, count, seconds, seed):
    dice = random.Random(seed)
    with World(program) as world:
        traders = [Trader(world, 0)]
        traders += [Trader(world, number, traders[0]) for number in range(1, count)]
        for trader in traders:
            trader.start()
        for trader in traders:
            trader.key = until(trader.ready, f"{trader.name} is ready")["key"]
        asked = trade(world, traders, dice, seconds)
        for trader in traders:
            until(trader.ready, f"{trader.name} is back", SETTLE)
        until(lambda: not any(t.open_tasks() for t in traders), "every task comes to an end", SETTLE)
        settled = lambda: sum(world.json_of(["ledger", "balance"], home=t.name)["unclaimed_out_micro"] for t in traders) == 0
        until(settled, "every payment is claimed", SETTLE)
        for trader in traders:
            trader.process.stop()
        done = sum(len([n for n in os.listdir(os.path.join(t.watch, "done")) if n.endswith(".yaml")]) for t in traders if os.path.isdir(os.path.join(t.watch, "done")))
        doubted = [t.name for t in traders if t.process.events("restored")]
        assert not doubted, f"a kill is no restore: {doubted}"
        found = open_books(world, traders)
        print(f"{count} nodes, {seconds:.0f} s, seed {seed}: {asked['kills']} kills with -9, {asked['tasks']} tasks offered, {done} done, {asked['payments']} payments asked for; {found['blocks']} blocks, "
              f"{found['debits']} DEBITs, {found['credits']} CREDITs, {found['moved']:g} credits moved for {found['tasks paid']} tasks and outside of them; sum of balances and payments on their way: 0; no DEBIT without its CREDIT, no task paid twice")
        assert done >= asked["tasks"] // 4 and found["debits"] > count and asked["kills"] >= seconds // 6, (asked, done, found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=2 / 3)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    sys.argv = [sys.argv[0], wanted.program]

    def nodes_that_trade_and_are_killed_lose_and_double_nothing(program):
        run(program, wanted.nodes, wanted.minutes * 60, wanted.seed)
    nodes.main([nodes_that_trade_and_are_killed_lose_and_double_nothing])


if __name__ == "__main__":
    main()
