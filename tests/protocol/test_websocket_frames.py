"""WebSocket frames, read by the parser of another library."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from bridge.protocol.websocket_frames import ARRAY_BYTES, array_frames, text_frames


def read(data: bytes) -> list[bytes]:
    """Return the payloads of whole text frames."""
    client = ClientProtocol(parse_uri("ws://host/"), state=OPEN, max_size=None)
    client.receive_data(data)
    frames = client.events_received()
    assert client.parser_exc is None
    payloads: list[bytes] = []
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        payloads.append(bytes(frame.data))
    return payloads


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_payload_of_any_length_is_one_text_frame(length: int) -> None:
    payload = b"x" * length
    assert read(text_frames([payload])) == [payload]


@given(st.lists(st.text(max_size=200).map(str.encode), max_size=20))
def test_payloads_are_frames_of_their_own_in_one_piece(payloads: list[bytes]) -> None:
    assert read(text_frames(payloads)) == payloads


@given(st.lists(st.integers(1, ARRAY_BYTES + 100), min_size=1, max_size=12))
def test_arrays_hold_all_objects_in_order_each_up_to_the_limit(sizes: list[int]) -> None:
    objects = [b'"%s"' % (b"%d" % number).rjust(size, b"x") for number, size in enumerate(sizes)]
    arrays = read(array_frames(objects))
    assert [text for array in arrays for text in json.loads(array)] == [json.loads(text) for text in objects]
    for array in arrays:
        texts = json.loads(array)
        assert len(texts) == 1 or sum(len(text) + 2 for text in texts) <= ARRAY_BYTES
