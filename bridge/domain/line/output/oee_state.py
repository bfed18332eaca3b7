"""OEE state of one scope: its windows, and the stretches of time whose class may still change."""

from typing import Final, Self

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.line.downtime.stop_tracker import StopState
from bridge.domain.line.output.oee_window import OeeWindow, Ratios, TimeClass, WindowKind, oee_flags
from bridge.domain.utc_time import Millis

MAX_UNKNOWN_STRETCHES: Final = 64  # kept to set pieces apart and to fill in later; bounds the checkpoint
MAX_UNATTRIBUTED: Final = 64  # stretches of unknown time whose pieces may count later
MAX_RECENT_STRETCHES: Final = (
    64  # stretches since a stop began: bounds what jobs that start and end during one can store
)
MAX_DOWN_STRETCHES: Final = (
    200  # where a confirmed stop is looked up; about two for each downtime that may be confirmed
)


class TimeStretch(Struct):
    """[start, end) of one class, while one job ran or none."""

    start: Millis
    end: Millis
    time_class: TimeClass
    job_id: str | None


class UnattributedPieces(Struct):
    """Pieces of a stretch of unknown time, inside one window of each kind."""

    start: Millis
    end: Millis
    total: int
    good: int
    ideal_cycle: float | None
    assumed: bool


class LastEmitted(Struct):
    """Last emitted values of a window, to detect whether it has moved."""

    start: Millis
    oee: float | None
    availability: float | None
    performance: float | None
    quality: float | None
    flags: list[str]
    unknown_ms: int = 0

    @classmethod
    def of(cls, window: OeeWindow, ratios: Ratios) -> Self:
        return cls(
            start=window.start,
            oee=ratios.oee,
            availability=ratios.availability,
            performance=ratios.performance,
            quality=ratios.quality,
            flags=list(oee_flags(window, ratios)),
            unknown_ms=window.unknown_ms,
        )

    def differs_from(self, window: OeeWindow, ratios: Ratios, *, step: float) -> bool:
        """Return whether a ratio moved by at least the step, gained or lost its value, or whether a flag changed."""
        return self.flags != oee_flags(window, ratios) or any(
            (before is None) != (now is None)
            or (before is not None and now is not None and abs(before - now) >= step - 1e-12)
            for before, now in (
                (self.oee, ratios.oee),
                (self.availability, ratios.availability),
                (self.performance, ratios.performance),
                (self.quality, ratios.quality),
            )
        )


class OeeState(Struct, rename={"last_emitted": "told", "device_offline": "away", "unattributed": "apart"}):
    """OEE windows of a line or machine, and the times that later reports may still change; checkpointed."""

    stops: StopState = field(default_factory=StopState)
    at: Millis = 0  # time is accumulated up to here
    shift_id: str | None = None
    checked_at: Millis = 0
    ideal_cycle: float | None = None
    windows: dict[WindowKind, OeeWindow] = field(default_factory=dict)
    closed: dict[WindowKind, list[OeeWindow]] = field(default_factory=dict)  # the latest, oldest first
    jobs: dict[str, OeeWindow] = field(default_factory=dict)  # by job id, oldest first
    recent: list[TimeStretch] = field(default_factory=list)
    down: list[TimeStretch] = field(default_factory=list)  # time that downtimes took, by job
    excluded: list[TimeStretch] = field(default_factory=list)  # of it, taken out of the plan by confirmed downtimes
    unknown_until: Millis = 0  # the clock was set forward to here: the time between did not pass
    unwatched: bool = False  # the bridge is absent: time outside the plan is unknown too, as the line may run in it
    device_offline: bool = False  # the same, as a deciding device is offline; alone, the bridge is present
    unknown: list[TimeStretch] = field(default_factory=list)  # the latest, oldest first; also `off` time of absences
    provisional: list[TimeStretch] = field(default_factory=list)  # known time that offline devices may still change
    unattributed: list[UnattributedPieces] = field(default_factory=list)
    last_emitted: dict[WindowKind, LastEmitted] = field(default_factory=dict)

    @property
    def past_windows(self) -> list[OeeWindow]:
        return [*(window for windows in self.closed.values() for window in windows), *self.jobs.values()]

    @property
    def all_windows(self) -> list[OeeWindow]:
        return [*self.windows.values(), *self.past_windows]

    def windows_containing(self, start: Millis, end: Millis) -> list[OeeWindow]:
        """Return the windows that hold [start, end)."""
        return [window for window in self.all_windows if window.contains(start, end)]

    def reclassify(self, old: TimeClass, new: TimeClass, stretch: TimeStretch) -> None:
        """Move a stretch from class `old` to `new`, in every window it lies in."""
        for window in self.all_windows:
            if window.kind == "job" and window.job_id != stretch.job_id:
                continue
            moved = window.overlap_ms(stretch.start, stretch.end)
            window.add_time(old, -moved)
            window.add_time(new, moved)

    def add_down(self, stretch: TimeStretch) -> None:
        """Remember the time of a downtime: a confirmed one may leave the planned time."""
        down = self.down
        if down and (down[-1].end, down[-1].job_id) == (stretch.start, stretch.job_id):
            down[-1].end = stretch.end
        else:
            down.append(TimeStretch(stretch.start, stretch.end, TimeClass.DOWN, stretch.job_id))
            down.sort(key=lambda other: other.start)
            del down[:-MAX_DOWN_STRETCHES]

    def remove_down(self, start: Millis, end: Millis) -> None:
        """Remove time that was no downtime after all."""
        self.down = subtract_interval(self.down, start, end)

    def add_elapsed(self, stretch: TimeStretch) -> None:
        """Remember elapsed time whose class may still change."""
        time_class, mark = stretch.time_class, self.stops.mark
        if time_class is TimeClass.UNKNOWN or (time_class is TimeClass.OFF and (self.unwatched or self.device_offline)):
            add_stretch(self.unknown, replace(stretch), limit=MAX_UNKNOWN_STRETCHES)
        elif self.device_offline and time_class in (TimeClass.BUSY, TimeClass.DOWN):
            add_stretch(self.provisional, replace(stretch), limit=MAX_UNKNOWN_STRETCHES)
        if time_class is TimeClass.DOWN:
            self.add_down(stretch)
        if mark is None:
            self.recent.clear()
        else:  # the stop's or restart's own time may still change its class
            self.recent = [other for other in self.recent if other.end > mark]
            add_stretch(self.recent, replace(stretch, start=max(stretch.start, mark)), limit=MAX_RECENT_STRETCHES)

    def add_unknown(self, stretch: TimeStretch) -> None:
        """Insert unknown time that lies before the latest."""
        self.unknown = sorted([*self.unknown, stretch], key=lambda other: other.start)[-MAX_UNKNOWN_STRETCHES:]

    def mark_provisional_down(self, start: Millis) -> None:
        """Class provisional busy time from `start` on as down: its stop turned out to be a downtime."""
        for stretch in self.provisional:
            if stretch.start >= start and stretch.time_class is TimeClass.BUSY:
                stretch.time_class = TimeClass.DOWN

    def exclude(self, start: Millis, end: Millis) -> None:
        """Take the down time of [start, end) out of the planned time."""
        for stretch in self.down:
            part = TimeStretch(max(stretch.start, start), min(stretch.end, end), stretch.time_class, stretch.job_id)
            if part.start < part.end:
                self.reclassify(TimeClass.DOWN, TimeClass.OFF, part)
                self.excluded.append(part)
        del self.excluded[:-MAX_DOWN_STRETCHES]
        self.provisional = subtract_interval(self.provisional, start, end)

    def include(self, start: Millis, end: Millis) -> None:
        """Put back, once, what was taken out of [start, end)."""
        restored = [stretch for stretch in self.excluded if start <= stretch.start < end]
        self.excluded = [stretch for stretch in self.excluded if stretch not in restored]
        for part in restored:
            self.reclassify(TimeClass.OFF, TimeClass.DOWN, part)

    def add_unattributed(self, pieces: UnattributedPieces, *, bounds: frozenset[Millis]) -> None:
        """Keep pieces of unknown time; merge them with adjacent ones in the same windows."""
        if self.unattributed:
            last = self.unattributed[-1]
            same = (last.ideal_cycle, last.assumed) == (pieces.ideal_cycle, pieces.assumed)
            if same and last.end >= pieces.start >= last.start and pieces.start not in bounds:
                last.end = max(last.end, pieces.end)
                last.total += pieces.total
                last.good += pieces.good
                return
        self.unattributed.append(pieces)
        del self.unattributed[:-MAX_UNATTRIBUTED]


def subtract_interval(stretches: list[TimeStretch], start: Millis, end: Millis) -> list[TimeStretch]:
    """Return the parts of the stretches outside [start, end)."""
    kept: list[TimeStretch] = []
    for stretch in stretches:
        for left, right in ((stretch.start, min(stretch.end, start)), (max(stretch.start, end), stretch.end)):
            if left < right:
                kept.append(TimeStretch(left, right, stretch.time_class, stretch.job_id))
    return kept


def add_stretch(stretches: list[TimeStretch], stretch: TimeStretch, *, limit: int) -> None:
    """Append a stretch; merge it with the last one if adjacent and of the same class and job."""
    last = stretches[-1] if stretches else None
    if last and (last.end, last.job_id, last.time_class) == (stretch.start, stretch.job_id, stretch.time_class):
        last.end = stretch.end
        return
    stretches.append(stretch)
    del stretches[:-limit]
