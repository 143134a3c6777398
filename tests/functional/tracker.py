"""The smallest BitTorrent tracker: whoever asks, for whatever torrent, is told of the peers named on the command line.

tracker.py LISTEN_IP PEER_IP:PORT… prints its announce address. A program of its own so that it can live in a network namespace."""
import http.server
import socket
import struct
import sys

PEERS = b"".join(socket.inet_aton(peer.rsplit(":", 1)[0]) + struct.pack(">H", int(peer.rsplit(":", 1)[1])) for peer in sys.argv[2:])


class Announce(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"d8:completei%de10:incompletei0e8:intervali2e12:min intervali1e5:peers%d:%se" % (len(PEERS) // 6, len(PEERS), PEERS)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *arguments):
        print(text % arguments, file=sys.stderr)


server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Announce)
print(f"http://{sys.argv[1]}:{server.server_address[1]}/announce", flush=True)
server.serve_forever()
