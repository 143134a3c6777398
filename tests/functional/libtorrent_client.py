"""A stock BitTorrent client, told what to do by lines of JSON on stdin, answering each with one on stdout. Leaves at the end of its input.

A program of its own, as the other clients are: libtorrent's sessions would go on in threads of the test, and take it along when they fall.
Arguments: settings as JSON that differ from libtorrent's own."""
import json
import os
import sys
import time

import libtorrent


def add(session, source, folder):
    """`source`: a magnet link or the path of a .torrent."""
    if source.startswith("magnet:"):
        parameters = libtorrent.parse_magnet_uri(source)
    else:
        parameters = libtorrent.add_torrent_params()
        parameters.ti = libtorrent.torrent_info(source)
    parameters.save_path = folder
    return session.add_torrent(parameters)


def main():
    session = libtorrent.session(json.loads(sys.argv[1]))
    while session.listen_port() == 0:
        time.sleep(0.01)
    handles = {}
    print(json.dumps({"port": session.listen_port(), "version": libtorrent.__version__}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        name, do, answer = order["name"], order["do"], {}
        if do == "add":
            handles[name] = add(session, order["source"], order["folder"])
        if do == "resume":
            handles[name].clear_error()
            handles[name].resume()
        if do in ("add", "resume"):
            for peer in order["peers"]:
                ip, port = peer.rsplit(":", 1)
                handles[name].connect_peer((ip, int(port)))
        if do == "status":
            status = handles[name].status()
            answer = {"has_all": status.is_seeding, "state": str(status.state), "progress": status.progress, "peers": status.num_peers,
                      "error": status.errc.message() if status.errc.value() else ""}
        if do == "forget":
            session.remove_torrent(handles.pop(name))
        print(json.dumps(answer), flush=True)


try:
    main()
finally:
    sys.stdout.flush()
    os._exit(0 if sys.exc_info()[0] is None else 1)  # no good-byes: nobody waits for them
