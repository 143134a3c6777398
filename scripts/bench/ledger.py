#!/usr/bin/env python3
"""The figures of the ledger, on this machine's disk (TMPDIR chooses it) and one core:

  store     blocks signed, stored and synced a second, in groups of 2, 32 and 256 a transaction; the goal is 10,000 in groups
  verify    blocks of a 100,000-block chain verified a second of CPU time, beside the bare Ed25519 rate of the same run; the goal is 80 % of it
  audit     CPU time to audit a published chain of which all but the last 1,000 blocks were audited before, as long chains and longer ones take it;
            the goal is that it does not grow with the length

usage: scripts/bench/ledger.py [build/tests/ledger_bench] [store|verify|audit]...
"""
import os
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 3
BLOCKS = {2: 2_000, 32: 20_000, 256: 50_000}
CHAIN = 100_000
KNOWN = (9 * 1024 + 512, 97 * 1024 + 512)  # in the middle of a segment, both
FRESH = 1_000


def run(driver, *arguments):
    return [float(word) for word in subprocess.run([driver, *map(str, arguments)], capture_output=True, text=True, check=True).stdout.split()]


def store(driver):
    for group, blocks in BLOCKS.items():
        rates = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                rates.append(run(driver, "store", folder, group, blocks))
        wall, cpu = (statistics.median(column) for column in zip(*rates))
        print(f"store     groups of {group:3}: {wall:8.0f} blocks/s, {cpu:8.0f} a second of CPU time", flush=True)


def verify(driver):
    for _ in range(ROUNDS):
        bare, chain = run(driver, "verify", CHAIN)
        print(f"verify    {chain:8.0f} blocks/s of a chain of {CHAIN:,}; bare Ed25519 {bare:.0f}/s: {100 * chain / bare:.0f} %", flush=True)


def audit(driver):
    figures = []
    for known in KNOWN:
        rounds = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(run(driver, "audit", folder, known + FRESH, FRESH))
        fresh, whole = (statistics.median(column) for column in zip(*rounds))
        figures.append(fresh)
        print(f"audit     {FRESH:,} new blocks behind {known:6,}: {1000 * fresh:5.0f} ms of CPU time; the whole chain {1000 * whole:6.0f} ms", flush=True)
    print(f"audit     behind {KNOWN[1] / KNOWN[0]:.1f} times as many blocks: {figures[1] / figures[0]:.2f} times the cost", flush=True)


PARTS = {"store": store, "verify": verify, "audit": audit}


def main():
    words = sys.argv[1:]
    driver = words.pop(0) if words and words[0] not in PARTS else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "tests", "ledger_bench")
    for name in words or PARTS:
        PARTS[name](driver)


if __name__ == "__main__":
    main()
