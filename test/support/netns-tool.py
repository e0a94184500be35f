#!/usr/bin/env python3
"""Ordinary programs for tests: servers and clients that know nothing of capture. One subcommand per behaviour."""
import argparse
import errno
import socket
import sys
import threading

SO_MARK = 36


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def say(text):
    print(text, flush=True)


def name_of(error):
    if isinstance(error, (socket.timeout, TimeoutError)) and not error.errno:
        return "TIMEOUT"
    return errno.errorcode.get(error.errno, str(error))


def unmapped(host):
    return host[7:] if host.startswith("::ffff:") else host


def serve_one(connection, peer):
    with connection:
        for line in connection.makefile("r"):
            connection.sendall(f"{line.strip()} from {unmapped(peer[0])}\n".encode())


def echo(options):
    server = socket.socket(family_of(options.host), socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((options.host, options.port))
    server.listen(512)
    say(server.getsockname()[1])
    while True:
        connection, peer = server.accept()
        threading.Thread(target=serve_one, args=(connection, peer), daemon=True).start()


def udp_echo(options):
    server = socket.socket(family_of(options.host), socket.SOCK_DGRAM)
    server.bind((options.host, options.port))
    say(server.getsockname()[1])
    while True:
        data, peer = server.recvfrom(2048)
        server.sendto(data + b" from " + peer[0].encode(), peer)


def dial(options):
    client = socket.socket(socket.AF_INET6 if options.mapped else family_of(options.host), socket.SOCK_STREAM)
    client.settimeout(options.timeout)
    if options.device:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options.device.encode())
    if options.mark:
        client.setsockopt(socket.SOL_SOCKET, SO_MARK, options.mark)
    if options.source_port:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("::" if client.family == socket.AF_INET6 else "0.0.0.0", options.source_port))
    host = "::ffff:" + options.host if options.mapped else options.host
    client.connect(socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)[0][4])
    return client


def exchange(client, text):
    client.sendall(text.encode() + b"\n")
    received = b""
    while not received.endswith(b"\n"):
        data = client.recv(4096)
        if not data:
            return "EOF"
        received += data
    return received.decode().strip()


def ask(options):
    try:
        client = dial(options)
        say(exchange(client, "ping"))
    except OSError as error:
        say(name_of(error))


def hold(options):
    """Says `connected`, then sends each line of stdin and says what came back."""
    try:
        client = dial(options)
        say("connected " + client.getsockname()[0])
        for line in sys.stdin:
            say(exchange(client, line.strip()))
    except OSError as error:
        say(name_of(error))


def udp_ask(options):
    client = socket.socket(family_of(options.host), socket.SOCK_DGRAM)
    client.settimeout(options.timeout)
    try:
        client.sendto(b"ping", (options.host, options.port))
        say(client.recv(2048).decode())
    except OSError as error:
        say(name_of(error))


def raw6(options):
    """Sends a TCP SYN behind extension headers through a raw socket, past every rule for TCP. `port` says how many."""
    sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    padding = bytes([1, 4, 0, 0, 0, 0])
    chain = b"".join(
        bytes([60 if i + 1 < options.port else 6, 0]) + padding for i in range(options.port)
    )
    syn = bytes([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xFF, 0xFF, 0, 0, 0, 0])
    header = bytes([0x60, 0, 0, 0]) + (len(chain) + len(syn)).to_bytes(2, "big")
    header += bytes([60 if options.port else 6, 64])
    header += socket.inet_pton(socket.AF_INET6, options.source) + socket.inet_pton(socket.AF_INET6, options.host)
    try:
        sender.sendto(header + chain + syn, (options.host, 0))
        say("sent")
    except OSError as error:
        say(name_of(error))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["echo", "udp-echo", "ask", "hold", "udp-ask", "raw6"])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--source")
    parser.add_argument("--device")
    parser.add_argument("--mark", type=int)
    parser.add_argument("--source-port", type=int)
    parser.add_argument("--mapped", action="store_true")
    parser.add_argument("--timeout", type=float, default=5)
    options = parser.parse_args()
    commands = {"echo": echo, "udp-echo": udp_echo, "ask": ask, "hold": hold, "udp-ask": udp_ask, "raw6": raw6}
    commands[options.command](options)


main()
