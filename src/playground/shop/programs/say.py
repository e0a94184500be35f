"""Sends a line to an echo server, ends its side, and prints what comes back until the other side ends."""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    connection.sendall(sys.argv[3].encode() + b"\n")
    connection.shutdown(socket.SHUT_WR)
    while data := connection.recv(4096):
        sys.stdout.write(data.decode())
