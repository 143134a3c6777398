#!/usr/bin/env python3
"""The figures of the main job, on loopback, three farmers already running, agree 2:

  latency   a one-index task, from starting `seed` to its exit with the verified result (median)
  array     2,000 indices of `true` in batches of 50: accepted indices a second
  bytes     64 MiB of input to three farmers: MB/s summed, from the first award to the last farmer that runs

usage: scripts/bench/main_job.py [build/tnode] [latency|array|bytes]...
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "functional"))
from net import Net, until

ROUNDS = 15
INDICES, BATCH = 2000, 50
MEBIBYTES = 64


def farmers_of(net, slots):
    first = net.farmer("farmer0", options=["--slots", str(slots)])
    return [first] + [net.farmer(f"farmer{i}", bootstrap=[first.listen], options=["--slots", str(slots)]) for i in (1, 2)]


def seed(net, home, task, farmers, *more):
    arguments = [net.program, "--home", f"{net.dir}/{home}", "--listen", "127.0.0.1:0", "-o", "json"]
    for farmer in farmers:
        arguments += ["--peer", farmer.listen]
    started = time.monotonic()
    done = subprocess.run(arguments + ["seed", task, "--out", f"{net.dir}/{home}-out", "--again", "--overwrite"] + list(more), capture_output=True, text=True, cwd=net.dir)
    took = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    return took, done


def latency(program):
    with Net(program) as net:
        farmers = farmers_of(net, 1)
        times = []
        for round_number in range(ROUNDS + 1):
            task = net.task("one", f'tnode: 1\nname: one\ncommand: [sh, -c, "echo {round_number} > out/x"]\n')
            times.append(seed(net, "requester", task, farmers)[0] * 1000)
        times = times[1:]  # the first makes the key and the ledger
        print(f"latency  one index: median {statistics.median(times):.0f} ms, best {min(times):.0f}, worst {max(times):.0f}  ({ROUNDS} runs, goal < 150)")


def array(program):
    with Net(program) as net:
        farmers = farmers_of(net, 1)
        task = net.task("many", f'tnode: 1\nname: many\ncommand: ["true"]\narray: {{range: 0-{INDICES - 1}, batch: {BATCH}}}\nmarket: {{max_price: 1}}\n')
        rates = []
        for _ in range(3):
            rates.append(INDICES / seed(net, "requester", task, farmers)[0])
        print(f"array    {INDICES} indices of true, {BATCH} a unit, two runs each: median {statistics.median(rates):.0f} indices/s, best {max(rates):.0f}  (goal 800)")


def transfer(program):
    with Net(program) as net:
        farmers = farmers_of(net, 1)
        rates = []
        for round_number in range(3):
            folder = f"{net.dir}/data{round_number}"
            os.makedirs(folder)
            with open(f"{folder}/blob", "wb") as file:
                file.write(os.urandom(MEBIBYTES << 20))
            with open(f"{folder}/task.yaml", "w") as file:
                file.write('tnode: 1\nname: blob\ncommand: [sh, -c, "wc -c < in/blob > out/size"]\ninputs: [./blob]\nquorum: {agree: 3, max: 3}\n')
            before = [len(f.events) for f in farmers]
            # -v has farmers report each run; a farmer runs when the last byte is there.
            marks = {}
            arguments = [program, "--home", f"{net.dir}/requester", "--listen", "127.0.0.1:0", "-o", "jsonl"]
            for farmer in farmers:
                arguments += ["--peer", farmer.listen]
            process = subprocess.Popen(arguments + ["seed", f"{folder}/task.yaml", "--out", f"{folder}/out"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=net.dir)
            import json
            first = None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "award" and first is None:
                    first = event["time"]
            assert process.wait() == 0
            for farmer, since in zip(farmers, before):
                marks[farmer.name] = farmer.expect("ran", since=since)["time"]
            rates.append(3 * MEBIBYTES * 1.048576 / (max(marks.values()) - first))
        print(f"bytes    {MEBIBYTES} MiB to 3 farmers: median {statistics.median(rates):.0f} MB/s summed, best {max(rates):.0f}  (goal 100)")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    program = os.path.abspath(arguments.pop(0)) if arguments and os.path.exists(arguments[0]) else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/tnode")
    for name, measure in (("latency", latency), ("array", array), ("bytes", transfer)):
        if not arguments or name in arguments:
            measure(os.path.abspath(program))
