"""What is left in out/: kinds, names and amounts that must not leave the sandbox."""
import os
import resource
import signal
import socket

from probe import ends

BAD = "bad_output"
THROWN_AWAY = "exited 0"  # what a warm command wrote before it served is no result


@ends(BAD, served=THROWN_AWAY)
def too_deep():
    os.makedirs("out/" + "/".join("d" * 20))


@ends(BAD, served="timeout", wall_ms=2000)
def deep_by_thousands():
    os.chdir("out")
    for _ in range(20000):
        os.mkdir("d")
        os.chdir("d")


@ends(BAD, served=THROWN_AWAY)
def link_to_a_file():
    os.symlink("/etc/passwd", "out/link")


@ends(BAD, served=THROWN_AWAY)
def link_to_a_folder():
    os.mkdir("out/real")
    os.symlink("/usr", "out/real/link")


@ends(BAD, served=THROWN_AWAY)
def link_around_in_circles():
    os.symlink(".", "out/circle")


@ends(BAD, served=THROWN_AWAY)
def out_replaced_by_a_link():
    os.rmdir(os.path.realpath("out"))
    os.symlink("/usr", "/scratch/out")


@ends(BAD, served=THROWN_AWAY)
def out_replaced_by_a_file():
    os.rmdir(os.path.realpath("out"))
    open("/scratch/out", "w").close()


@ends("exited 0")
def out_taken_away():
    os.rmdir(os.path.realpath("out"))


@ends(BAD, served=THROWN_AWAY)
def pipe():
    os.mkfifo("out/pipe")


@ends(BAD, served=THROWN_AWAY)
def a_socket():
    socket.socket(socket.AF_UNIX).bind("out/socket")


@ends("exited 0")
def device():
    """There is none to be left: the call fails."""
    try:
        os.mknod("out/null", 0o020666, os.makedev(1, 3))
    except OSError:
        return
    raise SystemExit(42)


@ends("exited 0")
def set_user_id():
    """Nor a file with rights of its own; the executable bit is all that leaves."""
    file = os.open("out/file", os.O_CREAT | os.O_WRONLY)
    try:
        os.fchmod(file, 0o6755)
    except OSError:
        os.fchmod(file, 0o1755)
        return
    raise SystemExit(42)


@ends("result_limit", served=THROWN_AWAY)
def one_file_by_many_names():
    with open("out/0", "wb") as file:
        file.write(bytes(1 << 20))
    for number in range(1, 60):
        os.link("out/0", f"out/{number}")


@ends("result_limit", served=THROWN_AWAY)
def giant_with_holes():
    with open("out/holes", "wb") as file:
        file.truncate(1 << 40)


@ends("result_limit", served=THROWN_AWAY)
def largest_length_there_is():
    with open("out/holes", "wb") as file:
        file.truncate((1 << 63) - 1)


@ends("result_limit", served=THROWN_AWAY)
def many_lengths_that_add_up():
    for number in range(100):
        with open(f"out/{number}", "wb") as file:
            file.truncate(1 << 20)


@ends("result_limit", served=THROWN_AWAY, output_files=200)
def more_files_than_allowed():
    for number in range(300):
        open(f"out/{number}", "w").close()


@ends(BAD, served=THROWN_AWAY)
def names_that_differ_in_case():
    open("out/A", "w").close()
    open("out/a", "w").close()


@ends("exited 0")
def names_that_look_alike_are_two():
    """Composed and decomposed: names are bytes, and these differ."""
    open("out/\u00e9", "w").close()
    open("out/e\u0301", "w").close()


def leaves(name):
    os.close(os.open(b"out/" + name, os.O_CREAT | os.O_WRONLY))


@ends(BAD, served=THROWN_AWAY)
def name_with_a_new_line():
    leaves(b"a\nb")


@ends(BAD, served=THROWN_AWAY)
def name_with_an_escape():
    leaves(b"\x1b]0;owned\x07")


@ends(BAD, served=THROWN_AWAY)
def name_that_is_no_text():
    leaves(b"\xff\xfe")


@ends(BAD, served=THROWN_AWAY)
def name_that_climbs_on_other_systems():
    leaves(b"..\\..\\evil")


@ends(BAD, served=THROWN_AWAY)
def name_that_turns_reading_around():
    leaves("gnp\u202eexe".encode())


@ends(BAD, served=THROWN_AWAY)
def name_with_an_overlong_slash():
    leaves(b"..\xc0\xafetc")


@ends("exited 0")
def hidden_folders_are_opened():
    os.mkdir("out/closed")
    open("out/closed/file", "w").close()
    os.chmod("out/closed/file", 0)
    os.chmod("out/closed", 0)
    os.chmod("out", 0)
    os.chmod("/scratch", 0)


@ends("timeout", wall_ms=800)
def written_until_the_end_comes():
    """Nothing of it may be taken, however far the writing got."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    number = 0
    while True:
        with open(f"out/{number % 100}", "wb") as file:
            file.write(b"x" * 65536)
        number += 1


@ends("exited 0")
def written_by_a_daemon_after_the_end():
    """What it writes while outputs are read would be a result that nobody computed: it is dead by then."""
    if os.fork() == 0:
        os.setsid()
        number = 0
        while True:
            with open(f"/scratch/out/{number % 50}", "wb") as file:
                file.write(b"x" * (number % 100000))
            number += 1
    for name in os.listdir("out"):
        os.remove("out/" + name)


@ends("exited 0")
def locked_and_mapped_files_are_read_all_the_same():
    import fcntl
    with open("out/locked", "w+b") as file:
        file.write(b"x" * 4096)
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        if os.fork() == 0:
            signal.pause()


@ends("exited 0", served="exited 1")
def small_limits_of_its_own_do_not_hold_the_first_process():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
