"""WebSocket frames that the server sends, as bytes: built once, and written to any number of sockets.

Source: RFC 6455 5.2. A server's frames are not masked, and never fragmented here.
"""

from collections.abc import Iterable, Sequence
from typing import Final

_FIN_TEXT: Final = 0x81
_SMALL: Final = 125  # bytes of a payload whose length is in the second byte
_MEDIUM: Final = 0xFFFF  # bytes of one whose length takes two more

ARRAY_BYTES: Final = 16_384  # of events in one array frame, unless a single event is larger


def text_header(length: int) -> bytes:
    """Return the header of a text frame whose payload has this many bytes."""
    if length <= _SMALL:
        return bytes((_FIN_TEXT, length))
    if length <= _MEDIUM:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def text_frames(payloads: Iterable[bytes]) -> bytes:
    """Return a text frame for each payload, which is UTF-8, in one piece."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (text_header(len(payload)), payload)
    return b"".join(parts)


def array_frames(objects: Sequence[bytes]) -> bytes:
    """Return text frames with JSON arrays of these encoded objects, each frame up to `ARRAY_BYTES`."""
    arrays: list[bytes] = []
    start = size = 0
    for index, encoded in enumerate(objects):
        if index > start and size + len(encoded) > ARRAY_BYTES:
            arrays.append(b"[" + b",".join(objects[start:index]) + b"]")
            start, size = index, 0
        size += len(encoded)
    arrays.append(b"[" + b",".join(objects[start:]) + b"]")
    return text_frames(arrays)
