"""A server that speaks first: greets, then numbers each line it is given."""
import asyncio
import itertools
import os
import socket
import sys

entries = itertools.count(1)
greeting = os.environ.get("GREETING", "ledger ready")


async def serve(reader, writer):
    try:
        writer.write(f"{greeting}\n".encode())
        await writer.drain()
        while line := await reader.readline():
            writer.write(f"{next(entries)} ".encode() + line)
            await writer.drain()
    except (ConnectionError, ValueError):  # ValueError: a line longer than the reader's limit
        pass
    finally:
        writer.close()


async def main():
    listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    server = await asyncio.start_server(serve, sock=listener)
    await server.serve_forever()


asyncio.run(main())
