"""What is known of a stretch that nobody watched: the machines as they were before, and what was heard of it later.

A report that a trusted clock dates into the stretch is a point of its history. What lies between two reports of one
machine is known where none is missing between them: by its sequence, or else because machines report once a minute.
"""

from typing import Final

from msgspec import Struct, field

from bridge.core.events import Millis
from bridge.core.line.culprit import MachineView
from bridge.core.line.oee_state import Stretch
from bridge.core.line.stops import StopState

ABSENCES: Final = 8  # of one line that late reports may still fill in; bounds the checkpoint
POINTS: Final = 400  # changes of status in one stretch; bounds the checkpoint, and what is more stays unknown
UNSEQUENCED_MS: Final = 120_000  # twice the minute after which a machine reports at the latest


class Point(Struct):
    """A machine's status from an instant on."""

    at: Millis
    view: MachineView


class Before(Struct):
    """One scope's watch of stops at the start, and the stretches whose class it may yet change."""

    stops: StopState
    recent: list[Stretch]


class AbsenceRecord(Struct, kw_only=True):
    start: Millis
    views: dict[str, MachineView]  # at the start, by machine
    scopes: dict[str, Before]
    open_downtime: str | None
    points: list[Point] = field(default_factory=list)
    heard: dict[str, Millis] = field(default_factory=dict)  # the latest instant a machine is known at, or the start
    unheard: list[str] = field(default_factory=list)  # they have not reported since nobody watched
    doubtful: list[str] = field(default_factory=list)  # a report of theirs is missing, and no state has come since
    late: dict[str, Millis] = field(default_factory=dict)  # the latest report that came after newer ones
    back_at: Millis | None = None  # the first report since
    due: Millis | None = None  # when it is gone through
    end: Millis | None = None  # up to when it was gone through; None: not yet

    @property
    def full(self) -> bool:
        return len(self.points) >= POINTS

    def lose_all(self) -> None:
        """Nobody watched again, before it was gone through."""
        self.unheard = sorted(self.views)
        self.back_at = self.due = None

    def is_older(self, equipment: str, at: Millis) -> bool:
        """Return whether more recent news of this machine is known."""
        return self.start <= at < self.heard.get(equipment, self.start) and equipment not in self.unheard

    def note(self, view: MachineView, *, at: Millis, connected: bool, says_state: bool, sure: bool) -> None:
        """Add what a report says. `connected`: what held since the last one is known; `sure`: what holds now is."""
        name, at = view.equipment, max(at, self.start)
        if self.is_older(name, at):
            self._note_late(view, at=at, connected=connected)
            return
        if not connected:
            self._put(self.heard.get(name, self.start), unknown_view(view))
            if not sure:
                self.doubtful = sorted({*self.doubtful, name})
        if name in self.unheard:
            self.unheard.remove(name)
        self.heard[name] = at
        if says_state and name in self.doubtful:
            self.doubtful.remove(name)
        # what is connected and says nothing of the state leaves it as it was
        if name not in self.doubtful and (says_state or view.status != "offline"):
            self._put(at, view)

    def note_after(self, name: str, *, at: Millis, connected: bool) -> bool:
        """Note a report from after the absence; return whether something of the absence is known by it.

        Where none is missing before it, what was known of its machine held to the end.
        """
        before = self.heard.get(name, self.start)
        self.heard[name] = max(at, before)
        if name not in self.unheard:
            return False
        self.unheard.remove(name)
        if not connected:
            self._put(before, unknown_view(self.views[name]))
        return connected

    def timeline(self, until: Millis) -> list[Point]:
        """Return every change of status in order of time, the unknown ones included."""
        lost = [Point(self.heard.get(name, self.start), unknown_view(self.views[name])) for name in self.unheard]
        return sorted((each for each in (*self.points, *lost) if each.at < until), key=lambda point: point.at)

    def _note_late(self, view: MachineView, *, at: Millis, connected: bool) -> None:
        """Add a point that lies before newer ones: it holds until the next that is connected to it."""
        name = view.equipment
        before = self.late.get(name)
        if connected and before is not None and before <= at:
            ends = Point(before, unknown_view(view))
            if ends in self.points:
                self.points.remove(ends)
        self.late[name] = at
        self._put(at, view)
        self._put(at, unknown_view(view))

    def _put(self, at: Millis, view: MachineView) -> None:
        """Insert behind what is known of the same instant; a view that changes nothing takes no room."""
        index = len(self.points)
        while index and self.points[index - 1].at > at:
            index -= 1
        known = [each.view for each in self.points[:index] if each.view.equipment == view.equipment]
        if (known[-1] if known else self.views[view.equipment]) != view and not self.full:
            self.points.insert(index, Point(at, view))


class AbsenceState(Struct):
    records: list[AbsenceRecord] = field(default_factory=list)  # the latest, oldest first

    def add(self, record: AbsenceRecord) -> None:
        self.records.append(record)
        del self.records[:-ABSENCES]

    @property
    def pending(self) -> AbsenceRecord | None:
        """The one that was not gone through yet: always the latest."""
        return self.records[-1] if self.records and self.records[-1].end is None else None

    def holding(self, at: Millis) -> AbsenceRecord | None:
        """Return the absence that a report of this instant is of; the latest, where it is of none."""
        found = (each for each in self.records if each.start <= at and (each.end is None or at < each.end))
        return next(found, self.records[-1] if self.records else None)


def unknown_view(view: MachineView) -> MachineView:
    return MachineView(
        equipment=view.equipment, status="offline", cause=None, reason_code=None, faults=(), decides=view.decides
    )
