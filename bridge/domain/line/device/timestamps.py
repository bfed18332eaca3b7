"""The dating of reports: forms of `ts`, the clock rules, and clocks that are wrong. Source: DOMAIN, «Time»."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from bridge.domain.events import UNIX_EPOCH, Millis

ClockRule = Literal["receive", "device", "corrected"]
ClockUsed = Literal["receive", "device", "corrected", "skewed"]

CLOCK_TOLERANCE_MS: Final = 5_000  # between a clock that is right and the arrival of what it dates
LAG_CHECK_MS: Final = 60_000  # after which a lag must have become less
MAX_INSTANT: Final = 253_402_300_799_999  # the end of year 9999: no calendar goes further
MAX_SECONDS: Final = 100_000_000_000  # as ms in March 1973, as seconds in the year 5138
MAX_OFFSETS: Final = 64  # samples of the learned offset; old ones leave, so a clock that is set is learned anew


def parse_ts(ts: float | str, *, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    """Read a device's time: a number is seconds or ms by its size, text ISO 8601; naive text is local time in `zone`.

    An ambiguous local time is the fold nearest receipt, a nonexistent one is shifted forward; None: unreadable.
    """
    at = _instant(ts, zone, received_at)
    return at if at is not None and 0 <= at <= MAX_INSTANT else None


def _instant(ts: float | str, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    if isinstance(ts, int | float):
        if not abs(ts) <= MAX_INSTANT:  # also no NaN, no infinity
            return None
        return round(ts * 1000 if abs(ts) < MAX_SECONDS else ts)
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
    return (at.astimezone(UTC) - UNIX_EPOCH) // timedelta(milliseconds=1)


class ClockState(Struct):
    """What is known of a device's clock. Checkpointed."""

    offsets: list[int] = field(default_factory=list)  # the latest of (receive - device)
    skewed: bool = False
    timely_at: Millis | None = None  # when a report last arrived as soon as it was dated
    behind: tuple[Millis, Millis] | None = None  # the lag of the first report since that was late, and its arrival

    def reset_offsets(self) -> None:
        """A new boot may have set the clock: what was learned of its offset is void."""
        self.offsets.clear()

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: what was measured by it is measured anew."""
        self.offsets = [offset + by for offset in self.offsets]
        self.timely_at = None if self.timely_at is None else self.timely_at + by
        self.behind = None


class TimeSpan(NamedTuple):
    """An interval of time, both ends included."""

    since: Millis
    until: Millis


def date_report(
    ts: float | str | None,
    *,
    rule: ClockRule,
    zone: ZoneInfo,
    received_at: Millis,
    state: ClockState,
    late: bool = False,
    backlog_spans: Iterable[TimeSpan] = (),
) -> tuple[Millis, ClockUsed]:
    """Date a report by its source's clock rule; `state` learns from it.

    Where the clock cannot be right, or is unreadable: the receive time, and the clock is called skewed. `late`: the
    sequence shows that later reports came before, so nothing is learned. `absences` are the times in which reports may
    have waited for us.
    """
    if rule == "receive" or ts is None:
        return received_at, "receive"
    at = parse_ts(ts, zone=zone, received_at=received_at)
    if late:
        return _date_late_report(at, rule, received_at, state)
    if at is not None and rule == "corrected":
        state.offsets.append(received_at - at)
        del state.offsets[:-MAX_OFFSETS]
        at += min(state.offsets)  # the least delayed report shows the clocks' difference best
    if at is None or not _is_plausible(at, received_at, state, backlog_spans):
        state.skewed, state.behind = True, None
        del state.offsets[:-1]  # the clock was set: the others are of before
        return received_at, "skewed"
    return at, rule


def _date_late_report(
    at: Millis | None, rule: Literal["device", "corrected"], received_at: Millis, state: ClockState
) -> tuple[Millis, ClockUsed]:
    if at is not None and rule == "corrected":
        at = at + min(state.offsets) if state.offsets else None
    if at is None or state.skewed or at > received_at + CLOCK_TOLERANCE_MS:
        return received_at, "skewed"
    return at, rule


def _is_plausible(at: Millis, received_at: Millis, state: ClockState, absences: Iterable[TimeSpan]) -> bool:
    """Whether a report can have happened then: just now, or in a time from which reports may come late."""
    lag = received_at - at
    if abs(lag) <= CLOCK_TOLERANCE_MS:
        state.skewed, state.timely_at, state.behind = False, received_at, None
        return True
    if lag < 0 or state.skewed:  # once it was wrong, only the right time restores trust
        return False
    if any(each.since - CLOCK_TOLERANCE_MS <= at <= each.until for each in absences):
        return True
    if state.timely_at is None or at < state.timely_at - CLOCK_TOLERANCE_MS:
        return False
    if state.behind is None:
        state.behind = (lag, received_at)
    first_lag, first_at = state.behind
    waited = received_at - first_at
    # what was stored arrives faster than it happened: a lag that stays is a clock that is behind
    return waited < LAG_CHECK_MS or lag <= first_lag - waited // 2
