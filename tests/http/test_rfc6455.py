"""RFC 6455 case by case: each stream of bytes in one read, byte by byte, and in random pieces."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bridge.http.message_reader import MAX_FRAGMENTS
from tests.http.client_frames import close, frame, random_pieces
from tests.http.memory_connection import MAX_SIZE, Outcome, check, pieces_of, received
from tests.http.reference_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, VIOLATION_CODES

LAST = frame(TEXT, b"late")
CLEAN = {0, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}
UNCLEAN = {1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535}
VALID_TEXTS = {
    "ASCII": b"Hello",
    "two, three and four bytes": "κόσμε €\U0001f527".encode(),
    "first and last of two bytes": "\x80\u07ff".encode(),
    "first and last of three bytes": "\u0800\uffff".encode(),
    "around the surrogates": "\ud7ff\ue000".encode(),
    "first and last of four bytes": "\U00010000\U0010ffff".encode(),
    "non-characters": "\ufffe\uffff\ufdd0\U0001ffff".encode(),
    "NUL": b"a\x00b",
}
INVALID_TEXTS = {
    "continuation byte": b"a\x80",
    "first byte alone": b"\xce",
    "cut after two of three": b"a\xe1\xbb",
    "cut after three of four": b"a\xf0\x9f\x94",
    "two bytes, then ASCII": b"\xe1\xbba",
    "overlong slash in two": b"\xc0\xaf",
    "overlong slash in three": b"\xe0\x80\xaf",
    "overlong slash in four": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "largest overlong of two": b"\xc1\xbf",
    "largest overlong of three": b"\xe0\x9f\xbf",
    "largest overlong of four": b"\xf0\x8f\xbf\xbf",
    "high surrogate": b"\xed\xa0\x80",
    "low surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb4\xa7",
    "above 10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
}


@dataclass(frozen=True)
class Row:
    """What is sent, and what comes of it. `code`: of the server's close frame; None: the connection stays open."""

    name: str
    sent: bytes
    messages: tuple[str | bytes, ...] = ()
    code: int | None = None
    pongs: tuple[bytes, ...] = ()


def violation(name: str, sent: bytes, code: int = 1002) -> Row:
    """What is valid before it is delivered, and nothing after it."""
    return Row(name, frame(TEXT, b"ok") + sent + LAST, ("ok",), code)


def framing() -> Iterator[Row]:
    yield violation("5.1 not masked", frame(TEXT, b"a", mask=None))
    yield violation("5.1 ping not masked", frame(PING, mask=None))
    yield Row("5.3 mask of zeros", frame(TEXT, b"abcdef", mask=bytes(4)), ("abcdef",))
    for bits in range(1, 8):
        yield violation(f"5.2 reserved bits {bits:03b}", frame(TEXT, b"a", reserved=bits))
        yield violation(f"5.2 reserved bits {bits:03b} of a ping", frame(PING, b"a", reserved=bits))
    for opcode in (*range(3, 8), *range(11, 16)):
        yield violation(f"5.2 opcode {opcode:X}", frame(opcode))
        yield violation(f"5.2 opcode {opcode:X} with a payload", frame(opcode, b"abc"))
    for size in (0, 1, 124, 125, 126, 127, 128, 1_000, MAX_SIZE - 1, MAX_SIZE):
        yield Row(f"5.2 text of {size}", frame(TEXT, b"*" * size), ("*" * size,))
        yield Row(f"5.2 binary of {size}", frame(BINARY, b"\xfe" * size), (b"\xfe" * size,))
    yield Row("5.2 length in two bytes", frame(TEXT, b"a", form=126), ("a",))
    yield Row("5.2 length in eight bytes", frame(TEXT, b"a", form=127), ("a",))
    yield violation("one byte too many", frame(BINARY, bytes(MAX_SIZE + 1)), 1009)
    for size in (65_535, 65_536, 2**32, 2**63 - 1, 2**63, 2**64 - 1):
        yield violation(f"length {size}", b"\x82\xff" + size.to_bytes(8) + b"abcd", 1009)


def fragments() -> Iterator[Row]:
    yield Row("5.4 two", frame(TEXT, b"a", fin=False) + frame(CONT, b"b"), ("ab",))
    yield Row("5.4 of bytes", frame(BINARY, b"\xff", fin=False) + frame(CONT, b"\xfe"), (b"\xff\xfe",))
    yield Row("5.4 empty", (frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT)), ("",))
    yield Row("5.4 one after another", (frame(TEXT, b"a", fin=False) + frame(CONT, b"b")) * 3, ("ab",) * 3)
    most = frame(BINARY, fin=False) + frame(CONT, fin=False) * (MAX_FRAGMENTS - 2) + frame(CONT)
    yield Row("5.4 as many as there may be", most, (b"",))
    yield Row("one fragment too many", frame(BINARY, fin=False) + frame(CONT, fin=False) * MAX_FRAGMENTS, code=1009)
    half = bytes(MAX_SIZE // 2)
    yield Row("the size of all", frame(BINARY, half, fin=False) + frame(CONT, half), (half * 2,))
    yield violation("too big together", frame(BINARY, half, fin=False) + frame(CONT, half + b"x"), 1009)
    yield Row(
        "5.4 control between",
        frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(PONG, b"q") + frame(CONT, b"b"),
        ("ab",),
        pongs=(b"p",),
    )
    for fin in (False, True):
        yield violation(f"5.4 continuation of nothing, fin {fin}", frame(CONT, b"a", fin=fin))
        for opcode in (TEXT, BINARY):
            yield violation(
                f"5.4 {opcode} within a message, fin {fin}",
                frame(TEXT, b"a", fin=False) + frame(opcode, b"b", fin=fin) + frame(CONT, b"c"),
            )
    yield Row("5.4 continuation after the end", frame(TEXT, fin=False) + frame(CONT) * 2 + LAST, ("",), 1002)


def control() -> Iterator[Row]:
    for size in (0, 1, 124, 125):
        payload = b"\xfe" * size
        yield Row(f"5.5.2 ping of {size}", frame(PING, payload) + frame(TEXT), ("",), pongs=(payload,))
        yield Row(f"5.5.3 pong of {size}", frame(PONG, payload) + frame(TEXT), ("",))
    yield Row("5.5.2 ten pings", b"".join(frame(PING, b"%d" % n) for n in range(10)), pongs=tuple(
        b"%d" % n for n in range(10)))  # fmt: skip
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        yield violation(f"5.5 {name} of 126", frame(opcode, b"\x03\xe8" + b"a" * 124))
        yield violation(f"5.5 fragmented {name}", frame(opcode, fin=False) + frame(CONT))


def closing() -> Iterator[Row]:
    yield Row("5.5.1 empty", frame(CLOSE) + LAST, code=1005)
    yield Row("5.5.1 after a message", frame(TEXT, b"a") + close(1000) + LAST, ("a",), 1000)
    yield Row("5.4 close within a message", frame(TEXT, b"a", fin=False) + close(1000) + frame(CONT), code=1000)
    yield Row("5.5.1 twice", close(1000) + close(1001), code=1000)
    yield Row("5.5.1 then a ping", close(1000) + frame(PING, b"a"), code=1000)
    yield violation("5.5.1 of one byte", frame(CLOSE, b"\x03"))
    for code in sorted(CLEAN - {0}):
        yield Row(f"7.4 code {code}", close(code) + LAST, code=code)
    for code in sorted(UNCLEAN):
        yield violation(f"7.4 code {code}", close(code))
    yield violation("7.4 code 0", close(0))
    for name, text in VALID_TEXTS.items():
        yield Row(f"5.5.1 reason: {name}", close(1000, text) + LAST, code=1000)
    yield Row("5.5.1 reason of 123", close(4999, b"r" * 123) + LAST, code=4999)
    for name, text in INVALID_TEXTS.items():
        yield violation(f"5.5.1 reason: {name}", close(1000, text), 1007)


def texts() -> Iterator[Row]:
    for name, text in VALID_TEXTS.items():
        yield Row(f"8.1 {name}", frame(TEXT, text), (text.decode(),))
        first, *others = [text[at : at + 1] for at in range(len(text))]
        pieces = [frame(TEXT, first, fin=False), *(frame(CONT, byte, fin=False) for byte in others), frame(CONT)]
        yield Row(f"8.1 {name}, in bytes", b"".join(pieces), (text.decode(),))
    for name, text in INVALID_TEXTS.items():
        yield violation(f"8.1 {name}", frame(TEXT, text), 1007)
        pieces = [frame(TEXT, text[:1], fin=False), frame(CONT, text[1:])]
        yield violation(f"8.1 {name}, in two", b"".join(pieces), 1007)
        yield Row(f"8.1 {name}, as bytes", frame(BINARY, text), (text,))


ROWS = [*framing(), *fragments(), *control(), *closing(), *texts()]


async def outcomes(row: Row) -> list[Outcome]:
    size = 97 if len(row.sent) > 4_096 else 1
    splits = [pieces_of(row.sent, 0), pieces_of(row.sent, size), random_pieces(row.sent, len(row.sent))]
    for pieces in splits:
        await check(row.sent, pieces)  # the reference of the fuzz target agrees
    return [await received(pieces) for pieces in splits]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_the_standard_says_however_the_bytes_arrive(row: Row) -> None:
    for outcome in asyncio.run(outcomes(row)):
        assert tuple(outcome.messages) == row.messages
        assert outcome.close_code == row.code
        assert tuple(payload for opcode, payload in outcome.frames if opcode == PONG) == row.pongs
        answers = [payload for opcode, payload in outcome.frames if opcode == TEXT]
        assert answers == [b"%d" % len(message) for message in row.messages]


def test_each_case_has_a_name_and_each_violation_a_code() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.code for row in ROWS} >= VIOLATION_CODES
