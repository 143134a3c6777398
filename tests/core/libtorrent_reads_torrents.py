#!/usr/bin/python3
"""Has libtorrent read torrents that tnode wrote, and check the files on disk against them.

Usage: libtorrent_reads_torrents.py DIR, with DIR/<name>.torrent, the files in DIR/<name>/, and lines
`name v1_hash v2_hash total piece_length` in DIR/list. A twin is DIR/<name>.v1.torrent, when it is there.
Exit status: 0 all agree, 1 something differs (named on stderr), 77 no libtorrent for Python here.
"""
import os
import sys
import time

try:
    import libtorrent as lt
except ImportError:
    sys.exit(77)

CHECK_LIMIT_S = 60


def complain(name, what):
    print(f"{name}: {what}", file=sys.stderr)
    sys.exit(1)


def payload(info):
    files = info.files()
    return [
        (files.file_path(i), files.file_size(i), bool(files.file_flags(i) & lt.file_flags_t.flag_executable))
        for i in range(files.num_files())
        if not files.file_flags(i) & lt.file_flags_t.flag_pad_file
    ]


def on_disk(folder, name):
    found = []
    for base, _, names in os.walk(os.path.join(folder, name)):
        for entry in names:
            path = os.path.join(base, entry)
            found.append((os.path.relpath(path, folder), os.path.getsize(path)))
    return sorted(found)


def check_all(session, folder, name, path):
    handle = session.add_torrent({"ti": lt.torrent_info(path), "save_path": folder, "flags": lt.torrent_flags.upload_mode})
    end = time.monotonic() + CHECK_LIMIT_S
    checking = (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data)
    while handle.status().state in checking:
        if handle.status().errc.value() != 0:
            complain(name, handle.status().errc.message())
        if time.monotonic() > end:
            complain(name, "the check did not end")
        time.sleep(0.01)
    status = handle.status()
    if status.progress != 1.0 or not status.is_seeding and status.state != lt.torrent_status.finished:
        complain(path, f"libtorrent found only {status.progress:.0%} of the files right ({status.state})")
    session.remove_torrent(handle)


def main(folder):
    session = lt.session({"listen_interfaces": "", "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False})
    count = 0
    for line in open(os.path.join(folder, "list")):
        name, v1_hash, v2_hash, total, piece_length = line.split()
        path = os.path.join(folder, name + ".torrent")
        info = lt.torrent_info(path)
        hashes = info.info_hashes()
        if (str(hashes.v1), str(hashes.v2)) != (v1_hash, v2_hash):
            complain(name, f"hashes {hashes.v1} {hashes.v2} instead of {v1_hash} {v2_hash}")
        if info.piece_length() != int(piece_length):
            complain(name, "another piece length")
        files = payload(info)
        if sorted((path, size) for path, size, _ in files) != on_disk(folder, name):
            complain(name, f"other files: {files}")
        for path, _, executable in files:
            if executable != bool(os.stat(os.path.join(folder, path)).st_mode & 0o100):
                complain(name, f"{path}: another executable bit")
        if sum(size for _, size, _ in files) != int(total):
            complain(name, "another total")
        check_all(session, folder, name, os.path.join(folder, name + ".torrent"))
        twin = os.path.join(folder, name + ".v1.torrent")
        if os.path.exists(twin):
            if lt.torrent_info(twin).info_hashes().has_v2():
                complain(name, "the twin is not v1 only")
            check_all(session, folder, name, twin)
        count += 1
    print(f"libtorrent {lt.version} agrees on {count} torrents")


main(sys.argv[1])
