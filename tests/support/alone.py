"""Run a server that listens on every interface where there is only the loopback, and lead one port to it.

A network namespace of its own has no other interface. A socket stays in the namespace in which it was made, so that the
one which this program is given still listens on the test's 127.0.0.1, while what it connects to is the server's. ::

    unshare --map-root-user --net python alone.py DESCRIPTOR PORT COMMAND...

It prints a line when the server listens, and ends with it, or when it is told to.
"""

import asyncio
import fcntl
import signal
import socket
import struct
import sys
from contextlib import suppress

SIOCSIFFLAGS = 0x8914  # set an interface's flags (man 7 netdevice)
IFF_UP = 1
PIECE = 64 * 1024  # bytes


def raise_loopback() -> None:
    """Let a new namespace's loopback carry anything."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, and its end."""
    with suppress(ConnectionError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(listening: socket.socket, port: int, command: list[str]) -> int:
    """Serve until the server ends; return its code."""
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, process.terminate)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, to_server), copy(from_server, writer))

    while process.returncode is None:
        with suppress(ConnectionRefusedError):
            _, probe = await asyncio.open_connection("127.0.0.1", port)
            probe.close()
            break
        await asyncio.sleep(0.05)
    async with await asyncio.start_server(relay, sock=listening):
        sys.stdout.write("listens\n")
        sys.stdout.flush()
        return await process.wait()


if __name__ == "__main__":
    raise_loopback()
    sys.exit(asyncio.run(main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:])))
