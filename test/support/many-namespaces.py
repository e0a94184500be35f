"""Many network namespaces, each with one interface as pods have, whose other end is in a namespace of the node, and with
addresses of both families; made in batches and removed again.

    many-namespaces.py add|delete <prefix> <first> <count>
"""
import ctypes
import os
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def enter(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), path)
    finally:
        os.close(fd)


def batch(lines):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def add(prefix, numbers):
    batch(f"netns add {prefix}{name}" for name in ["node", *numbers])
    for n in numbers:
        pid = os.fork()
        if pid == 0:
            try:
                enter(f"/var/run/netns/{prefix}{n}")
                batch(
                    [
                        "link set lo up",
                        f"link add eth0 type veth peer name pod{n} netns {prefix}node",
                        # A link-local address would come only after a while, and change what is compared.
                        "link set eth0 addrgenmode none",
                        f"addr add 10.{64 + n // 65536}.{n // 256 % 256}.{n % 256}/32 dev eth0",
                        f"addr add fd42::{n:x}/128 dev eth0 nodad",
                        "link set eth0 up",
                    ]
                )
                os._exit(0)
            except BaseException as error:
                print(error, file=sys.stderr)
                os._exit(1)
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit(f"cannot set up {prefix}{n}")
    enter(f"/var/run/netns/{prefix}node")
    batch(f"link set pod{n} up" for n in numbers)


def delete(prefix, numbers):
    subprocess.run(
        ["ip", "-force", "-batch", "-"],
        input="".join(f"netns del {prefix}{name}\n" for name in [*numbers, "node"]),
        text=True,
        check=False,
    )


if __name__ == "__main__":
    verb, prefix, first, count = sys.argv[1:]
    {"add": add, "delete": delete}[verb](prefix, range(int(first), int(first) + int(count)))
