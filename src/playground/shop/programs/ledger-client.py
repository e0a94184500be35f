"""Keeps one connection to the ledger: waits for its greeting, writes a line a second, starts again when it is cut."""
import socket
import sys
import time


def converse(host, port):
    with socket.create_connection((host, port), timeout=5) as connection:
        stream = connection.makefile("rwb")
        if not stream.readline():
            return
        while True:
            stream.write(b"sold one thing\n")
            stream.flush()
            if not stream.readline():
                return
            time.sleep(1)


while True:
    try:
        converse(sys.argv[1], int(sys.argv[2]))
    except OSError:
        pass
    time.sleep(1)
