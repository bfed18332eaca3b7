"""Dating of reports: formats of `ts`, clock rules, and wrong clocks. Source: domain.md, «Time»."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from bridge.domain.utc_time import UNIX_EPOCH, Millis

ClockRule = Literal["receive", "device", "corrected"]
ClockUsed = Literal["receive", "device", "corrected", "skewed"]
TRUSTED_CLOCKS: Final[frozenset[ClockUsed]] = frozenset({"device", "corrected"})

CLOCK_TOLERANCE_MS: Final = 5_000  # between a right clock's `ts` and the arrival of the report
LAG_CHECK_MS: Final = 60_000  # after which a lag must have shrunk
MAX_INSTANT: Final = 253_402_300_799_999  # the end of year 9999: no calendar goes further
MAX_SECONDS: Final = 100_000_000_000  # smaller numbers are seconds; as ms it is March 1973, as seconds the year 5138
MAX_OFFSETS: Final = 64  # offset samples kept; old ones drop out, so a clock that was set is learned again


def parse_ts(ts: float | str, *, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    """Parse a device's time; return None if it is unreadable.

    A number is seconds or ms by its size, text is ISO 8601; naive text is local time in `zone`. An ambiguous local time
    resolves to the fold nearest receipt, a nonexistent one is shifted forward.
    """
    at = _instant(ts, zone, received_at)
    return at if at is not None and 0 <= at <= MAX_INSTANT else None


def _instant(ts: float | str, zone: ZoneInfo, received_at: Millis) -> Millis | None:
    if isinstance(ts, int | float):
        if not abs(ts) <= MAX_INSTANT:  # also rejects NaN and infinity
            return None
        return round(ts * 1000 if abs(ts) < MAX_SECONDS else ts)
    try:
        parsed = datetime.fromisoformat(ts.strip())
        if parsed.tzinfo is not None:
            return _millis(parsed)
        earlier, later = (_millis(parsed.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    except (ValueError, OverflowError):
        return None
    if earlier > later:  # in the gap of a clock change, read with the offset before it: shifted forward
        return earlier
    return min((earlier, later), key=lambda at: abs(at - received_at))


def _millis(at: datetime) -> Millis:
    return (at.astimezone(UTC) - UNIX_EPOCH) // timedelta(milliseconds=1)


class ClockState(Struct):
    """State of a device's clock. Checkpointed."""

    offsets: list[int] = field(default_factory=list)  # the latest of (receive - device)
    skewed: bool = False
    timely_at: Millis | None = None  # when a report last arrived within the tolerance of its `ts`
    behind: tuple[Millis, Millis] | None = None  # lag and arrival of the first late report since then

    def reset_offsets(self) -> None:
        """Discard the learned offset: a new boot may have set the clock."""
        self.offsets.clear()

    def set_forward(self, by: Millis) -> None:
        """Shift by a forward jump of the host's clock; the lag is measured again."""
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
    """Date a report by its source's clock rule, and update `state`.

    If the clock cannot be right or `ts` is unreadable, return the receive time and `skewed`. `late`: later reports
    arrived before, so nothing is learned. `backlog_spans`: when reports may have waited for the bridge.
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
        del state.offsets[:-1]  # the clock was set: the others are outdated
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


def _is_plausible(at: Millis, received_at: Millis, state: ClockState, spans: Iterable[TimeSpan]) -> bool:
    """Return whether a report can date from `at`: just now, or a time from which reports may arrive late."""
    lag = received_at - at
    if abs(lag) <= CLOCK_TOLERANCE_MS:
        state.skewed, state.timely_at, state.behind = False, received_at, None
        return True
    if lag < 0 or state.skewed:  # once it was wrong, only the right time restores trust
        return False
    if any(span.since - CLOCK_TOLERANCE_MS <= at <= span.until for span in spans):
        return True
    if state.timely_at is None or at < state.timely_at - CLOCK_TOLERANCE_MS:
        return False
    if state.behind is None:
        state.behind = (lag, received_at)
    first_lag, first_at = state.behind
    waited = received_at - first_at
    # a backlog arrives faster than it was recorded: a lag that stays means a clock that is behind
    return waited < LAG_CHECK_MS or lag <= first_lag - waited // 2
