"""Many clients and one echo server outside of the process under test. Commands on standard input, an answer a line:
  serve             -> the port of the echo server
  sink              -> the port of a server that accepts and never reads
  fill <n> <port>   -> dials n connections and sends into each of them until nobody takes any more
  open <n> <port>   -> dials n connections to 127.0.0.1 and keeps them
  use               -> "<echoed> <broken> <silent>": how many of the kept ones answer, are reset or ended, say nothing
  close <n>         -> closes n of the kept ones, oldest first, and forgets those that could not be dialled
"""
import selectors
import socket
import sys
import threading

kept = []
kept_by_sink = []
refused = 0


def echo(connection):
    try:
        while data := connection.recv(4096):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()


def serve():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def sink():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def accept():
        while True:
            kept_by_sink.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def fill(count, port, patience=2.0):
    block = bytes(65536)
    taking = selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 5)
        connection.setblocking(False)
        kept.append(connection)
        taking.register(connection, selectors.EVENT_WRITE)
    while ready := taking.select(patience):
        for key, _ in ready:
            try:
                key.fileobj.send(block)
            except BlockingIOError:
                pass
            except OSError:
                taking.unregister(key.fileobj)
        if not taking.get_map():
            break


def use(patience=3.0):
    echoed, broken = 0, refused
    waiting = selectors.DefaultSelector()
    for connection in kept:
        try:
            connection.sendall(b"x")
            waiting.register(connection, selectors.EVENT_READ)
        except OSError:
            broken += 1
    while waiting.get_map():
        ready = waiting.select(patience)
        if not ready:
            break
        for key, _ in ready:
            try:
                if key.fileobj.recv(1):
                    echoed += 1
                else:
                    broken += 1
            except OSError:
                broken += 1
            waiting.unregister(key.fileobj)
    return f"{echoed} {broken} {len(waiting.get_map())}"


for line in sys.stdin:
    command, *arguments = line.split()
    answer = "done"
    if command == "serve":
        answer = serve()
    elif command == "sink":
        answer = sink()
    elif command == "fill":
        fill(int(arguments[0]), int(arguments[1]))
    elif command == "open":
        for _ in range(int(arguments[0])):
            try:
                kept.append(socket.create_connection(("127.0.0.1", int(arguments[1])), 5))
            except OSError:  # reset before the call came back
                refused += 1
    elif command == "use":
        answer = use()
    elif command == "close":
        for connection in kept[: int(arguments[0])]:
            connection.close()
        del kept[: int(arguments[0])]
        refused = 0
    print(answer, flush=True)
