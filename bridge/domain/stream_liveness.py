"""What a front alone hears on MQTT: hints that there is something to read, and whether its pipeline is alive.

Nothing of it is believed further than that: the journal is the truth, and a forged message costs a look at it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import msgspec

from bridge.domain.events import UNIX_EPOCH, Millis
from bridge.domain.stream_status import StreamStatus

SILENT_MS: Final = 3_000  # statuses come once a second: promise P5 gives 5 s until every dashboard is told


@dataclass(frozen=True, slots=True)
class OffsetHint:
    """There is something up to this offset, says somebody."""

    epoch: str
    offset: int


class _Envelope(msgspec.Struct):
    """The part of an event's envelope that says where it stands."""

    stream: str
    epoch: str
    offset: int


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def read_hint(payload: bytes, *, stream: str) -> OffsetHint | None:
    """The hint in a published event; None for what is no event of this stream."""
    try:
        found = _ENVELOPE.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return OffsetHint(found.epoch, found.offset) if found.stream == stream else None


@dataclass(frozen=True, slots=True)
class StreamLiveness:
    """The last status, and when it was heard, in ms of any clock that runs on. A retained one tells nothing of now.

    `owed` is the oldest offset said to be published that was not read yet when that was said, at `owed_at`.
    """

    status: StreamStatus | None = None
    received_at: Millis = 0
    unread_offset: int = 0
    unread_since: Millis = 0

    def with_status(self, status: StreamStatus, *, retained: bool, now: Millis, read_offset: int) -> Self:
        """Return what is known once this was heard, with all up to `read` delivered.

        What is retained may be of any age, and never makes it live.
        """
        if retained and status.online:
            return self
        if self.unread_offset > read_offset and self.status is not None and self.status.epoch == status.epoch:
            return type(self)(status, now, self.unread_offset, self.unread_since)
        return type(self)(status, now, status.offset or 0, now)

    @property
    def status_time(self) -> Millis | None:
        """Floor time when the pipeline said it; None where that cannot be read."""
        try:
            said = datetime.fromisoformat((self.status and self.status.time) or "")
            return round((said - UNIX_EPOCH).total_seconds() * 1_000)
        except (ValueError, TypeError, OverflowError):  # no date, without a zone, or out of range
            return None

    def not_live_reason(self, *, epoch: str, now: Millis, read_offset: int) -> str | None:
        """Return why the stream of this epoch is not live, where all up to `read` was delivered; None when it is."""
        if self.status is None or now - self.received_at >= SILENT_MS:
            return "the pipeline is silent"
        if not self.status.online:
            return "the pipeline is not there"
        if not self.status.ready:
            return "the pipeline is not ready"
        if self.status.epoch != epoch:
            return "the pipeline writes another journal than this front reads"
        if self.unread_offset > read_offset and now - self.unread_since >= SILENT_MS:
            # A copy of the journal, say, which is in order and never grows: no read of it would ever fail.
            return "what the pipeline publishes is not in the journal that this front reads"
        return None
