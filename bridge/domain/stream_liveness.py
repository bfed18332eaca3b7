"""Liveness of a stream as a front sees it on MQTT: hints that there are events to read, and the pipeline's status.

MQTT is not trusted beyond that: the journal is the truth, and a forged message costs one read of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import msgspec

from bridge.domain.stream_status import StreamStatus
from bridge.domain.utc_time import UNIX_EPOCH, Millis

SILENT_MS: Final = 3_000  # statuses come once a second; promise P5: every dashboard knows within 5 s
LINK_POLL_SECONDS: Final = 0.25  # delay of a changed link state: within 5 s (P5) with two keepalives, or `SILENT_MS`


@dataclass(frozen=True, slots=True)
class OffsetHint:
    """An unverified hint that there are events up to this offset."""

    epoch: str
    offset: int


class _Envelope(msgspec.Struct):
    """The fields of an event's envelope that give its position."""

    stream: str
    epoch: str
    offset: int


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def read_hint(payload: bytes, *, stream: str) -> OffsetHint | None:
    """Return the hint in a published event; None if it is no event of this stream."""
    try:
        envelope = _ENVELOPE.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return OffsetHint(envelope.epoch, envelope.offset) if envelope.stream == stream else None


@dataclass(frozen=True, slots=True)
class StreamLiveness:
    """The last status, and when it was received, in ms of any monotonic clock. A retained one is no proof of life.

    `unread_offset` is the oldest offset reported as published but not read yet; it was reported at `unread_since`.
    """

    status: StreamStatus | None = None
    received_at: Millis = 0
    unread_offset: int = 0
    unread_since: Millis = 0

    def with_status(self, status: StreamStatus, *, retained: bool, now: Millis, read_offset: int) -> Self:
        """Return the liveness after this status was received, with everything up to `read_offset` delivered.

        A retained status may be of any age, so it never makes the stream live.
        """
        if retained and status.online:
            return self
        if self.unread_offset > read_offset and self.status is not None and self.status.epoch == status.epoch:
            return type(self)(status, now, self.unread_offset, self.unread_since)
        return type(self)(status, now, status.offset or 0, now)

    @property
    def status_time(self) -> Millis | None:
        """Return the floor time in the status; None if it cannot be parsed."""
        try:
            time = datetime.fromisoformat((self.status and self.status.time) or "")
            return round((time - UNIX_EPOCH).total_seconds() * 1_000)
        except (ValueError, TypeError, OverflowError):  # no date, without a zone, or out of range
            return None

    def not_live_reason(self, *, epoch: str, now: Millis, read_offset: int) -> str | None:
        """Return why the stream is not live, with everything up to `read_offset` delivered; None when it is live."""
        if self.status is None or now - self.received_at >= SILENT_MS:
            return "the pipeline is silent"
        if not self.status.online:
            return "the pipeline is offline"
        if not self.status.ready:
            return "the pipeline is not ready"
        if self.status.epoch != epoch:
            return "the pipeline writes a different journal than this front reads"
        if self.unread_offset > read_offset and now - self.unread_since >= SILENT_MS:
            # For example a copy of the journal: it is valid and never grows, so no read of it fails.
            return "published events are missing in the journal that this front reads"
        return None
