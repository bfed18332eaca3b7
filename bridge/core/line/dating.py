"""When a report happened: the forms of `ts`, and the three clock rules. Source: DOMAIN, «Time»."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from bridge.core.events import EPOCH, Millis

ClockRule = Literal["receive", "device", "corrected"]
ClockUsed = Literal["receive", "device", "corrected", "skewed"]

MAX_AHEAD_MS: Final = 5_000
LAST_INSTANT: Final = 253_402_300_799_999  # the end of year 9999: no calendar goes further
SECONDS_BELOW: Final = 100_000_000_000  # as ms in March 1973, as seconds in the year 5138
OFFSETS: Final = 64  # samples of the learned offset; old ones leave, so a clock that is set is learned anew


def read_ts(ts: float | str, *, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    """Read a device's time: a number is seconds or ms by its size, text ISO 8601; naive text is local time in `zone`.

    An ambiguous local time is the fold nearest receipt, a nonexistent one is shifted forward; None: unreadable.
    """
    at = _instant(ts, zone, received_at)
    return at if at is not None and 0 <= at <= LAST_INSTANT else None


def _instant(ts: float | str, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    if isinstance(ts, int | float):
        if not abs(ts) <= LAST_INSTANT:  # also no NaN, no infinity
            return None
        return round(ts * 1000 if abs(ts) < SECONDS_BELOW else ts)
    try:
        read = datetime.fromisoformat(ts.strip())
        if read.tzinfo is not None:
            return _millis(read)
        earlier, later = (_millis(read.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    except (ValueError, OverflowError):
        return None
    if earlier > later:  # in the gap of a clock change, read with the offset before it: shifted forward
        return earlier
    return min((earlier, later), key=lambda at: abs(at - received_at))


def _millis(at: datetime) -> Millis:
    return (at.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)


def date(
    ts: float | str | None, *, rule: ClockRule, zone: ZoneInfo, received_at: Millis, offsets: list[int]
) -> tuple[Millis, ClockUsed]:
    """Date a report by its source's clock rule; `offsets` are the latest (receive - device) and get one more.

    Ahead of receipt by more than 5 s, or unreadable: the receive time, and the clock is called skewed.
    """
    if rule == "receive" or ts is None:
        return received_at, "receive"
    at = read_ts(ts, zone=zone, received_at=received_at)
    if at is None:
        return received_at, "skewed"
    if rule == "corrected":
        offsets.append(received_at - at)
        del offsets[:-OFFSETS]
        return at + min(offsets), "corrected"  # the least delayed report shows the clocks' difference best
    if at > received_at + MAX_AHEAD_MS:
        return received_at, "skewed"
    return at, "device"
