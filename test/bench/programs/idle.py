"""Opens connections, uses each once and keeps them idle; opens more for each number it reads, and says when it has."""
import resource
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
connections = []
for count in sys.argv[3:]:
    while len(connections) < int(count):
        connection = socket.create_connection((host, port))
        connection.sendall(b"x")
        connection.recv(1)
        connections.append(connection)
    print("open", count, flush=True)
    __import__("time").sleep(3)  # for whoever looks at the memory of others
