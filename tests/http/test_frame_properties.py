"""Random streams of frames against the reference: whole ones are answered alike however they are split."""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.http.client_frames import close, frame, random_pieces
from tests.http.memory_connection import check
from tests.http.reference_frames import BINARY, CONT, PING, PONG, TEXT

masks = st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=12) | st.integers(120, 300).map(bytes)
texts = st.text(max_size=8).map(str.encode)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """One message in any number of fragments, with control frames between them."""
    opcode = draw(st.sampled_from((TEXT, BINARY)))
    payload = draw(texts if opcode == TEXT else payloads)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    parts = [payload[start:end] for start, end in zip((0, *cuts), (*cuts, len(payload)), strict=True)]
    sent = b""
    for number, part in enumerate(parts):
        sent += frame(opcode if number == 0 else CONT, part, fin=number == len(cuts), mask=draw(masks))
        if draw(st.booleans()):
            sent += frame(draw(st.sampled_from((PING, PONG))), draw(st.binary(max_size=4)), mask=draw(masks))
    return sent


endings = st.sampled_from((b"", close(1000), close(4001, "tschüß".encode()), frame(TEXT, b"\xc3("), frame(CONT)))
streams = st.builds(lambda parts, end: b"".join(parts) + end, st.lists(messages(), max_size=6), endings)


@settings(max_examples=200)
@given(streams, st.integers(0, 1_000))
def test_a_stream_means_the_same_however_it_is_split(stream: bytes, seed: int) -> None:
    asyncio.run(check(stream, random_pieces(stream, seed)))


@settings(max_examples=300)
@given(streams.filter(bool), st.integers(0), st.integers(0, 1_000))
@example(frame(TEXT, b"\x43") + close(1000), 55, 3)  # the text is not UTF-8, and a close frame is behind it
def test_a_stream_with_a_wrong_bit_is_answered_or_closed_with_a_code(stream: bytes, bit: int, seed: int) -> None:
    damaged = bytearray(stream)
    damaged[bit // 8 % len(stream)] ^= 1 << bit % 8
    asyncio.run(check(bytes(damaged), random_pieces(bytes(damaged), seed)))
