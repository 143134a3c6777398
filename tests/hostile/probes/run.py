"""`run.py MODULE.PROBE` runs one probe, inside a sandbox; `run.py --list`, outside, says how each must end: name, expected, expected where limits are
watched, terms; apart by tabs."""
import importlib
import sys

MODULES = ("namespaces", "processes", "kernel", "files", "sockets", "descriptors", "exhaustion", "outputs", "leftovers")

if sys.argv[1] == "--list":
    from probe import PROBES
    for module in MODULES:
        importlib.import_module(module)
    for name, (expected, watched, terms) in PROBES.items():
        print(name, expected, watched, " ".join(f"{key}={value}" for key, value in terms.items()), sep="\t")
else:
    module, program = sys.argv[1].split(".")
    getattr(importlib.import_module(module), program)()
