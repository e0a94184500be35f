"""New connections to an echo server, one after another, for some seconds; prints how many there were and how many failed."""
import socket
import sys
import time

host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
total = 0
failed = []
end = time.monotonic() + seconds
while time.monotonic() < end:
    total += 1
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"ping")
            if connection.recv(4) != b"ping":
                failed.append("closed without an answer")
    except OSError as error:
        failed.append(str(error))
    time.sleep(0.005)
print(total, len(failed), failed[0] if failed else "", flush=True)
