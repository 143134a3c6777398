"""Hands of those who cheat with credits, for tests: blocks of any content, signed by any key; frames; copies of homes that go on."""
import hashlib
import os
import shutil
import struct
import subprocess

from nodes import until

GENESIS, HOLD, RELEASE, DEBIT, CREDIT = 1, 2, 3, 4, 5
ORDER = 2 ** 252 + 27742317777372353535851937790883648493  # of Ed25519's group


def copied(world, home):
    """A copy of a home that goes on as if it were the only one: its owner said that he knows better."""
    shutil.copytree(world.path(home), world.path("copy"))
    world.run(["ledger", "adopt", "--even-if-this-ruins-my-key"], home="copy")


def exported(world, home):
    path = world.path(home + ".blocks")
    world.json_of(["ledger", "export", path], home=home)
    data = open(path, "rb").read()
    return [data[at:at + 312] for at in range(0, len(data), 312)]


def secret_of(world, home):
    return open(world.path(home, "key")).read().strip()


def block_id(block):
    return hashlib.sha256(b"tnode:block-id\0" + block[:248]).digest()


def bencoded(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencoded, value)) + b"e"
    return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"


def frame(kind, **fields):
    return bencoded({b"t": kind.encode(), **{name.replace("_", " ").encode(): value for name, value in fields.items()}}).hex()


def fraud_frame(*blocks):
    return frame("fraud", blocks=list(blocks))


def payment_frame(block):
    return frame("payment", block=block)


def twin_of(block):
    """The same block with the other scalar that some verifiers take for the same signature."""
    s = int.from_bytes(block[280:312], "little") + ORDER
    return block[:280] + s.to_bytes(32, "little")


class Attacker:
    """A process with a key of its own that says any bytes to a node, and signs whatever it is told to."""

    def __init__(self, world, name, peer, seed):
        tool = os.path.join(os.path.dirname(world.program), "tests", "tnode_attacker")
        self.seed = bytes([seed] * 32).hex()
        self.process = world.start(name, [tool, self.seed, "127.0.0.1:0", peer], stdin=subprocess.PIPE)
        until(self.met, "the attacker has a channel")

    def met(self):
        return "up " in self.stdout()

    def stdout(self):
        return self.process.stdout()

    def stop(self):
        self.process.stop()

    def dropped(self):
        return "down " in self.stdout()

    def tell(self, line):
        self.process.process.stdin.write(line.encode() + b"\n")
        self.process.process.stdin.flush()

    def do(self, command, word):
        """A command that answers with a word and something; the last such answer."""
        before = self.stdout().count(word + " ")
        self.tell(command)
        until(lambda: self.stdout().count(word + " ") > before, f"the attacker says {word}")
        return [line for line in self.stdout().splitlines() if line.startswith(word + " ")][-1].split()[1]

    def refusals(self):
        """What it was told of its messages."""
        heard = [bytes.fromhex(line.split()[2]) for line in self.stdout().splitlines() if line.startswith("message ")]
        return [message for message in heard if message.endswith(b"1:t6:refusee")]

    def block(self, seed, key, kind, seq, *, time_ms=1_700_000_000_000, counterparty=bytes(32), prev=bytes(32), link=bytes(32), ref=bytes(32), amount=0, balance=0, held=0, expiry=0):
        body = b"tnodeblk" + struct.pack("<Qq", kind << 56 | seq, time_ms) + key + counterparty + prev + link + ref + bytes(32) + struct.pack("<qqqq", amount, balance, held, expiry)
        assert len(body) == 248
        return body + bytes.fromhex(self.do(f"sign {seed} {body.hex()}", "signed"))

    def fork(self, seed, key, payee):
        """Two HOLDs at one place, by whoever's key it is."""
        return [self.block(seed, key, HOLD, 99, counterparty=payee, ref=hashlib.sha256(b"fork").digest(), amount=amount, held=amount, time_ms=4_000_000_000_000) for amount in (1, 2)]

    def debit(self, payee, seq, amount, *, key=None, seed=None, time_ms=1_700_000_000_000, what="debit"):
        """A DEBIT of its own chain that nobody can tell from an honest one by itself."""
        mark = lambda word: hashlib.sha256(f"{what} {seq} {amount} {word}".encode()).digest()
        return self.block(seed or self.seed, key or self.key, DEBIT, seq, counterparty=payee, prev=mark("prev"), link=mark("hold"), ref=mark("ref"), amount=amount, balance=-amount, time_ms=time_ms)
