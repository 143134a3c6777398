"""`run.py MODULE.PROBE` runs one probe, inside a sandbox; `run.py --serve MODULE.PROBE` runs it as the task's warm command, before it serves. `run.py --list`,
outside, says how each must end: name, terms, then for each place expected and expected where limits are watched; apart by tabs."""
import importlib
import os
import sys

MODULES = ("namespaces", "processes", "kernel", "files", "sockets", "descriptors", "exhaustion", "outputs", "leftovers")
NOT_THERE = 43  # the exit status of a probe that does not run where it is meant to


def run(name):
    module, program = name.split(".")
    getattr(importlib.import_module(module), program)()


def serve():
    """docs/task-yaml.md, "A warm server": in a few lines, each index as a child of this process."""
    os.write(3, b"ready\n")
    while request := os.read(3, 1 << 20):
        strings = request.split(b"\n", 1)[1].decode().split("\0")
        index = os.fork()
        if index == 0:
            os.close(3)
            os.setsid()
            os.chdir("/work")
            run(strings[0])
            os._exit(0)
        os.write(3, b"exited %d\n" % (os.waitpid(index, 0)[1] >> 8))


sys.path[0] = os.path.abspath(sys.path[0])
if sys.argv[1] == "--list":
    from probe import PLACES, PROBES
    for module in MODULES:
        importlib.import_module(module)
    for name, (ends, terms) in PROBES.items():
        print(name, " ".join(f"{key}={value}" for key, value in terms.items()), *(each for place in PLACES for each in ends[place]), sep="\t")
elif sys.argv[1] == "--serve":
    run(sys.argv[2])
    serve()
else:
    if os.environ.get("SANDBOX", os.readlink("/proc/self/ns/pid")) != os.readlink("/proc/self/ns/pid") or (os.environ["PLACE"] == "forked") != (os.getppid() != 1):
        print("this is not the sandbox or the parent that it should have")
        sys.exit(NOT_THERE)
    run(sys.argv[1])
