"""Sends 64 bytes and waits for them, again and again on one connection; prints microseconds at the 50th and 99th percentile."""
import json
import socket
import sys
import time

host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with socket.create_connection((host, port)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = b"x" * 64
    samples = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        connection.sendall(message)
        left = 64
        while left:
            left -= len(connection.recv(left))
        samples.append(time.perf_counter() - begun)
samples = sorted(samples[len(samples) // 10:])  # the first tenth warms up
at = lambda share: samples[int(len(samples) * share)] * 1e6
print(json.dumps({"p50": at(0.5), "p99": at(0.99), "count": len(samples)}))
