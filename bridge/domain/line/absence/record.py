"""What is known of an absence: the machines as they were before, and what was heard of it later.

It is the bridge's, and of every scope; or a device's, and of its own scope, or of the line's.

A report that a trusted clock dates into the stretch is a point of its history. What lies between two reports of one
machine is known where none is missing between them: by its sequence, or else because machines report once a minute.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from msgspec import Struct, field

from bridge.domain.events import LINE_LEVEL, Millis
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.downtime.stop_tracker import StopState
from bridge.domain.line.output.oee_state import TimeStretch

MAX_ABSENCES: Final = 8  # of the bridge, and of devices, that late reports may still fill in; bounds the checkpoint
MAX_POINTS: Final = 400  # changes of status in one stretch; bounds the checkpoint, and what is more stays unknown
MAX_WATCHED_POINTS: Final = 200  # from here on machines that were not away are unknown: leaves room for a backlog
MAX_UNSEQUENCED_GAP_MS: Final = 120_000  # twice the minute after which a machine reports at the latest


class StatusPoint(Struct):
    """A machine's status from an instant on."""

    at: Millis
    view: MachineView


class StateBeforeLoss(Struct):
    """One scope's watch of stops when it was lost, and the stretches whose class it may yet change."""

    stops: StopState
    recent: list[TimeStretch]
    since: Millis | None = None  # when it was lost; None: at the start


class AbsenceRecord(Struct, kw_only=True):
    start: Millis
    views: dict[str, MachineView]  # at the start, by machine
    scopes: dict[str, StateBeforeLoss]
    open_downtime: str | None
    points: list[StatusPoint] = field(default_factory=list)
    heard: dict[str, Millis] = field(default_factory=dict)  # the latest instant a machine is known at, or the start
    unheard: list[str] = field(default_factory=list)  # they have not reported since nobody watched
    doubtful: list[str] = field(default_factory=list)  # a report of theirs is missing, and no state has come since
    late: dict[str, Millis] = field(default_factory=dict)  # the latest report that came after newer ones
    back_at: Millis | None = None  # the first report since
    due: Millis | None = None  # when it is gone through
    end: Millis | None = None  # up to when it was gone through; None: not yet
    of: str | None = None  # the machine, or the line, that devices were lost of; None: nobody watched
    away: dict[str, Millis] = field(default_factory=dict)  # the devices that were lost, by when they were heard last
    stood: list[str] = field(default_factory=list)  # of the unheard, those known to stand until something else is known
    unwatched: bool = True  # nobody watched at some time of it

    @property
    def is_full(self) -> bool:
        return len(self.points) >= MAX_POINTS

    @property
    def is_waiting(self) -> bool:
        """Whether a machine is still unheard whose history decides."""
        own = self.of not in (None, LINE_LEVEL)
        return any((own or view.decides) and name in self.unheard for name, view in self.views.items())

    def absent_since(self, equipment: str) -> Millis | None:
        """Return since when reports of a device may have waited; None: it was heard all the time."""
        return self.start if self.of is None else self.away.get(equipment)

    def concerns(self, equipment: str) -> bool:
        """Return whether the reports of a machine are news of this absence."""
        return equipment in self.views and self.absent_since(equipment) is not None

    def mark_unwatched(self, names: Iterable[str], *, at: Millis) -> None:
        """Nobody watches again, before it was gone through."""
        if self.of is not None:
            for name in names:
                if name not in self.away:
                    self.away[name] = self.heard[name] = at
        for name in self.stood:
            self._put(self.heard.get(name, self.start), self._lost_view(name))
            self.heard[name] = at
        self.unwatched, self.stood = True, []
        self.unheard = sorted(self.views)
        self.back_at = self.due = None

    def mark_lost(self, name: str, *, stands: bool, heard_at: Millis, at: Millis) -> None:
        """A machine is lost, or lost again, before it was gone through."""
        if name in self.unheard:
            return
        if self.of is not None and name not in self.away:
            self.away[name], self.heard[name] = heard_at, at
        self.add_unheard(name, stands=stands)
        if not self.unwatched:
            self.back_at = self.due = None

    def add_unheard(self, name: str, *, stands: bool) -> None:
        """Note that a machine is lost; one that `stands` by what is known now does so until something else is known."""
        if stands:
            self.stood = sorted([*self.stood, name])
        self.unheard = sorted([*self.unheard, name])

    def add_watched_view(self, view: MachineView, *, at: Millis) -> None:
        """Add what is seen of a machine that is not away."""
        self._put(at, view if len(self.points) < MAX_WATCHED_POINTS else unknown_view(view))

    def last_view(self, name: str) -> MachineView:
        """Return what is known of a machine until it was heard last."""
        return next((each.view for each in reversed(self.points) if each.view.equipment == name), self.views[name])

    def contains(self, equipment: str, at: Millis) -> bool:
        """Return whether an instant is of the time in which this machine was away."""
        since = self.absent_since(equipment)
        return since is not None and min(since, self.start) <= at and (self.end is None or at < self.end)

    def is_superseded(self, equipment: str, at: Millis) -> bool:
        """Return whether more recent news of this machine is known."""
        since = self.absent_since(equipment)
        if since is None or equipment in self.unheard:
            return False
        return min(since, self.start) <= at < self.heard.get(equipment, self.start)

    def note_birth(self, name: str, *, gapless: bool) -> None:
        """Note a birth: it says nothing of the machine, but reports before it may be missing."""
        if not gapless:
            self._put(self.heard.get(name, self.start), self._lost_view(name))

    def last_known_at(self, name: str, at: Millis) -> Millis:
        """Return the latest instant not after this one that a machine is known at."""
        heard = self.heard.get(name, self.start)
        return self.late.get(name, at) if self.is_superseded(name, at) else heard

    def add_report(
        self, view: MachineView, *, at: Millis, gapless: bool, says_state: bool, current_known: bool, joins_late: bool
    ) -> None:
        """Add what a report says. `connected`: what held since the last one is known; `sure`: what holds now is.

        `joins`: by its number none is missing before it, also of what came late.
        """
        name = view.equipment
        if self.is_superseded(name, at):
            self._add_late_report(view, at=at, gapless=gapless, says_state=says_state)
            return
        self._join_late(name, gapless=joins_late)
        if not gapless:
            self._put(self.heard.get(name, self.start), self._lost_view(name))
            if not current_known:
                self.doubtful = sorted({*self.doubtful, name})
        self._take_heard(name)
        self.heard[name] = at
        if says_state and name in self.doubtful:
            self.doubtful.remove(name)
        # what is connected and says nothing of the state leaves it as it was, where that is known
        proves = view.status != "offline" and not (gapless and self.last_view(name).status != "offline")
        if name not in self.doubtful and (says_state or proves):
            self._put(at, view)

    def add_later_report(self, name: str, *, at: Millis, gapless: bool) -> bool:
        """Note a report from after the absence; return whether something of the absence is known by it.

        Where none is missing before it, what was known of its machine held to the end.
        """
        before = self.heard.get(name, self.start)
        self.heard[name] = max(at, before)
        if name not in self.unheard:
            return at >= before and self._join_late(name, gapless=gapless)
        if not gapless:
            self._put(before, self._lost_view(name))
        self._take_heard(name)
        return gapless

    def sorted_points(self, until: Millis) -> list[StatusPoint]:
        """Return every change of status in order of time, the unknown ones included."""
        lost = [StatusPoint(self.heard.get(name, self.start), self._lost_view(name)) for name in self.unheard]
        return sorted((each for each in (*self.points, *lost) if each.at < until), key=lambda point: point.at)

    def _lost_view(self, name: str) -> MachineView:
        """Return what is known of a machine after it was heard last, where reports of it may be missing."""
        last = self.last_view(name)
        return replace(unknown_view(last), stands=name in self.stood, broken=last.broken)

    def _take_heard(self, name: str) -> None:
        self.unheard = [each for each in self.unheard if each != name]
        self.stood = [each for each in self.stood if each != name]

    def _add_late_report(self, view: MachineView, *, at: Millis, gapless: bool, says_state: bool) -> None:
        """Add a point that lies before newer ones: it holds until the next that is connected to it."""
        name = view.equipment
        follows = self.late.get(name, at) <= at and self._join_late(name, gapless=gapless)
        self.late[name] = at
        newest = self.last_view(name)
        if says_state:
            self._put(at, view)
        if says_state or follows:
            self._put(at, unknown_view(view))
        self._put(self.heard.get(name, self.start), newest)

    def _join_late(self, name: str, *, gapless: bool) -> bool:
        """Let what came late hold on, where the next report lacks nothing before it; return whether it does."""
        before = self.late.pop(name, None)
        if not gapless or before is None:
            return False
        ends = StatusPoint(before, unknown_view(self.views[name]))
        if ends not in self.points:
            return False
        self.points.remove(ends)
        return True

    def _put(self, at: Millis, view: MachineView) -> None:
        """Insert behind what is known of the same instant; a view that changes nothing takes no room."""
        index = len(self.points)
        while index and self.points[index - 1].at > at:
            index -= 1
        known = [each.view for each in self.points[:index] if each.view.equipment == view.equipment]
        if (known[-1] if known else self.views[view.equipment]) != view and not self.is_full:
            self.points.insert(index, StatusPoint(at, view))


class AbsenceState(Struct):
    records: list[AbsenceRecord] = field(default_factory=list)  # the latest, oldest first

    def add(self, record: AbsenceRecord) -> None:
        self.records.append(record)
        alike = [each for each in self.records if (each.of is None) == (record.of is None)]
        oldest = [id(each) for each in alike[:-MAX_ABSENCES] if each.of is None or each.end is not None]
        self.records = [each for each in self.records if id(each) not in oldest]

    @property
    def pending(self) -> list[AbsenceRecord]:
        """Those that were not gone through yet: of one scope one at most."""
        return [each for each in self.records if each.end is None]

    def pending_of(self, scope: str) -> AbsenceRecord | None:
        """Return the one that this scope is to be gone through with."""
        return next(
            (each for each in self.pending if each.of == scope or (each.of is None and scope in each.scopes)), None
        )

    def records_at(self, equipment: str, at: Millis) -> list[AbsenceRecord]:
        """Return the absences that a machine's report of this instant is of; the latest, where it is of none."""
        followed = [each for each in self.records if each.concerns(equipment)]
        found = [each for each in followed if each.contains(equipment, at)]
        return found or [each for each in followed if each.end is None] or followed[-1:]


def unknown_view(view: MachineView) -> MachineView:
    return MachineView(
        equipment=view.equipment, status="offline", cause=None, reason_code=None, faults=(), decides=view.decides
    )
