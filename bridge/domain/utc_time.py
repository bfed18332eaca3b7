"""Instants in UTC: milliseconds since the Unix epoch inside the bridge, RFC 3339 strings in events."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta

Millis = int
"""Milliseconds since the Unix epoch, UTC."""

Timestamp = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""An RFC 3339 string with milliseconds, UTC."""

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at: Millis) -> Timestamp:
    """Format an instant as RFC 3339 UTC with milliseconds: `2026-01-05T06:00:00.000Z`."""
    return f"{_format_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=4_096)  # thousands of events share a second, and the starts of shifts and hours
def _format_second(second: int) -> str:
    return (UNIX_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339_or_none(at: Millis | None) -> Timestamp | None:
    return None if at is None else rfc3339(at)


def parse_rfc3339(text: Timestamp) -> Millis:
    """Return the instant of a text as `rfc3339` writes it; raise ValueError."""
    return (datetime.fromisoformat(text) - UNIX_EPOCH) // timedelta(milliseconds=1)
