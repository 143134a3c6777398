"""`warm: python3` through a whole swarm: the same task, the same result, from interpreters that started once."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import Net, main

SCRIPT = """
import json, os, sys, time
index = int(os.environ["TNODE_INDEX"])
time.sleep(0.05)
left = os.listdir("/tmp") + os.listdir("out")
open("/tmp/left", "w").write("x")
json.dump({"argv": sys.argv, "name": __name__, "left": left, "square": index * index}, open(f"out/{index}.json", "w"))
"""
TASK = """tnode: 1
name: squares
command: [python3, in/squares.py, "{index}"]
inputs: [./squares.py]
array: {range: 0-39, batch: 10}
"""


def below(pid):
    """Command lines of all processes that a process started, and theirs."""
    try:
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    except OSError:
        return []
    found = []
    for child in children:
        try:
            found.append(open(f"/proc/{child}/cmdline").read().split("\0"))
        except OSError:
            pass
        found += below(child)
    return found


def run(net, farmers, name, options):
    task = net.task("squares", TASK, {"squares.py": SCRIPT})
    node = net.seed(name, task, peers=[farmer.listen for farmer in farmers], options=["--again"] + options, out=f"{net.dir}/{name}-out")
    servers = 0
    while node.read(0.02):
        servers = max(servers, sum(line[:2] == ["python3", "/warm/python3.py"] for farmer in farmers for line in below(farmer.process.pid)))
    assert node.process.wait(10) == 0, node.log()
    return [event for event in node.events if "result_id" in event][-1], servers


def warm_and_cold_runs_of_a_task_have_one_result(program):
    with Net(program) as net:
        first = net.farmer("farmer0")
        farmers = [first, net.farmer("farmer1", bootstrap=[first.listen])]
        cold, no_servers = run(net, farmers, "cold", [])
        warm, servers = run(net, farmers, "warm", ["--set", "warm=python3"])
        assert no_servers == 0 and servers > 0, (no_servers, servers)
        assert warm["task_id"] == cold["task_id"] and warm["result_id"] == cold["result_id"], (warm, cold)
        # Modules to import first are part of the question; the outputs are the same all the same.
        other, servers = run(net, farmers, "modules", ["--set", "warm={python3: [json]}"])
        assert servers > 0 and other["task_id"] != cold["task_id"]
        for index in range(40):
            texts = {open(f"{net.dir}/{name}-out/{index}.json").read() for name in ("cold", "warm", "modules")}
            assert len(texts) == 1, texts
            answer = json.loads(texts.pop())
            assert answer == {"argv": ["in/squares.py", str(index)], "name": "__main__", "left": [], "square": index * index}, answer


if __name__ == "__main__":
    main([warm_and_cold_runs_of_a_task_have_one_result])
