"""A raw HTTP client: any bytes on a connection of their own, and the answer as it came."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

SECONDS: Final = 20.0


@dataclass(frozen=True)
class Answer:
    """`status` 0: the server closed the connection without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


async def exchange(port: int, sent: bytes) -> Answer:
    """Send these bytes, and read to the end of the connection."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            writer.write(sent)
            while piece := await reader.read(65_536):
                received += piece
        except OSError:
            pass  # the server has answered, and does not read to the end
        finally:
            writer.transport.abort()
    return answer_of(received)


def answer_of(received: bytes) -> Answer:
    """Return the first answer in these bytes."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first:
        return Answer(0, {}, b"")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, body)
