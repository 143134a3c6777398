"""Sockets: every family, and real listeners outside that wait for a caller."""
import os
import socket

from probe import PLACE, call, ends, fail, shut


@ends("exited 0")
def every_family_but_local():
    for family in range(0, 64):
        if family == socket.AF_UNIX:
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET, socket.SOCK_RDM):
            for protocol in (0, 6, 17, 132, 262):
                shut(call, 41, family, kind, protocol)
        shut(call, 53, family, socket.SOCK_STREAM, 0, (b"x" * 8))


@ends("exited 0")
def families_hidden_in_the_upper_half():
    """The kernel takes 32 bits of what the filter sees as 64."""
    for family in (socket.AF_INET, socket.AF_NETLINK, socket.AF_PACKET):
        shut(call, 41, 1 << 32 | family, socket.SOCK_DGRAM, 0)


@ends("exited 0")
def abstract_listener_of_the_host():
    for name in ("\0" + os.environ["LISTENER"], "\0" + os.environ["LISTENER"] + "\0" * (107 - len(os.environ["LISTENER"]))):
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_UNIX, kind) as each:
                shut(each.connect, name)


@ends("exited 0")
def path_listener_of_the_host():
    path = os.environ["SOCKET"]
    for route in (path, "/proc/1/root" + path, "/proc/self/root" + path, "/work/in/../.." + path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
            shut(each.connect, route)


@ends("exited 0")
def network_is_empty():
    names = [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:]
    if names not in ([], ["lo"]):
        fail(names)
    for table in ("/proc/net/unix", "/proc/net/tcp", "/proc/net/udp", "/proc/net/route"):
        servers = 2 if table == "/proc/net/unix" and PLACE in ("forked", "served") else 0
        if len(open(table).readlines()) > 1 + servers:
            fail(table)


@ends("exited 0")
def messages_carry_no_rights():
    """A local socket to oneself works; credentials of somebody else do not pass it."""
    import struct
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for pid, uid, gid in ((os.getpid(), 0, 0), (1, 1000, 1000), (os.getpid(), 65534, 1000)):
        shut(left.sendmsg, [b"x"], [(socket.SOL_SOCKET, 2, struct.pack("iii", pid, uid, gid))])


@ends("exited 0")
def privileged_options():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
        for option in (32, 33, 12, 36):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_PRIORITY above the rest, SO_MARK
            shut(lambda: each.setsockopt(socket.SOL_SOCKET, option, 1 << 30) or 0)
