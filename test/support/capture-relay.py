#!/usr/bin/env python3
"""A plain relay in ztunnel's place. Makes the three listeners inside a network namespace, starts the given program
with them (descriptor numbers in CULVERT_TEST_LISTENERS) and relays what they accept. What passes through it is told
apart by a prefix: `out:` for what the application dialled, `in:` for what came from outside.

usage: capture-relay.py <netns path> <4|6> -- program arguments..."""
import ctypes
import os
import socket
import subprocess
import sys
import threading

IP_TRANSPARENT = 19
IP_BIND_ADDRESS_NO_PORT = 24
IPV6_TRANSPARENT = 75
SO_MARK = 36
MARK = 0x539
CLONE_NEWNET = 0x40000000


def enter(path):
    fd = os.open(path, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def listener(dual):
    server = socket.socket(socket.AF_INET6 if dual else socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    server.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    if dual:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    server.bind(("::" if dual else "0.0.0.0", 0))
    server.listen(512)
    return server


def unmapped(host):
    return host[7:] if host.startswith("::ffff:") else host


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def dial_out(host, port):
    upstream = socket.socket(family_of(host), socket.SOCK_STREAM)
    upstream.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    upstream.connect((host, port))
    return upstream


def deliver(client, host, port):
    upstream = socket.socket(family_of(host), socket.SOCK_STREAM)
    if ":" in host:
        upstream.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    upstream.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    upstream.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    upstream.bind((client, 0))
    upstream.connect((host, port))
    return upstream


def relay(connection, peer, prefix, connect):
    try:
        host, port = connection.getsockname()[:2]
        upstream = connect(unmapped(peer[0]), unmapped(host), port)
        upstream.sendall(prefix)
    except OSError as error:
        print(f"relay: {error}", file=sys.stderr, flush=True)
        connection.close()
        return
    threading.Thread(target=copy, args=(upstream, connection), daemon=True).start()
    copy(connection, upstream)


def accept(server, prefix, connect):
    while True:
        connection, peer = server.accept()
        threading.Thread(target=relay, args=(connection, peer, prefix, connect), daemon=True).start()


def answer_hbone(server):
    while True:
        connection, _ = server.accept()
        connection.sendall(b"hbone\n")
        connection.close()


def main():
    program = sys.argv[sys.argv.index("--") + 1 :]
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(sys.argv[1])
    servers = [listener(sys.argv[2] == "6") for _ in range(3)]
    numbers = [server.fileno() for server in servers]
    # The program runs where the test runs; only its descriptors belong to the pod's namespace.
    child = subprocess.Popen(
        program,
        pass_fds=[*numbers, home],
        env={**os.environ, "CULVERT_TEST_LISTENERS": ",".join(map(str, numbers))},
        preexec_fn=lambda: ctypes.CDLL(None).setns(home, CLONE_NEWNET),
    )
    outbound, plaintext, hbone = servers
    for target, arguments in (
        (accept, (outbound, b"out:", lambda _client, host, port: dial_out(host, port))),
        (accept, (plaintext, b"in:", deliver)),
        (answer_hbone, (hbone,)),
    ):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    child.wait()
    os._exit(child.returncode)


main()
