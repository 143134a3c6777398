"""The examples as users run them: `tnode devnet 3`, their results checked against runs by hand."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import main

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
LIMIT = 400


def devnet(program, example, out, cwd):
    done = subprocess.run([program, "-o", "json", "devnet", "3", f"{EXAMPLES}/{example}/task.yaml", "--out", out], capture_output=True, text=True, timeout=LIMIT, cwd=cwd)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["state"] == "done" and answer["balance_sum_micro"] == 0
    assert len(answer["balances"]) == 4
    paid = sum(f["paid_micro"] for f in answer["farmers"])
    assert paid == answer["paid_micro"] > 0
    assert min(b["balance_micro"] for b in answer["balances"]) == -paid
    return answer


def png(path):
    """Width, height and whether the picture holds more than a few colours; checks every chunk's sum."""
    data = open(path, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if kind == b"IDAT":
            pixels += body
        at += 12 + length
    return size, len(set(zlib.decompress(pixels))) > 50


def render(program):
    with tempfile.TemporaryDirectory() as dir:
        answer = devnet(program, "render", dir + "/out", dir)
        assert answer["units"] == answer["accepted"] == 16
        assert len(os.listdir(dir + "/out")) == 16
        frames = set()
        for frame in range(16):
            size, colourful = png(f"{dir}/out/frame-{frame}.png")
            assert size == png(f"{dir}/out/frame-0.png")[0] and colourful
            frames.add(open(f"{dir}/out/frame-{frame}.png", "rb").read())
        assert len(frames) == 16, "two frames of the animation are the same"
        subprocess.run(["/usr/bin/python3", f"{EXAMPLES}/render/render.py", "--frame", "5", "--frames", "16", "--out", dir + "/by-hand.png"], check=True)
        assert open(dir + "/by-hand.png", "rb").read() == open(dir + "/out/frame-5.png", "rb").read(), "not what a run by hand gives"


def words(program):
    with tempfile.TemporaryDirectory() as dir:
        answer = devnet(program, "words", dir + "/out", dir)
        assert answer["units"] == answer["accepted"] == 6
        merged = subprocess.run(["/usr/bin/python3", f"{EXAMPLES}/words/merge.py", dir + "/out", "3"], capture_output=True, text=True, check=True).stdout
        # Counted again, differently: the most frequent word over the whole corpus at once.
        corpus = "".join(open(f"{EXAMPLES}/words/texts/{name}", encoding="utf-8").read() for name in os.listdir(f"{EXAMPLES}/words/texts"))
        the = len(re.findall(r"\bthe\b", corpus, re.IGNORECASE))
        assert re.search(rf"^\s*{the} the$", merged, re.MULTILINE), (the, merged)


def primes(program):
    with tempfile.TemporaryDirectory() as dir:
        answer = devnet(program, "primes", dir + "/out", dir)
        assert answer["units"] == answer["accepted"] == 10
        found = sorted(int(number) for name in os.listdir(dir + "/out") for number in open(f"{dir}/out/{name}").read().split())
        sieve = bytearray([1]) * 1_000_000
        sieve[0:2] = b"\0\0"
        for n in range(2, 1000):
            if sieve[n]:
                sieve[n * n::n] = bytes(len(range(n * n, 1_000_000, n)))
        assert found == [n for n in range(1_000_000) if sieve[n]]


def goldbach(program):
    with tempfile.TemporaryDirectory() as dir:
        answer = devnet(program, "goldbach", dir + "/out", dir)
        assert answer["units"] == answer["accepted"] == 3
        limit = 200_000
        sieve = bytearray([1]) * (limit + 1)
        sieve[0:2] = b"\0\0"
        for n in range(2, 450):
            if sieve[n]:
                sieve[n * n::n] = bytes(len(range(n * n, limit + 1, n)))
        for number in (1000, 100000, 200000):
            ways = sum(sieve[n] and sieve[number - n] for n in range(2, number // 2 + 1))
            assert open(f"{dir}/out/{number}.txt").read() == f"{number} {ways}\n"


if __name__ == "__main__":
    main([primes, words, render, goldbach])
