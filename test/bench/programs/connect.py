"""Connects, exchanges 64 bytes and closes, one after the other; prints microseconds at the median and connections a second."""
import json
import socket
import sys
import time

host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
message = b"x" * 64
samples = []
started = time.perf_counter()
while (begun := time.perf_counter()) < started + seconds:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(message)
        left = 64
        while left:
            left -= len(connection.recv(left))
    samples.append(time.perf_counter() - begun)
elapsed = time.perf_counter() - started
samples.sort()
print(json.dumps({"p50": samples[len(samples) // 2] * 1e6, "rate": len(samples) / elapsed, "count": len(samples)}))
