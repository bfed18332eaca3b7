"""Limits of the delivery, small enough that a few events reach them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from bridge.front import broadcaster
from bridge.protocol import cohort, event_cursor, request_queue, subscription_table, websocket_frames

_MODULES: Final[Mapping[str, ModuleType]] = {
    "FLUSH_BYTES": cohort,
    "WRITE_BYTES": event_cursor,
    "WRITE_EVENTS": event_cursor,
    "READ_AHEAD_BYTES": event_cursor,
    "CHUNK_EVENTS": request_queue,
    "ARRAY_BYTES": websocket_frames,
    "MAX_ANSWERS_PER_WRITE": request_queue,
    "TURN_MEMBERS": broadcaster,
    "FEW": subscription_table,
}

SMALL: Final[Mapping[str, int]] = {
    "FLUSH_BYTES": 40,  # the second event of the world is too much
    "WRITE_BYTES": 70,  # two events
    "WRITE_EVENTS": 1,
    "READ_AHEAD_BYTES": 1_060,  # the second event that waits is the last
    "CHUNK_EVENTS": 1,
    "ARRAY_BYTES": 40,
    "MAX_ANSWERS_PER_WRITE": 1,
    "TURN_MEMBERS": 1,
    "FEW": 0,
}


@contextmanager
def limits(values: Mapping[str, int] = SMALL) -> Iterator[None]:
    """Put these limits in force; the others stay as they are."""
    former = {name: getattr(_MODULES[name], name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(former)


def _set(values: Mapping[str, int]) -> None:
    for name, value in values.items():
        setattr(_MODULES[name], name, value)
