"""Uses a connection, leaves it idle for some seconds, uses it again and ends it well; exits 0 only if all of that works."""
import socket
import sys
import time

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    connection.sendall(b"before")
    assert connection.recv(64) == b"before"
    print("open", flush=True)
    time.sleep(float(sys.argv[3]))
    connection.sendall(b"after")
    assert connection.recv(64) == b"after"
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(64) == b""
