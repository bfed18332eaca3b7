"""Reference of what a client's bytes mean (RFC 6455, sections 5, 7.4, 8.1), apart from the bridge's parser."""

from dataclasses import dataclass, field
from typing import Final

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SENDABLE_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
VIOLATION_CODES: Final = frozenset({1002, 1007, 1009})


class Violation(Exception):
    """Bytes that no client may send, or more than the server takes."""


class _Incomplete(Exception):
    """A frame that goes on."""


@dataclass
class Meaning:
    """Messages and pings of a stream of bytes, up to its close frame, a violation, or its end.

    `close`: the payload of the close frame. `is_cut`: it ends within a frame, and a server need not judge that yet.
    """

    messages: list[str | bytes] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    close: bytes | None = None
    violation: str | None = None
    is_cut: bool = False


@dataclass
class Frame:
    fin: bool
    opcode: int
    payload: bytes


def meaning(data: bytes, *, max_size: int, max_fragments: int, is_text_checked: bool = True) -> Meaning:
    """Return what a server makes of these bytes, however they are split into reads."""
    result = Meaning()
    reader = _Reader(result, max_size, max_fragments, is_text_checked=is_text_checked)
    try:
        while data and result.close is None:
            end = _end_of_frame(data)
            result.is_cut = end is None
            if len(data) > 1:
                reader.take(_read_frame(data[:end], max_size))
            data = data[end or len(data) :]
    except Violation as violation:
        result.violation = str(violation)
    except _Incomplete:
        pass
    return result


def _end_of_frame(data: bytes) -> int | None:
    """Return where the first frame ends, None if it does not; of a frame that is not masked, too."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start])
    end = start + 4 * (data[1] >> 7) + size
    return end if len(data) >= max(start, end) else None


def _read_frame(data: bytes, max_size: int) -> Frame:
    """Return the frame that begins here; raise Violation as soon as it is one."""
    fin, opcode, is_masked, size = data[0] >> 7, data[0] & 0x0F, data[1] >> 7, data[1] & 0x7F
    if data[0] & 0x70:
        raise Violation("5.2: reserved bits")
    if opcode not in (CONT, TEXT, BINARY, CLOSE, PING, PONG):
        raise Violation("5.2: reserved opcode")
    if not is_masked:
        raise Violation("5.1: not masked")
    start = 2 + {126: 2, 127: 8}.get(size, 0)
    if len(data) < start:
        raise _Incomplete
    if size >= 126:
        size = int.from_bytes(data[2:start])
    if size > max_size:
        raise Violation("too big")
    if len(data) < start + 4 + size:
        raise _Incomplete
    if opcode >= CLOSE and (size > 125 or not fin):
        raise Violation("5.5: control frame too long or fragmented")
    mask, masked = data[start : start + 4], data[start + 4 : start + 4 + size]
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked)) if any(mask) else masked
    return Frame(bool(fin), opcode, payload)


class _Reader:
    """Joins fragments to messages."""

    def __init__(self, result: Meaning, max_size: int, max_fragments: int, *, is_text_checked: bool) -> None:
        self._result = result
        self._max_size = max_size
        self._max_fragments = max_fragments
        self._is_text_checked = is_text_checked
        self._opcode: int | None = None
        self._fragments: list[bytes] = []

    def take(self, frame: Frame) -> None:
        match frame.opcode:
            case 9:
                self._result.pings.append(frame.payload)
            case 8:
                self._close(frame.payload)
            case 0 | 1 | 2:
                self._take_data(frame)
            case _:
                pass

    def _take_data(self, frame: Frame) -> None:
        if (frame.opcode == CONT) != (self._opcode is not None):
            raise Violation("5.4: a continuation without a beginning, or a beginning within a message")
        if frame.opcode != CONT:
            self._opcode, self._fragments = frame.opcode, []
        if len(self._fragments) >= self._max_fragments:
            raise Violation("too many fragments")
        self._fragments.append(frame.payload)
        if sum(map(len, self._fragments)) > self._max_size:
            raise Violation("too big")
        if frame.fin:
            opcode, self._opcode = self._opcode, None
            payload = b"".join(self._fragments)
            self._result.messages.append(_text(payload) if opcode == TEXT and self._is_text_checked else payload)

    def _close(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise Violation("5.5.1: a code has two bytes")
        code = int.from_bytes(payload[:2])
        if payload and code not in SENDABLE_CODES and not 3000 <= code < 5000:
            raise Violation("7.4: a code that is not sent")
        _text(payload[2:])
        self._result.close = payload


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation("8.1: not UTF-8") from None
