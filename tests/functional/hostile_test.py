"""Hostile tasks through a real farm: each is stopped, named for what it did, paid like any other work, and leaves nothing behind."""
import os
import sys

import nodes
from nodes import World, until

ATTACKS = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "attacks.py")).read()
RUN_SECONDS = 20  # so long that no attack but the sleepers ever meets it on a busy machine
TASK = """tnode: 1
name: {name}
command: [python3, in/attacks.py, {name}]
inputs: [./attacks.py]
resources: {{memory: 96MiB, disk: 16MiB}}
timeouts: {{queue: 20s, run: {run}, total: 60s}}
market: {{max_price: 0.1}}
"""

# (attack, outcome, exit status of the program, what the requester is told). Outcome None: it is work like any other.
STOPPED = [
    ("forks_without_end", "process_limit", None, "more than 256 processes"),
    ("allocates_alone", "oom", None, "of memory"),
    ("allocates_in_many_children", "oom", None, "of memory"),
    ("fills_tmp", "disk_limit", None, "/tmp or out/ was full; each holds 16 MiB"),
    ("fills_out", "disk_limit", None, "/tmp or out/ was full; each holds 16 MiB"),
    ("floods_stdout", "output_limit", None, "bytes to stdout; the limit is 1048576"),
    ("floods_stderr", "output_limit", None, "bytes to stderr; the limit is 1048576"),
    ("opens_sockets", "exited", 21, "socket: AF_INET EAFNOSUPPORT"),
    ("writes_outside", "exited", 22, "nothing outside could be written"),
    ("looks_around", "exited", 23, "nothing to be seen"),
    ("fills_shared_memory", "exited", 1, "No space left on device"),
]
TIMED_OUT = [  # these take their whole second
    ("sleeps", "timeout", None, " s; the limit is 1 s"),
    ("sleeps_deaf", "timeout", None, " s; the limit is 1 s"),
    ("spins", "timeout", None, " s; the limit is 1 s"),
    ("stops_itself", "timeout", None, " s; the limit is 1 s"),
    ("fills_out_and_keeps_trying", "disk_limit", None, "/tmp or out/ was full"),
]
BAD_OUTPUTS = [
    ("leaves_a_symlink", "bad_output", None, "'out/innocent' is a symbolic link"),
    ("leaves_a_link_to_a_folder", "bad_output", None, "'out/root' is a symbolic link"),
    ("leaves_a_pipe", "bad_output", None, "'out/pipe' is a pipe"),
    ("leaves_a_socket", "bad_output", None, "'out/socket' is a socket"),
    ("leaves_a_device", "exited", 24, "no devices here"),
    ("leaves_a_setuid_file", "exited", 25, "no set-user-id files here"),
    ("leaves_a_name_with_newline", "bad_output", None, "'one\\x0atwo' is refused: it has control characters"),
    ("leaves_a_name_that_is_no_text", "bad_output", None, "is refused: it is not valid UTF-8"),
    ("leaves_a_backslash", "bad_output", None, "slashes and backslashes"),
    ("leaves_names_that_differ_in_case", "bad_output", None, "differ only in case"),
    ("leaves_too_many_files", "result_limit", None, "there are 10001 output files"),
    ("leaves_deep_folders", "bad_output", None, "too deep"),
    ("leaves_a_sparse_giant", "result_limit", None, "the limit is 16777216"),
    ("leaves_several_sparse_files", "result_limit", None, "the limit is 16777216"),
    ("leaves_one_file_by_many_names", "result_limit", None, "the limit is 16777216"),
]
HARMLESS_IN_THE_END = [
    ("kills_everyone", {"alone": b"still here\n"}),
    ("leaves_daemons", {"done": b"left some behind\n"}),
    ("leaves_daemons_that_hold_stdout", {"done": b"left one behind\n"}),
    ("leaves_a_closed_folder", {"closed/file": b"inside\n"}),
]


class Farm:
    """Two farmers, whose runners and control groups are known, and who have to be as they were after each task."""

    def __init__(self, world):
        self.world = world
        self.one = world.farmer("farmer-1")
        self.two = world.farmer("farmer-2", bootstrap=[self.one.listen])
        self.farmers = [self.one, self.two]
        self.runners = {farmer: nodes.runner_of(farmer) for farmer in self.farmers}
        self.rewards = 0

    def offer(self, name, run):
        task = self.world.task(name, TASK.format(name=name, run=run), {"attacks.py": ATTACKS})
        # One home: what it may owe is limited, so all these tasks cost little.
        status, answer, requester = self.world.seed(name, task, home="requester", peers=[self.one.listen, self.two.listen])
        assert answer, f"{name}: exit {status} and no answer: {requester.stderr()}"
        self.check_clean(answer["task_id"])
        assert len(answer["farmers"]) == 2 and answer["paid_micro"] == 200_000, f"{name}: both farmers ran it, so both are paid: {answer}"
        return status, answer, requester

    def check_clean(self, task_id):
        for farmer in self.farmers:
            assert farmer.running(), f"{farmer.name} did not survive"
            assert nodes.runner_of(farmer) == self.runners[farmer], f"{farmer.name} lost its runner process"
            until(lambda: not nodes.children(self.runners[farmer]), f"{farmer.name}'s sandboxes end", 10)
            until(lambda: not os.listdir(os.path.join(self.world.path(farmer.name), "work")), f"{farmer.name}'s work folder gets empty", 10)
            for group in nodes.control_groups(self.runners[farmer]):
                until(lambda: not open(os.path.join(group, "cgroup.procs")).read(), f"{group} gets empty", 10)
        assert not nodes.processes_of_task(task_id), "processes of the task are left"

    def leave(self):
        for farmer in self.farmers:
            farmer.stop()
            assert farmer.process.returncode == 0, f"{farmer.name} ended with {farmer.process.returncode}"
        for runner in self.runners.values():
            assert not os.path.exists(f"/proc/{runner}"), "a runner outlives its farmer"
            assert not nodes.control_groups(runner), "a control group is left"
        homes = ["requester"] + [farmer.name for farmer in self.farmers]
        balances = [self.world.json_of(["ledger", "balance"], home) for home in homes]
        assert sum(b["balance_micro"] + b["unclaimed_out_micro"] for b in balances) == 0, f"credits were made or lost: {balances}"
        assert all(b["held_micro"] == 0 for b in balances), balances


def each_is_stopped(program, attacks, run):
    with World(program) as world:
        farm = Farm(world)
        wrong = []
        for name, outcome, exit_code, told in attacks:
            status, answer, requester = farm.offer(name, run)
            said = requester.stderr()
            accepted = requester.events("accepted")
            got = (status, answer["state"], [a["outcome"] for a in accepted], told in said)
            if got != (3, "failed", [outcome], True) or (exit_code is not None and accepted[0]["exit_code"] != exit_code):
                wrong.append(f"{name}: wanted 3, failed, {outcome} {exit_code}, told '{told}'; got {got}, {accepted}, said: {said}")
        assert not wrong, "\n".join(wrong)
        farm.leave()


def exhausting_tasks_are_stopped_and_named(program):
    each_is_stopped(program, STOPPED, f"{RUN_SECONDS}s")


def sleeping_tasks_are_stopped_and_named(program):
    each_is_stopped(program, TIMED_OUT, "1s")


def bad_outputs_are_refused_and_named(program):
    each_is_stopped(program, BAD_OUTPUTS, f"{RUN_SECONDS}s")


def background_processes_do_not_outlive_their_task(program):
    with World(program) as world:
        farm = Farm(world)
        for name, files in HARMLESS_IN_THE_END:
            status, answer, requester = farm.offer(name, f"{RUN_SECONDS}s")
            assert status == 0, f"{name}: exit {status}: {requester.stderr()}"
            assert nodes.contents(answer["out"]) == files, f"{name}: {nodes.contents(answer['out'])}"
        # Always a younger process: whichever instant it is killed in, none may be left.
        farm.offer("forks_and_goes_on_in_the_child", f"{RUN_SECONDS}s")
        farm.leave()


if __name__ == "__main__":
    nodes.main([exhausting_tasks_are_stopped_and_named, sleeping_tasks_are_stopped_and_named, bad_outputs_are_refused_and_named,
                background_processes_do_not_outlive_their_task])
