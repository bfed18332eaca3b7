"""Shifts and production days: half-open intervals of local time in an IANA zone.

A production day is the local start date of the shift. Days of a clock change have 23 or 25 hours. Breaks, holidays and
exceptions belong here too, once the plant needs them.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict

from bridge.domain.ids import Id
from bridge.domain.utc_time import UNIX_EPOCH, Millis

DAY_MINUTES = 24 * 60


class ShiftConfig(BaseModel):
    """A daily shift in local wall time; an `end` not after `start` lies on the next day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class ShiftWindow:
    """One occurrence of a shift: [start, end) and the production day it counts for; id None outside every shift."""

    shift_id: str | None
    production_day: str
    start: Millis
    end: Millis

    @property
    def is_scheduled(self) -> bool:
        return self.shift_id is not None


@dataclass(frozen=True, slots=True)
class ShiftPlan:
    """Scheduled time: the shifts of each day in one time zone."""

    zone: ZoneInfo
    shifts: tuple[ShiftConfig, ...]

    @classmethod
    @lru_cache(maxsize=64)  # bounds the plans held in memory
    def create(cls, timezone: str, shifts: tuple[ShiftConfig, ...]) -> Self:
        """Build a plan; raise ValueError for an unknown zone or overlapping shifts."""
        try:
            zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timezone {timezone!r} is not an IANA zone") from error
        ordered = tuple(
            sorted(shifts or (ShiftConfig(id="day", start=time(0), end=time(0)),), key=lambda shift: shift.start)
        )
        for earlier, later in zip(ordered, (*ordered[1:], ordered[0]), strict=True):
            if earlier is not later and _minutes_until(earlier.start, earlier.end) > _minutes_until(
                earlier.start, later.start
            ):
                raise ValueError(f"shifts {earlier.id} and {later.id} overlap")
        return cls(zone, ordered)

    def window_at(self, at: Millis) -> ShiftWindow:
        """Return the shift that holds the instant, or the unscheduled gap between two shifts."""
        today = datetime.fromtimestamp(at // 1000, self.zone).date()
        days = (today - timedelta(days=1), today, today + timedelta(days=1))
        windows = [window for day in days for window in self._of_day(day)]
        for window in windows:
            if window.start <= at < window.end:
                return window
        before = max(window.end for window in windows if window.end <= at)
        after = min(window.start for window in windows if window.start > at)
        day = datetime.fromtimestamp(before // 1000, self.zone).date()  # the same day for every instant in the gap
        return ShiftWindow(None, day.isoformat(), before, after)

    def scheduled_after(self, at: Millis, scheduled_ms: int) -> Millis:
        """Return when `scheduled_ms` of scheduled time have passed since `at`; gaps between shifts do not count."""
        while True:
            window = self.window_at(at)
            if window.is_scheduled:
                if scheduled_ms <= window.end - at:
                    return at + scheduled_ms
                scheduled_ms -= window.end - at
            at = window.end

    def hour_at(self, at: Millis) -> tuple[Millis, Millis]:
        """Return the clock hour [start, end) of the local zone that holds the instant."""
        start = _hour_start(at // 1000, self.zone)
        return start, start + 3_600_000

    def _of_day(self, day: date) -> list[ShiftWindow]:
        return [
            ShiftWindow(
                shift.id,
                day.isoformat(),
                self._instant(day, shift.start),
                self._instant(day + timedelta(days=1) if shift.end <= shift.start else day, shift.end),
            )
            for shift in self.shifts
        ]

    def _instant(self, day: date, at: time) -> Millis:
        return (datetime.combine(day, at, self.zone) - UNIX_EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=4_096)  # all counters of a plant ask for the same seconds
def _hour_start(second: int, zone: ZoneInfo) -> Millis:
    local = datetime.fromtimestamp(second, zone)
    return (second - local.minute * 60 - local.second) * 1000


def _minutes_until(start: time, end: time) -> int:
    minutes = (end.hour - start.hour) * 60 + end.minute - start.minute
    return minutes if minutes > 0 else minutes + DAY_MINUTES
