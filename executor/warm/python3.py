# The warm command of `warm: python3` (docs/task-yaml.md): an interpreter that starts once and forks for each index. To `python3 SCRIPT …`,
# `python3 -c …` and `python3 -m …` a child looks like a fresh interpreter; whatever else the command is, the child executes it.
# Arguments: modules to import before the first index.
__name__ = "warm"  # a warning about forking is not the script's
FRESH_MAIN = {name: value for name, value in globals().items() if name.startswith("__")}

import os
import sys

LOADED_AT_START = set(sys.modules)
import atexit
import gc

# From 3.13 on an interpreter keeps the source of -c for tracebacks. What it imports for that is there with -c alone.
KEEPERS_OF_SOURCE = {}
if sys.version_info >= (3, 13):
    import linecache

    KEEPERS_OF_SOURCE = {name: sys.modules.pop(name) for name in list(sys.modules) if name not in LOADED_AT_START | {"atexit", "gc"}}
    del linecache
    sys.path_importer_cache.pop(sys.path[0], None)  # this file's folder, which no script has

REQUESTS = 3
ENCODING, ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
SCRIPTS = {}
MAX_SCRIPTS = 64  # a task may have its index in the source of -c
WRITERS = tuple(getattr(sys.modules["_io"], name) for name in ("TextIOWrapper", "BufferedWriter", "BufferedRandom"))
# Variables that an interpreter or the C library reads when it starts, and not again.
READ_AT_START = ("PATH", "PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_")


def next_request():
    received = os.read(REQUESTS, 4096)
    while b"\n" not in received:
        more = os.read(REQUESTS, 4096)
        if not more:
            os._exit(0)
        received += more
    line, strings = received.split(b"\n", 1)
    _, argc, envc, size = line.split()
    while len(strings) < int(size):
        strings += os.read(REQUESTS, 1 << 16)
    strings = strings.decode(ENCODING, ERRORS).split("\0")
    argc = int(argc)
    env = {}
    for text in strings[argc:-1]:  # no comprehension: each makes a function, which touches what it was made of
        key, _, value = text.partition("=")
        env[key] = value
    return strings[:argc], env


def serve():
    """Returns in a child, with what it shall run."""
    os.write(REQUESTS, b"ready\n")
    while True:
        argv, env = next_request()
        script = script_of(argv) if runs_here(argv, env) else None
        # All that a child would do alike is done here: what a child writes to, it has to copy.
        space = dress(argv, env, script[0]) if script else None
        child = os.fork()
        if not child:
            os.close(REQUESTS)
            os.setsid()
            return argv, env, script, space
        status = os.waitpid(child, 0)[1]
        os.write(REQUESTS, b"killed %d\n" % (status & 0x7F) if status & 0x7F else b"exited %d\n" % (status >> 8))


def runs_here(argv, env):
    if argv[0] != "python3":
        return False
    if env.keys() != environment.keys():
        return STARTED_WITH == {key: value for key, value in env.items() if key.startswith(READ_AT_START)}
    for key, value in STARTED_WITH.items():
        if env[key] != value:
            return False
    return True


def script_of(argv):
    """(name in tracebacks, source or code) of what an interpreter would run, or None when that is better left to a fresh one. Compiled once:
    a task's files do not change."""
    key = tuple(argv[1:3]) if argv[1:2] in (["-c"], ["-m"]) else tuple(argv[1:2])
    if key not in SCRIPTS:
        if len(SCRIPTS) >= MAX_SCRIPTS:
            SCRIPTS.clear()
        SCRIPTS[key] = compiled(source_of(argv))
        gc.freeze()
    return SCRIPTS[key]


def compiled(script):
    if script is None or script[1] is None:
        return script
    try:
        return script[0], compile(script[1], script[0], "exec", dont_inherit=True)
    except Exception:  # the child shall tell
        return script


def source_of(argv):
    if argv[1:2] == ["-m"]:
        return ("", None) if len(argv) > 2 else None
    if argv[1:2] == ["-c"]:
        return ("<string>", argv[2] + "\n") if len(argv) > 2 else None
    if len(argv) < 2 or not argv[1] or argv[1].startswith("-") or argv[1].endswith(".pyc"):
        return None
    path = argv[1]
    if sys.version_info >= (3, 9) and not path.startswith("/"):
        path = os.getcwd() + "/" + path
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        source = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
    except OSError:  # a folder
        return None
    finally:
        os.close(file)
    return None if b"\0" in source else (path, source)  # an archive is no source


def dress(argv, env, name):
    """What a script can see of the interpreter's start becomes that of a fresh one."""
    global environment
    if environment != env:
        if list(environment) == list(env):
            for key, value in env.items():
                if environment[key] != value:
                    os.environ[key] = value
        else:
            os.environ.clear()
            os.environ.update(env)
        if environment.get("TZ") != env.get("TZ"):
            sys.modules["time"].tzset()
        environment = env
    option = argv[1] if argv[1] in ("-c", "-m") else None
    sys.argv[:] = [option] + argv[3:] if option else argv[1:]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = argv
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = "" if option == "-c" else os.getcwd() if option == "-m" else os.path.dirname(os.path.realpath(name))
    sys.path_importer_cache.pop(FRESH_MAIN["__file__"], None)
    if not option:
        sys.path_importer_cache[name] = None
    main = type(sys)("__main__")
    main.__dict__.update(FRESH_MAIN, __name__="__main__")
    if option:
        main.__dict__.pop("__file__")
        main.__dict__.pop("__cached__", None)
        main.__loader__ = sys.modules["_frozen_importlib"].BuiltinImporter
    else:
        main.__file__ = name
        main.__loader__ = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", name)
    sys.modules["__main__"] = main
    return main.__dict__


def show(error, traceback):
    error.__traceback__ = traceback
    try:
        sys.excepthook(type(error), error, traceback)
    except BaseException:
        sys.__excepthook__(type(error), error, traceback)


def status_of(ending):
    """As an interpreter takes SystemExit."""
    code = ending.code
    if code is None or isinstance(code, int):
        return int(code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def run(argv, name, code, space):
    """The exit status; -2 when an interrupt ended it."""
    broken = False
    try:
        if argv[1] == "-m":
            import runpy

            runpy._run_module_as_main(argv[2])
        else:
            if isinstance(code, (str, bytes)):
                broken = True
                code = compile(code, name, "exec", dont_inherit=True)
            if argv[1] == "-c" and KEEPERS_OF_SOURCE:
                keep_source(code, argv[2] + "\n", name)
            exec(code, space)
    except SystemExit as ending:
        return status_of(ending)
    except BaseException as error:
        show(error, None if broken else error.__traceback__.tb_next)
        return -2 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def keep_source(code, source, name):
    for each, module in KEEPERS_OF_SOURCE.items():
        sys.modules.setdefault(each, module)
    sys.modules["linecache"]._register_code(code, source, name)


def finish(status):
    """What an interpreter does at its end that anybody could notice, without taking itself apart."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
    except BaseException as error:
        show(error, error.__traceback__)
    failed = not flushed(aloud=True)
    # Files that the script left open are written; then what it held goes, with what that does at its end.
    objects = gc.get_objects()
    for kind in WRITERS:
        for each in objects:
            if isinstance(each, kind):
                try:
                    each.closed or each.flush()
                except Exception:
                    pass
    objects = each = None
    # Those that the script added stand behind the others; to look at them all would copy a page for each.
    added = []
    for name in reversed(sys.modules):
        if name == LAST_WITH_SERVER:
            break
        added.append(name)
    for name in added:
        if name not in LOADED_WITH_SERVER:
            del sys.modules[name]
    sys.modules.pop("__main__", None)
    # A full collection also gives back what the interpreter has set aside, from everywhere; it is for objects that have grown old.
    gc.collect(2 if gc.get_objects(2) else 1)
    failed = not flushed(aloud=False) or failed
    if status == -2:
        import _signal

        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGINT)
    os._exit(120 if failed else status)


def flushed(aloud):
    good = True
    own = sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__
    for stream in (sys.stdout, sys.stderr) if own else (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:
            if stream is sys.stdout and good:
                good = False
                if aloud:
                    where = "on flushing sys.stdout:" if sys.version_info >= (3, 13) else "in: %r" % stream
                    os.write(2, ("Exception ignored %s\n%s: %s\n" % (where, type(error).__name__, error)).encode())
    return good


for each in sys.argv[1:]:
    __import__(each)
environment = dict(os.environ)
STARTED_WITH = {key: value for key, value in os.environ.items() if key.startswith(READ_AT_START)}
for each in {"atexit", "gc"} - LOADED_AT_START:
    sys.modules.pop(each)
gc.collect()
gc.freeze()
LOADED_WITH_SERVER = set(sys.modules)
LAST_WITH_SERVER = next(reversed(sys.modules))
argv, env, script, space = serve()
if script is None:
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as why:
        os.write(2, ("tnode: cannot start '%s': %s\n" % (argv[0], why.strerror)).encode("utf-8", "surrogateescape"))
        os._exit(127 if isinstance(why, FileNotFoundError) else 126)
if "numpy.random" in sys.modules:  # Python's own random does it by itself
    sys.modules["numpy.random"].seed()
spaces = [space]
del space  # when it ends, only the script's own functions hold on to it
finish(run(argv, *script, spaces.pop()))
