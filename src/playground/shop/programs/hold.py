"""Keeps one connection to an echo server busy; prints `open` after the first answer, `cut` when it ends, and exits."""
import socket
import sys
import time

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
opened = False
try:
    while True:
        connection.sendall(b"still here\n")
        if not connection.recv(4096):
            break
        if not opened:
            print("open", flush=True)
            opened = True
        time.sleep(0.02)
except OSError:
    pass
print("cut", flush=True)
