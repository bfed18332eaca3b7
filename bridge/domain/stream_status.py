"""The retained status of a stream, `{root}/bridge/{stream}`: its state, and the process that publishes it."""

from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.domain.messages import Publication
from bridge.domain.records import Position
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none

STATUS_SECONDS: Final = 1.0
"""Interval at which the status is published while the stream is online."""


@dataclass(frozen=True, slots=True)
class StreamOwner:
    """One process that publishes a stream: a random id, and the wall time of its start."""

    id: str
    since: Millis


class StreamStatus(msgspec.Struct, frozen=True):
    """Payload of the status. One without an owner comes from a version that had none."""

    online: bool
    epoch: str
    offset: int | None = None  # the last one published; unknown in the Will
    time: str | None = None  # floor time; unknown in the Will
    simulated: bool = False
    ready: bool = False  # the floor is being journalled
    owner: str = ""
    since: str = ""  # RFC 3339 in milliseconds, so that it sorts as text

    def is_owned_by(self, owner: StreamOwner) -> bool:
        return self.owner == owner.id

    def precedes(self, owner: StreamOwner) -> bool:
        """Return whether this status is of the rightful owner: a process that started before `owner`."""
        return (self.since, self.owner) < (rfc3339(owner.since), owner.id)


_DECODER: Final = msgspec.json.Decoder(StreamStatus)


def status_topic(root: str, stream: str) -> str:
    return TopicBranch.BRIDGE.prefix(root) + stream


def status_publication(
    position: Position,
    *,
    root: str,
    online: bool,
    ready: bool,
    time: Millis | None,
    simulated: bool,
    owner: StreamOwner,
) -> Publication:
    """Return the retained status of a stream; `position` is that of the last published event."""
    status = StreamStatus(
        online=online,
        epoch=position.epoch,
        offset=position.offset,
        time=rfc3339_or_none(time),
        simulated=simulated,
        ready=ready,
        owner=owner.id,
        since=rfc3339(owner.since),
    )
    return _publication(position, status, root)


def will_publication(position: Position, *, root: str, simulated: bool, owner: StreamOwner) -> Publication:
    """Return the Will: not online, without time and offset, which nobody knows in advance."""
    status = StreamStatus(
        online=False, epoch=position.epoch, simulated=simulated, owner=owner.id, since=rfc3339(owner.since)
    )
    return _publication(position, status, root)


def read_status(payload: bytes) -> StreamStatus | None:
    """Decode a status; None if the payload is none."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # RecursionError: 200,000 brackets
        return None


def _publication(position: Position, status: StreamStatus, root: str) -> Publication:
    return Publication(status_topic(root, position.stream), msgspec.json.encode(status), retain=True)
