"""Relay between plain sockets and TLS: the programs of the plant speak no TLS, and the sink has none.

    python -m tests.attack.relay accept CERTIFICATE KEY PORT   TLS from clients, plain to this port
    python -m tests.attack.relay connect CERTIFICATE - PORT ...   plain from clients, TLS to these ports

It prints the ports that it listens on, as a JSON list, and runs until it is killed.
"""

import asyncio
import contextlib
import json
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bridge.wiring import runtime
from tests.bench.processes import talking

PIECE: Final = 65_536
ACCEPT: Final = "accept"
CONNECT: Final = "connect"


@contextlib.asynccontextmanager
async def accepting_tls(files: tuple[Path, Path], port: int, *, wrapper: Sequence[str] = ()) -> AsyncIterator[int]:
    """Yield a port with TLS before a plain one; `files`: certificate and key. `wrapper` runs it as in `attacking`."""
    async with talking(*wrapper, sys.executable, "-m", __name__, ACCEPT, *files, str(port)) as process:
        yield (await process.answer())[0]


@contextlib.asynccontextmanager
async def connecting_by_tls(certificate: Path, *ports: int) -> AsyncIterator[Sequence[int]]:
    """Yield a plain port before each of these, which have TLS with this certificate."""
    async with talking(sys.executable, "-m", __name__, CONNECT, certificate, "-", *map(str, ports)) as process:
        yield await process.answer()


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, context: ssl.SSLContext | None
) -> None:
    """Carry both directions of a connection until either side ends it."""
    with contextlib.suppress(OSError):
        name = None if context is None else "localhost"
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        carried = [asyncio.create_task(_carry(*pair)) for pair in ((reader, far_writer), (far_reader, writer))]
        await asyncio.wait(carried, return_when=asyncio.FIRST_COMPLETED)
        far_writer.transport.abort()
    writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()


async def _serve(mode: str, certificate: str, key: str, ports: Sequence[int]) -> None:
    server, client = None, None
    if mode == ACCEPT:
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(certificate, key)
    else:
        client = ssl.create_default_context(cafile=certificate)
    async with contextlib.AsyncExitStack() as stack:
        listening = []
        for port in ports:
            relayed = partial(_relay, port=port, context=client)
            served = await asyncio.start_server(relayed, "127.0.0.1", 0, ssl=server, backlog=4_096)
            await stack.enter_async_context(served)
            listening.append(served.sockets[0].getsockname()[1])
        sys.stdout.write(json.dumps(listening) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    runtime.run(_serve(sys.argv[1], sys.argv[2], sys.argv[3], list(map(int, sys.argv[4:]))))
