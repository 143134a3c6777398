"""A farmer audits a requester's published chain before it promises it much, and fetches nothing that it has twice."""
import json
import math
import os

import nodes
from attacker_test import key_of, net
from nodes import World, until

PIECE = 16 << 10
TASK = """tnode: 1
name: {name}
command: [sh, -c, "echo {{index}} > out/{{index}}"]
array: {{range: 0-{last}}}
timeouts: {{queue: 150s, run: 50s, total: 220s}}
resources: {{disk: 1MiB, memory: 32MiB}}
market: {{max_price: 5}}
quorum: {{agree: 1, max: 1}}
"""


def task(world, name, units):
    return world.task(name, TASK.format(name=name, last=units - 1))


def published(world, home, peer):
    """What a stranger proves of a home's chain, once all of it is published: a small DHT takes a new head in a quarter of a minute."""
    key, blocks = key_of(world, home), world.json_of(["ledger", "balance"], home=home)["blocks"]

    def current(auditor):
        done = world.run(["-o", "json", *net(peer), "ledger", "audit", key], home=auditor)
        proved = json.loads(done.stdout)["published"] if done.returncode == 0 else None
        return proved if proved and proved["blocks"] == blocks else None
    until(lambda: current("scout"), f"{blocks} blocks of {home} are published")
    return until(lambda: current("onlooker"), "one who looks now and then sees them")


def an_award_above_the_limit_waits_for_an_audit_and_each_audit_fetches_what_is_new(program):
    with World(program) as world:
        hub = world.farmer("hub", ["--slots", "0"])
        # A single unit costs more than the limit: nothing is done before the audit.
        terms = ["--slots", "2", "--min-price", "4", "--audit-above", "3"]
        farmer = world.farmer("farmer", terms, bootstrap=[hub.listen])
        # The requester has a past, of payments to the hub, and it is public.
        public = world.farmer("public", ["--slots", "0"], home="requester", bootstrap=[hub.listen], peers=[hub.listen])
        for _ in range(60):
            world.json_of(["ledger", "pay", hub.key, "0.1", "--wait", "0s"], home="requester")
        until(lambda: world.json_of(["ledger", "audit"], home="requester")["debits_receipted"] == 60, "all receipts are there")
        world.json_of(["ledger", "pay", hub.key, "0.1"], home="requester")  # what is published now has them
        first = published(world, "requester", public)
        assert first["blocks"] >= 123 and first["bytes_fetched"] >= 123 * 312, first
        public.stop()
        status, answer, requester = world.seed("requester", task(world, "first", 12), bootstrap=[hub.listen], peers=[farmer.listen], limit=240)
        assert status == 0 and answer["accepted"] == 12, requester.stderr()
        audit = farmer.expect("audited")
        assert audit["blocks"] >= first["blocks"] and audit["unproved_micro"] == 0 and audit["bundles_fetched"] == 1, audit
        # Later the chain has grown. Of its open segment the pieces that are here are not fetched again, by whoever audits.
        public = world.farmer("public-again", ["--slots", "0"], home="requester", bootstrap=[hub.listen], peers=[hub.listen])
        grown = published(world, "requester", public)
        # Files of 312 bytes a block, pieces of 16 KiB: what was whole stays.
        pieces = [math.ceil(grown[what] * 312 / PIECE) - first[what] * 312 // PIECE for what in ("blocks", "debits_receipted")]
        assert grown["blocks"] > first["blocks"] and 0 < grown["bytes_fetched"] <= sum(pieces) * PIECE < first["bytes_fetched"], (pieces, first, grown)
        public.stop()
        farmer.stop()
        again = world.farmer("farmer-again", terms, home="farmer", bootstrap=[hub.listen])
        status, answer, requester = world.seed("requester-again", task(world, "second", 11), home="requester", bootstrap=[hub.listen], peers=[again.listen], limit=240)
        assert status == 0 and answer["accepted"] == 11, requester.stderr()
        later = again.expect("audited")
        assert later["blocks"] >= audit["blocks"] and later["bundles_fetched"] <= 1, later  # the DHT may still show it the older head
        # What a bundle took the place of is gone, here and there.
        for home in ("farmer", "scout", "onlooker"):
            left = [name for name in os.listdir(world.path(home, "chains")) if os.path.isdir(world.path(home, "chains", name))]
            assert len(left) <= 3, (home, left)  # of the requester, and of those whom an audit looked into
        print(f"  {first['blocks']} blocks: {first['bytes_fetched']} bytes; {grown['blocks']} blocks: {grown['bytes_fetched']} bytes more")


if __name__ == "__main__":
    nodes.main([an_award_above_the_limit_waits_for_an_audit_and_each_audit_fetches_what_is_new])
