"""Backups of keys, and homes that were put back: nothing is signed before it is known that nothing is missing."""
import hashlib
import json
import os
import pty
import shutil
import stat
import subprocess

import nodes
from nodes import World, until

PASSPHRASE = "correct horse battery"


def passphrase_file(world, text=PASSPHRASE, name="passphrase"):
    path = world.path(name)
    with open(path, "w") as file:
        file.write(text + "\n")
    return ["--passphrase-file", path]


def net(*peers):
    return [word for peer in peers for word in ("--bootstrap", peer.listen, "--peer", peer.listen)]


def pay(world, home, payee, amount="1"):
    return world.json_of(["--listen", "127.0.0.1:0", *net(payee), "ledger", "pay", payee.key, amount], home=home)


def balance(world, home):
    return world.json_of(["ledger", "balance"], home=home)


def restored(world, home, *peers, **more):
    """A node of a home in doubt, without slots; `trusted` says that it signs."""
    node = world.node(f"{home}-again-{len(world.processes)}", ["farm", "--slots", "0"], peers=[p.listen for p in peers], bootstrap=[p.listen for p in peers], home=home, **more)
    until(lambda: node.events("restored") or not node.running(), "it says that it is in doubt")
    assert node.running(), node.stderr()
    return node


def refuses_to_pay(world, home, payee):
    done = world.run(["--listen", "127.0.0.1:0", "ledger", "pay", payee.key, "1"], home=home)
    assert done.returncode == 1 and "nothing is signed until it is known" in done.stderr, done


def honest(world, home, *counterparties):
    """Everything adds up, and nobody has anything against the key."""
    audit = world.json_of(["ledger", "audit"], home=home)
    assert audit["good"] and audit["debits_receipted"] == audit["debits"], audit
    for other in counterparties:
        done = world.run(["-o", "json", "ledger", "audit", audit["key"], "--wait", "0s"], home=other)
        assert done.returncode == 0 and json.loads(done.stdout)["fraud"] is None, done
    return audit


# --- backups ---

def a_backup_opens_with_its_passphrase_and_replaces_nothing(program):
    with World(program) as world:
        key = world.json_of(["key", "show"], home="first")["key"]
        right, wrong = passphrase_file(world), passphrase_file(world, "correct horse batterx", "wrong")
        backup = world.path("first.key")
        made = world.json_of(["key", "backup", backup, *right], home="first")
        assert made == {"v": 1, "key": key, "file": backup, "blocks": 0}, made
        assert stat.S_IMODE(os.stat(backup).st_mode) == 0o600
        secret = open(world.path("first", "key")).read().strip()
        assert secret not in open(backup).read() and key in open(backup).read()
        again = world.run(["key", "backup", backup, *right], home="first")
        assert again.returncode == 1 and "is not replaced" in again.stderr, again
        assert world.run(["key", "backup", world.path("short.key"), *passphrase_file(world, "short", "short")], home="first").returncode == 2

        refused = world.run(["key", "restore", backup, *wrong], home="second")
        assert refused.returncode == 1 and "the passphrase is wrong" in refused.stderr and not os.path.exists(world.path("second", "key")), refused
        assert world.json_of(["key", "restore", backup, *right], home="second") == {"v": 1, "key": key, "path": world.path("second", "key"), "restored": True}
        assert open(world.path("second", "key")).read().strip() == secret and stat.S_IMODE(os.stat(world.path("second", "key")).st_mode) == 0o600
        assert not world.json_of(["key", "restore", backup], home="second")["restored"]  # it is there: nobody is asked for anything

        other = world.json_of(["key", "show"], home="third")["key"]
        refused = world.run(["key", "restore", backup, *right], home="third")
        assert refused.returncode == 1 and "never replaced" in refused.stderr and other in refused.stderr, refused
        assert world.json_of(["key", "show"], home="third")["key"] == other
        for content in ("", "no backup", open(backup).read()[:-2], open(backup).read().replace("backup 1", "backup 2")):
            with open(world.path("bad.key"), "w") as file:
                file.write(content)
            assert world.run(["key", "restore", world.path("bad.key"), *right], home="fourth").returncode in (1, 2), content
        assert world.run(["key", "backup", world.path("x.key"), *right], home="nobody").returncode == 1


def a_backup_is_opened_without_any_code_of_tnode(program):
    """As docs/keys.md tells: scrypt of Python's standard library, and AES of the openssl program (GCM is counter mode and a tag)."""
    with World(program) as world:
        world.json_of(["key", "show"])
        backup = world.path("a.key")
        world.json_of(["key", "backup", backup, *passphrase_file(world)])
        lines = dict(line.split(" ", 1) for line in open(backup).read().splitlines()[1:])
        log2_n, r, p, salt = lines["scrypt"].split()
        nonce, sealed = lines["aes-256-gcm"].split()
        wrapping = hashlib.scrypt(PASSPHRASE.encode(), salt=bytes.fromhex(salt), n=1 << int(log2_n), r=int(r), p=int(p), maxmem=1 << 29, dklen=32)
        opened = subprocess.run(["openssl", "enc", "-d", "-aes-256-ctr", "-K", wrapping.hex(), "-iv", nonce + "00000002"], input=bytes.fromhex(sealed)[:32], capture_output=True, check=True)
        assert opened.stdout.hex() == open(world.path("node", "key")).read().strip()


def a_terminal_asks_without_showing(program):
    with World(program) as world:
        world.json_of(["key", "show"])
        seen = []

        def ask(arguments, answers, home="node"):
            """What the program says to a terminal of its own when it is answered line by line; its exit status."""
            child, terminal = pty.fork()
            if child == 0:
                os.execv(program, [program, "--home", world.path(home)] + arguments)
            shown = b""
            for question, answer in answers:
                until(lambda: (seen.append(os.read(terminal, 4096)), question in b"".join(seen))[1], f"it asks {question}")
                shown += b"".join(seen)
                seen.clear()
                os.write(terminal, answer)
            try:
                while data := os.read(terminal, 4096):
                    shown += data
            except OSError:
                pass  # the end of a terminal
            os.close(terminal)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()
        backup, secret = world.path("a.key"), b"typed in the dark"
        status, shown = ask(["key", "backup", backup], [(b"Passphrase: ", secret + b"\n"), (b"The same again: ", b"something else\n")])
        assert status == 2 and "differ" in shown and not os.path.exists(backup), shown
        status, shown = ask(["key", "backup", backup], [(b"Passphrase: ", b"half of it\x03\n")])
        assert status == 1 and "interrupted" in shown and not os.path.exists(backup), shown
        status, shown = ask(["key", "backup", backup], [(b"Passphrase: ", secret + b"\n"), (b"The same again: ", secret + b"\n")])
        assert status == 0 and secret.decode() not in shown, shown
        status, shown = ask(["key", "restore", backup], [(b"Passphrase: ", secret + b"\n")], home="other")
        assert status == 0 and secret.decode() not in shown, shown
        nobody = world.run(["key", "restore", backup], home="third", start_new_session=True)
        assert nobody.returncode == 1 and "--passphrase-file" in nobody.stderr, nobody


# --- a chain in doubt ---

def a_restored_key_signs_when_its_chain_is_here_again(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay(world, "payer", payee, "2")
        backup = ["key", "restore", world.path("payer.key"), *passphrase_file(world)]
        world.json_of(["key", "backup", world.path("payer.key"), *passphrase_file(world)], home="payer")
        pay(world, "payer", payee, "3")
        world.json_of(["--listen", "127.0.0.1:0", *net(payee), "ledger", "pay", world.json_of(["key", "show"], home="payer")["key"], "1"], home="payee")
        until(lambda: balance(world, "payee")["unclaimed_out_micro"] == 1_000_000, "the payee owes something")
        lost = balance(world, "payer")
        os.rename(world.path("payer"), world.path("lost"))

        world.json_of(backup, home="payer")
        refuses_to_pay(world, "payer", payee)
        doctor = world.run(["--listen", "127.0.0.1:0", "doctor"], home="payer").stdout
        assert "in doubt: its key was restored from a backup" in doctor, doctor
        refused = world.run(["ledger", "adopt", "--even-if-this-ruins-my-key"], home="payer")
        assert refused.returncode == 1 and "fraud for certain" in refused.stderr, refused  # the backup knows of blocks that are not here
        alone = restored(world, "payer")
        assert "3 were signed at least" in alone.events("restored")[0]["waits_for"], alone.stdout()
        alone.stop()
        assert alone.process.returncode == 1 and not alone.events("trusted")

        node = restored(world, "payer", payee)
        node.expect("trusted")
        # What was paid to it meanwhile was held back, and is booked now.
        until(lambda: balance(world, "payer")["balance_micro"] == -4_000_000, "the payment that waited is booked")
        node.stop()
        found = balance(world, "payer")
        assert found["blocks"] == lost["blocks"] + 1 and found["unclaimed_out_micro"] == 0, (found, lost)
        assert not os.path.exists(world.path("payer", "restored"))
        pay(world, "payer", payee)
        honest(world, "payer", "payee")
        assert world.json_of(["ledger", "history"], home="payer")["blocks"][:lost["blocks"]] == world.json_of(["ledger", "history"], home="lost")["blocks"]


def a_store_that_is_gone_or_older_or_a_copy_is_noticed(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay(world, "payer", payee)
        store, aside = world.path("payer", "tnode.db"), world.path("older.db")
        shutil.copyfile(store, aside)
        pay(world, "payer", payee)
        whole = balance(world, "payer")

        def gone():
            os.remove(store)
            return "the store is gone"

        def older():
            shutil.copyfile(aside, store)  # into the same file
            return "an older store is in its place"

        def copied():
            shutil.copytree(world.path("payer"), world.path("moved"))
            shutil.rmtree(world.path("payer"))
            os.rename(world.path("moved"), world.path("payer"))
            return "the home is a copy"
        for change in (gone, older, copied):
            what = change()
            if change is copied and open(store + ".last").read().split()[3] == "0":
                continue  # this file system does not say when a file was made
            refuses_to_pay(world, "payer", payee)
            node = restored(world, "payer", payee)
            node.expect("trusted")
            node.stop()
            assert balance(world, "payer")["head"] == whole["head"], what
        pay(world, "payer", payee)
        honest(world, "payer", "payee")


def a_home_rolled_back_unnoticeably_stops_before_it_signs_twice(program):
    """As a snapshot of a whole disk does: every file has its old content and is the same file. Nothing here can show it; counterparties can."""
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay(world, "payer", payee)
        shutil.copytree(world.path("payer"), world.path("snapshot"))
        pay(world, "payer", payee)
        whole = balance(world, "payer")
        for at, _, names in os.walk(world.path("snapshot")):
            for name in names:
                path = os.path.join(at, name)
                shutil.copyfile(path, os.path.join(world.path("payer"), os.path.relpath(path, world.path("snapshot"))))
        assert balance(world, "payer")["blocks"] == whole["blocks"] - 2
        node = world.node("rolled-back", ["farm", "--slots", "0"], peers=[payee.listen], home="payer")
        assert node.wait() == 1 and "of this node's own chain, which is not here" in node.stderr(), node.stderr()
        node = restored(world, "payer", payee)
        node.expect("trusted")
        node.stop()
        assert balance(world, "payer")["head"] == whole["head"]
        pay(world, "payer", payee)
        honest(world, "payer", "payee")


def an_export_brings_back_what_nobody_else_has(program):
    """The counterparty is gone for good; the DHT still knows the head, so that it is known when nothing is missing any more."""
    with World(program) as world:
        hub = world.farmer("hub", ["--slots", "0"])
        payee = world.farmer("payee", ["--slots", "0"], peers=[hub.listen])
        payer = world.farmer("payer", ["--slots", "0"], bootstrap=[hub.listen], peers=[payee.listen])
        key, export = payer.key, world.path("payer.blocks")
        assert world.json_of(["ledger", "pay", payee.key, "1"], home="payer")["receipt"]
        older = world.path("older.blocks")
        world.json_of(["ledger", "export", older], home="payer")
        for _ in range(2):
            assert world.json_of(["ledger", "pay", payee.key, "1"], home="payer")["receipt"]
        stranger = ["-o", "json", "--listen", "127.0.0.1:0", "--bootstrap", hub.listen, "ledger", "audit", key]
        until(lambda: (json.loads(world.run(stranger, home="stranger").stdout)["published"] or {}).get("blocks") == 7, "its head is published")
        world.json_of(["ledger", "export", export], home="payer")
        for node in (payer, payee):
            node.stop()
        os.remove(world.path("payer", "tnode.db"))
        shutil.rmtree(world.path("payer", "chains"))  # its own copies of what it published

        half = world.json_of(["ledger", "import", older], home="payer")
        assert half["new_blocks"] == 3 and half["restored"], half
        node = restored(world, "payer", hub)
        until(lambda: "7 were signed at least" in node.events("restored")[-1]["waits_for"], "the DHT tells of more")
        assert not node.events("trusted")
        node.stop()
        refuses_to_pay(world, "payer", payee)
        assert world.json_of(["ledger", "import", export], home="payer")["new_blocks"] == 4
        refuses_to_pay(world, "payer", payee)
        node = restored(world, "payer", hub)
        node.expect("trusted")
        node.stop()
        assert balance(world, "payer")["blocks"] == 7 and not world.json_of(["ledger", "import", export], home="payer")["restored"]
        honest(world, "payer")


def adopting_a_chain_takes_a_word_that_frightens(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay(world, "payer", payee)
        nothing = world.run(["ledger", "adopt", "--even-if-this-ruins-my-key"], home="payer")
        assert nothing.returncode == 1 and "nothing is in doubt" in nothing.stderr, nothing
        export = world.path("payer.blocks")
        world.json_of(["ledger", "export", export], home="payer")
        os.remove(world.path("payer", "tnode.db"))
        world.json_of(["ledger", "import", export], home="payer")
        warned = world.run(["ledger", "adopt"], home="payer")
        assert warned.returncode == 2 and "FOR EVER" in warned.stderr and "3 blocks are here" in warned.stderr, warned
        refuses_to_pay(world, "payer", payee)
        assert world.json_of(["ledger", "adopt", "--even-if-this-ruins-my-key"], home="payer")["blocks"] == 3
        pay(world, "payer", payee)
        honest(world, "payer", "payee")


def a_home_that_lost_its_key_makes_no_other(program):
    with World(program) as world:
        payee = world.farmer("payee", ["--slots", "0"])
        pay(world, "payer", payee)
        world.json_of(["key", "backup", world.path("payer.key"), *passphrase_file(world)], home="payer")
        world.json_of(["key", "show"], home="other")
        world.json_of(["key", "backup", world.path("other.key"), *passphrase_file(world)], home="other")
        os.remove(world.path("payer", "key"))
        lost = world.run(["key", "show"], home="payer")
        assert lost.returncode == 1 and "key restore" in lost.stderr, lost
        wrong = world.run(["key", "restore", world.path("other.key"), *passphrase_file(world)], home="payer")
        assert wrong.returncode == 1 and "of another key" in wrong.stderr, wrong
        world.json_of(["key", "restore", world.path("payer.key"), *passphrase_file(world)], home="payer")
        node = restored(world, "payer", payee)
        node.expect("trusted")
        node.stop()
        pay(world, "payer", payee)
        honest(world, "payer", "payee")


if __name__ == "__main__":
    nodes.main([
        a_backup_opens_with_its_passphrase_and_replaces_nothing,
        a_backup_is_opened_without_any_code_of_tnode,
        a_terminal_asks_without_showing,
        a_restored_key_signs_when_its_chain_is_here_again,
        a_store_that_is_gone_or_older_or_a_copy_is_noticed,
        a_home_rolled_back_unnoticeably_stops_before_it_signs_twice,
        an_export_brings_back_what_nobody_else_has,
        adopting_a_chain_takes_a_word_that_frightens,
        a_home_that_lost_its_key_makes_no_other,
    ])
