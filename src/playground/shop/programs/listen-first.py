"""Prints what a server says before anything is sent to it: the first line."""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    sys.stdout.write(connection.makefile().readline())
