"""A child of the holder for its tests, with a protocol of its own making: what the holder takes, it takes from the
bytes. Says what happens as JSON lines on standard output. Usage: holder-child.py <scenario>"""
import array, json, os, signal, socket, struct, sys, time

MAGIC, VERSION = 0x43485643, 1
TAKE, KEEP, DROP, READY, REPLACE, HELD, ALL, SUPERSEDED, REPLACING, ALONE = 1, 2, 3, 4, 5, 16, 17, 18, 19, 20
LAYOUT = struct.Struct("=IHHQH3H4I256s2048s")
SO_NETNS_COOKIE = 71

holder = socket.socket(fileno=int(os.environ["CULVERT_HOLDER"]))


def say(**what):
    print(json.dumps({"pid": os.getpid(), **what}), flush=True)


def message(kind, pod=b"", note=b"", cookie=0, family=0, ports=(0, 0, 0), magic=MAGIC, version=VERSION):
    return LAYOUT.pack(magic, version, kind, cookie, family, *ports, 0, 0, 0, 0, pod, note)


def send(data, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    holder.sendmsg([data], rights)


def receive():
    data, fds, _, _ = socket.recv_fds(holder, LAYOUT.size, 16)
    if not data:
        return None
    fields = LAYOUT.unpack(data)
    return {
        "kind": fields[2],
        "pod": fields[12].rstrip(b"\0").decode(),
        "note": fields[13].rstrip(b"\0").decode(),
        "numbers": fields[8:12],
        "fds": list(fds),
    }


def until(kind):
    """Messages before the first one of this kind, and that one."""
    seen = []
    while True:
        heard = receive()
        seen.append(heard)
        if heard is None or heard["kind"] == kind:
            return seen


def take():
    send(message(TAKE))
    *held, everything = until(ALL)
    return held, everything["numbers"]


def listeners():
    made = []
    for _ in range(3):
        one = socket.socket(socket.AF_INET)
        one.bind(("127.0.0.1", 0))
        one.listen()
        made.append(one)
    return made


def keep(pod, made, **changes):
    cookie = struct.unpack("=Q", made[0].getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
    ports = [one.getsockname()[1] for one in made]
    fields = {"cookie": cookie, "family": socket.AF_INET, "ports": ports, "note": b"of " + pod, **changes}
    send(message(KEEP, pod, **fields), [one.fileno() for one in made])
    return cookie, ports


def pods(held):
    return sorted(one["pod"] for one in held)


def wait():
    while True:
        signal.pause()


def keeping():
    """Keeps two pods, of which it drops one; every later one answers whoever waits in the listeners of the other."""
    held, numbers = take()
    if not held:
        made, other = listeners(), listeners()
        _, ports = keep(b"one", made)
        cookie, _ = keep(b"two", other)
        send(message(DROP, b"two", cookie=cookie + 1))  # of another namespace: stays
        send(message(READY))
        say(serves=ports, held=[], restarts=numbers[1])
        wait()
    inherited = [socket.socket(fileno=fd) for one in held if one["pod"] == "one" for fd in one["fds"]]
    cookie = struct.unpack("=Q", inherited[0].getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
    send(message(DROP, b"two", cookie=cookie))
    send(message(READY))
    say(serves=[], held=pods(held), notes=[one["note"] for one in held], restarts=numbers[1])
    for one in inherited:
        one.settimeout(0.2)
    while True:
        for one in inherited:
            try:
                one.accept()[0].sendall(b"from %d" % os.getpid())
            except TimeoutError:
                continue


def descriptors_of_holder():
    return len(os.listdir(f"/proc/{os.getppid()}/fd"))


def hostile():
    """Everything that is no message, with and without descriptors; then looks what came of it."""
    take()
    before = descriptors_of_holder()
    made, plain = listeners(), [socket.socket(socket.AF_INET) for _ in range(3)]
    null = os.open("/dev/null", os.O_RDONLY)
    whole = message(KEEP, b"x")
    for _ in range(50):
        send(b"")
        send(b"x")
        send(whole[:-1])
        send(whole + b"x")
        send(os.urandom(LAYOUT.size))
        send(message(READY, magic=1))
        send(message(READY, version=2))
        send(message(99))
        send(message(KEEP, b"x" * 256))
        send(message(KEEP, b"x", b"y" * 2048))
        send(whole)
        send(b"x", [null])
        send(whole, [null])
        send(whole, [null] * 3)
        send(whole, [null] * 4)
        send(whole, [null] * 60)
        send(message(TAKE), [null] * 3)
        keep(b"", made)
        keep(b"no-listeners", plain)
        keep(b"other-namespace", made, cookie=1)
        keep(b"other-family", made, family=socket.AF_INET6)
        keep(b"other-ports", made, ports=(1, 2, 3))
        send(message(DROP, b"nobody"))
        send(message(REPLACE))
    # A TAKE among those above may be answered late: this pod tells that everything before it was read.
    keep(b"end", made)
    send(message(TAKE))
    held = []
    while "end" not in pods(held):
        held += [one for one in until(HELD) if one["kind"] == HELD]
    say(held=pods(held), more=descriptors_of_holder() - before)


def replaced():
    """Serves; says what it hears."""
    held, numbers = take()
    made = listeners()
    if numbers[2] == 0:
        keep(b"one", made)
    say(held=pods(held), predecessor=numbers[2])
    send(message(READY))
    heard = receive()
    say(heard=heard and heard["kind"])
    wait()


def failing_successor():
    _, numbers = take()
    if numbers[2] == 1:
        sys.exit(3)
    send(message(READY))
    send(message(REPLACE))
    say(heard=[one["kind"] for one in until(ALONE)])
    wait()


def many():
    """More pods than may be kept."""
    _, numbers = take()
    made = listeners()
    for number in range(numbers[3] + 5):
        keep(b"pod-%d" % number, made)
    send(message(TAKE))
    *held, _ = until(ALL)
    say(held=len(held), most=numbers[3])


def dying():
    take()
    send(message(READY))
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def ends_with_seven():
    sys.exit(7)


def until_told():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    take()
    send(message(READY))
    say(serves=[])
    wait()


globals()[sys.argv[1].replace("-", "_")]()
