"""Raw TCP echo: sends back what it gets, keeps a half-closed connection until the client's bytes are back."""
import asyncio
import socket
import sys


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    server = await asyncio.start_server(echo, sock=listener)
    await server.serve_forever()


asyncio.run(main())
