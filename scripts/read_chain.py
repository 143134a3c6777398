#!/usr/bin/python3
"""Verifies a chain of blocks that `tnode ledger export FILE` wrote, without any code of tnode.

Written from docs/blocks.md alone, with Python's standard library and the openssl program (3.0 or newer) for Ed25519. Prints what the file
proves and what it only claims; exit status 1 when a rule is broken.

    scripts/read_chain.py FILE [--json] [--signatures all|head]
"""
import argparse
import base64
import concurrent.futures
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

BODY, BLOCK, SEGMENT = 248, 312, 1024
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
EIGHTH = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # y of a point of order 8
SMALL_POINTS = {0, 1, PRIME - 1, EIGHTH, PRIME - EIGHTH}  # y of all whose order divides 8
ZERO = bytes(32)
GENESIS, HOLD, RELEASE, DEBIT, CREDIT, CHECKPOINT = range(1, 7)
NAMES = {GENESIS: "genesis", HOLD: "hold", RELEASE: "release", DEBIT: "debit", CREDIT: "credit", CHECKPOINT: "checkpoint"}
SMALLEST, LARGEST = -2**63, 2**63 - 1


class Broken(Exception):
    pass


class Block:
    def __init__(self, raw, at):
        self.raw, self.body, self.signature = raw, raw[:BODY], raw[BODY:]
        if raw[:8] != b"tnodeblk":
            raise Broken(f"the block at byte {at} does not start with 'tnodeblk'")
        head, self.time = struct.unpack_from("<Qq", raw, 8)
        self.seq, self.type = head & (2**56 - 1), head >> 56
        if self.type not in NAMES:
            raise Broken(f"the block at byte {at} is of the unknown type {self.type}")
        self.key, self.counterparty, self.prev, self.link, self.ref, self.evidence = (raw[i:i + 32] for i in range(24, 216, 32))
        self.amount, self.balance, self.held, self.expiry = struct.unpack_from("<qqqq", raw, 216)
        self.id = hashlib.sha256(b"tnode:block-id\0" + self.body).digest()

    def refuse(self, why):
        raise Broken(f"{NAMES[self.type]} block {self.seq} of {self.key.hex()[:12]}: {why}")

    def demand(self, condition, why):
        if not condition:
            self.refuse(why)


def check_shape(b):
    alone, answers = b.type in (GENESIS, CHECKPOINT), b.type in (RELEASE, DEBIT, CREDIT)
    b.demand(b.amount >= 0 and b.held >= 0, "a negative amount")
    b.demand(b.time >= 0, "a time before 1970")
    b.demand((b.counterparty == ZERO) == alone and (b.ref == ZERO) == alone, "counterparty and ref do not fit the type")
    b.demand(b.counterparty != b.key, "it deals with itself")
    b.demand((b.link != ZERO) == answers, "link does not fit the type")
    b.demand(b.type == HOLD or b.expiry == 0, "only a hold expires")
    b.demand(b.type != GENESIS or b.evidence == ZERO, "a genesis block has no evidence")
    b.demand(b.type != CHECKPOINT or b.amount == 0, "a checkpoint moves nothing")


class Chain:
    """Rules 1 to 8 of docs/blocks.md, block by block."""

    def __init__(self):
        self.head, self.line = None, 0
        self.open, self.ended, self.credited, self.credited_refs = {}, set(), set(), set()
        self.debits, self.credits = {}, {}

    def add(self, b):
        check_shape(b)
        last = self.head
        if last is None:
            b.demand(b.type == GENESIS and b.seq == 0 and b.prev == ZERO and b.balance == 0 and b.held == 0, "a chain starts with a genesis block and nothing")
            self.head, self.line = b, b.amount
            return
        b.demand(b.type != GENESIS, "a second genesis block")
        b.demand(b.key == last.key, "another key")
        b.demand(b.seq == last.seq + 1, f"seq does not follow {last.seq}")
        b.demand(b.prev == last.id, "prev is not the block before it")
        b.demand(b.time >= last.time, "time runs backwards")
        balance, held = last.balance, last.held
        if b.type == HOLD:
            b.demand(b.ref not in self.open and b.ref not in self.ended, "a second hold for one award")
            held += b.amount
            self.open[b.ref] = b
        elif b.type in (DEBIT, RELEASE):
            hold = self.open.pop(b.ref, None)
            b.demand(hold is not None and hold.id == b.link and hold.counterparty == b.counterparty, "it ends a hold that is not open")
            self.ended.add(b.ref)
            held -= hold.amount
            if b.type == DEBIT:
                b.demand(b.amount <= hold.amount, "it pays more than was held")
                balance -= b.amount
                self.debits[b.id] = b
            else:
                b.demand(b.amount == hold.amount, "it gives back another amount than was held")
        elif b.type == CREDIT:
            b.demand(b.link not in self.credited and (b.ref, b.counterparty) not in self.credited_refs, "a payment is booked twice")
            self.credited.add(b.link)
            self.credited_refs.add((b.ref, b.counterparty))
            balance += b.amount
            self.credits[b.link] = b
        elif b.type == CHECKPOINT:
            refs = sorted(self.open)
            digest = hashlib.sha256(b"tnode:open-holds\0" + b"".join(ref + self.open[ref].id for ref in refs)).digest() if refs else ZERO
            b.demand(b.evidence == digest, "its evidence is not the digest of the open holds")
        b.demand(SMALLEST <= balance <= LARGEST and 0 <= held <= LARGEST, "amounts overflow")
        b.demand(b.balance == balance, f"balance is {b.balance}, should be {balance}")
        b.demand(b.held == held, f"held is {b.held}, should be {held}")
        if b.type == HOLD:
            b.demand(balance - held >= -self.line, "it goes below the line")
        self.head = b


def verify_signature(b, folder):
    """By the openssl program. S must be below the group order: otherwise a signature has twins. For a key of small order anybody can sign."""
    b.demand(int.from_bytes(b.signature[32:], "little") < GROUP_ORDER, "a malleable signature")
    b.demand((int.from_bytes(b.key, "little") & 2**255 - 1) % PRIME not in SMALL_POINTS, "its key is of small order")
    name = os.path.join(folder, b.id.hex())
    der = bytes.fromhex("302a300506032b6570032100") + b.key
    with open(name + ".pem", "w") as pem:
        pem.write("-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PUBLIC KEY-----\n")
    for suffix, content in ((".sig", b.signature), (".msg", b"tnode:block\0" + b.body)):
        with open(name + suffix, "wb") as file:
            file.write(content)
    done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", name + ".pem", "-rawin", "-in", name + ".msg", "-sigfile", name + ".sig"], capture_output=True)
    b.demand(done.returncode == 0, "its signature is wrong")
    for suffix in (".pem", ".sig", ".msg"):
        os.unlink(name + suffix)


def read(data):
    if not data or len(data) % BLOCK:
        raise Broken(f"a file of blocks has a multiple of {BLOCK} bytes, this one has {len(data)}")
    blocks = [Block(data[at:at + BLOCK], at) for at in range(0, len(data), BLOCK)]
    chain, key, halves, seen = Chain(), blocks[0].key, [], set()
    for b in blocks:
        if b.key == key:
            b.demand(not halves, "it stands behind blocks of others")
            chain.add(b)
            continue
        check_shape(b)
        if b.type == DEBIT:
            ours, debit = chain.credits.get(b.id), b.id
        else:
            ours, debit = chain.debits.get(b.link) if b.type == CREDIT else None, b.link
        fits = ours is not None and b.counterparty == key and ours.counterparty == b.key and ours.ref == b.ref and ours.amount == b.amount
        b.demand(fits, "it is no half of a payment of this chain")
        b.demand(debit not in seen, "its payment has its other half already")
        seen.add(debit)
        halves.append(b)
    return chain, blocks, halves, seen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--signatures", choices=["all", "head"], default="all", help="head: of the last block, which vouches for all before it by prev, and of the halves")
    arguments = parser.parse_args()
    try:
        with open(arguments.file, "rb") as file:
            chain, blocks, halves, seen = read(file.read())
        for payments in (chain.credits, chain.debits):
            if sum(b.amount for b in payments.values()) > LARGEST:
                raise Broken("the sum of all payments is more than can be counted")
        signed = blocks if arguments.signatures == "all" else [chain.head] + halves
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda b: verify_signature(b, folder), signed))
    except Broken as broken:
        print(f"{arguments.file}: {broken}", file=sys.stderr)
        return 1
    head = chain.head
    facts = {"key": head.key.hex(), "blocks": head.seq + 1, "head": head.id.hex(), "signatures": len(signed), "balance_micro": head.balance, "held_micro": head.held, "line_micro": chain.line,
             "earned_micro": sum(b.amount for b in chain.credits.values()), "paid_micro": sum(b.amount for b in chain.debits.values()),
             "credits": len(chain.credits), "credits_proved": sum(debit in seen for debit in chain.credits),
             "debits": len(chain.debits), "debits_receipted": sum(debit in seen for debit in chain.debits),
             "unproved_micro": sum(b.amount for debit, b in chain.credits.items() if debit not in seen)}
    if arguments.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name:18}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
