"""Frames of a client byte by byte (RFC 6455 5.2), the forbidden ones included."""

from random import Random

MASK = b"\x37\xfa\x21\x3d"  # that of the examples in 5.7


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bytes | None = MASK, form: int = 0
) -> bytes:
    """Return a frame; `reserved`: its three bits; `form`: 126 or 127 for a longer length field than needed."""
    size = len(payload)
    form = form or (size if size < 126 else 126 if size < 65_536 else 127)
    length = b"" if form < 126 else size.to_bytes(2 if form == 126 else 8)
    head = bytes((fin << 7 | reserved << 4 | opcode, (mask is not None) << 7 | form)) + length
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(8, code.to_bytes(2) + reason)


def random_pieces(data: bytes, seed: int) -> list[bytes]:
    """Split into reads of random sizes."""
    chance = Random(seed)
    pieces = []
    while data:
        size = chance.choice((1, 2, 3, 7, 100, 1_460))
        pieces.append(data[:size])
        data = data[size:]
    return pieces
