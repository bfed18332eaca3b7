"""Retained status and Will of a stream, and the older claim of two owners."""

import msgspec
import pytest

from bridge.domain.records import Position
from bridge.domain.stream_status import (
    StreamOwner,
    StreamStatus,
    read_status,
    status_publication,
    status_topic,
    will_publication,
)
from tests.support.journal_samples import NOON

OWNER = StreamOwner("0f", NOON)
POSITION = Position("main", "e", 7)


def test_status_is_retained_on_the_streams_topic() -> None:
    status = status_publication(POSITION, root="r", online=True, ready=True, time=NOON, simulated=True, owner=OWNER)
    assert (status.topic, status.retain) == (status_topic("r", "main"), True)
    assert status.topic == "r/bridge/main"
    assert status.payload == (
        b'{"online":true,"epoch":"e","offset":7,"time":"2026-01-06T12:00:00.000Z","simulated":true,'
        b'"ready":true,"owner":"0f","since":"2026-01-06T12:00:00.000Z"}'
    )


def test_will_knows_neither_offset_nor_time() -> None:
    will = will_publication(POSITION, root="r", simulated=False, owner=OWNER)
    assert (will.topic, will.retain) == ("r/bridge/main", True)
    assert will.payload == (
        b'{"online":false,"epoch":"e","offset":null,"time":null,"simulated":false,'
        b'"ready":false,"owner":"0f","since":"2026-01-06T12:00:00.000Z"}'
    )


def test_an_announced_event_is_read_from_the_journal() -> None:
    publication = status_publication(
        POSITION, root="r", online=True, ready=False, time=None, simulated=False, owner=OWNER
    )
    status = read_status(publication.payload)
    assert status is not None
    assert status.is_owned_by(OWNER)
    assert not status.is_owned_by(StreamOwner("10", NOON))


def test_status_of_a_version_without_owners_is_anothers_and_older() -> None:
    status = read_status(b'{"online":true,"epoch":"e","offset":7,"time":null,"simulated":false}')
    assert status is not None
    assert not status.is_owned_by(OWNER)
    assert status.precedes(OWNER)


DEEP = b'{"x":' + b"[" * 200_000


@pytest.mark.parametrize("payload", [b"", b"{}", b"[1]", b"\xff", b'{"online":"yes","epoch":"e"}', b"{", DEEP])
def test_an_invalid_status_is_none(payload: bytes) -> None:
    assert read_status(payload) is None


@pytest.mark.parametrize(
    ("other", "first"),
    [
        (StreamOwner("ff", NOON - 1), True),
        (StreamOwner("00", NOON + 1), False),
        (StreamOwner("00", NOON), True),
        (StreamOwner("1", NOON), False),
    ],
)
def test_the_first_bridge_owns_the_stream(*, other: StreamOwner, first: bool) -> None:
    """Of two that started within a millisecond exactly one gives way."""
    of_other = will_publication(POSITION, root="r", simulated=False, owner=other).payload
    assert msgspec.json.decode(of_other, type=StreamStatus).precedes(OWNER) is first
