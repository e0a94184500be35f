"""Opens connections, uses each once, then keeps them all idle until its input ends."""
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connections = []
for _ in range(count):
    connection = socket.create_connection((host, port))
    connection.sendall(b"x")
    connection.recv(1)
    connections.append(connection)
print("open", flush=True)
while True:
    __import__("time").sleep(60)
