"""Records of absences: the machines' views before each, and its history from later reports.

An absence of the bridge covers every scope; one of devices covers a machine's own scope, or the line's.

A report that a trusted clock dates into the absence is a point of its history. The time between two reports of one
machine is known if no report is missing between them. Sequence numbers show that; without them, the rule that machines
report once a minute does.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.downtime.stop_tracker import StopState
from bridge.domain.line.output.oee_state import TimeStretch
from bridge.domain.place import LINE_LEVEL
from bridge.domain.utc_time import Millis

MAX_ABSENCES: Final = 8  # per kind (bridge, devices), open to late reports; bounds the checkpoint
MAX_POINTS: Final = 400  # status changes in one absence; bounds the checkpoint, the rest stays unknown
MAX_WATCHED_POINTS: Final = 200  # beyond it, machines that were not absent become unknown: leaves room for a backlog
MAX_UNSEQUENCED_GAP_MS: Final = 120_000  # twice the longest report interval of a machine, one minute


class StatusPoint(Struct):
    """A machine's status from an instant on."""

    at: Millis
    view: MachineView


class StateBeforeLoss(Struct):
    """One scope's stop state when it was lost, and the stretches whose class may still change."""

    stops: StopState
    recent: list[TimeStretch]
    since: Millis | None = None  # when it was lost; None: at the absence's start


class AbsenceRecord(
    Struct,
    kw_only=True,
    rename={
        "known_until": "heard",
        "silent_machines": "unheard",
        "first_report_at": "back_at",
        "scope": "of",
        "lost_devices": "away",
        "assumed_stopped": "stood",
    },
):
    """An absence of a line or of a device, until the reports of its time have filled it in."""

    start: Millis
    views: dict[str, MachineView]  # at the start, by machine
    scopes: dict[str, StateBeforeLoss]
    open_downtime: str | None
    points: list[StatusPoint] = field(default_factory=list)
    known_until: dict[str, Millis] = field(default_factory=dict)  # latest instant of known status; default: `start`
    silent_machines: list[str] = field(default_factory=list)  # machines that have not reported since they were lost
    doubtful: list[str] = field(default_factory=list)  # machines with a missing report and no state report since
    late: dict[str, Millis] = field(default_factory=dict)  # the latest report that arrived after newer ones
    first_report_at: Millis | None = None  # arrival of the first report since
    due: Millis | None = None  # when it is rebuilt
    end: Millis | None = None  # where its rebuild ended; None: not rebuilt yet
    scope: str | None = None  # the machine or line whose devices were lost; None: the bridge's absence
    lost_devices: dict[str, Millis] = field(default_factory=dict)  # lost devices, and when each last reported
    assumed_stopped: list[str] = field(default_factory=list)  # those of `silent_machines` that count as stopped
    unwatched: bool = True  # the bridge did not observe some part of it

    @property
    def is_full(self) -> bool:
        return len(self.points) >= MAX_POINTS

    @property
    def is_waiting(self) -> bool:
        """Return whether a machine whose history decides has not reported yet."""
        own = self.scope not in (None, LINE_LEVEL)
        return any((own or view.decides) and name in self.silent_machines for name, view in self.views.items())

    def absent_since(self, equipment: str) -> Millis | None:
        """Return since when reports of a device may have been queued; None: it was never absent."""
        return self.start if self.scope is None else self.lost_devices.get(equipment)

    def concerns(self, equipment: str) -> bool:
        """Return whether reports of a machine add to this absence."""
        return equipment in self.views and self.absent_since(equipment) is not None

    def mark_unwatched(self, names: Iterable[str], *, at: Millis) -> None:
        """Mark all its machines as lost: the bridge stopped observing before the rebuild."""
        if self.scope is not None:
            for name in names:
                if name not in self.lost_devices:
                    self.lost_devices[name] = self.known_until[name] = at
        for name in self.assumed_stopped:
            self._insert_point(self.known_until.get(name, self.start), self._lost_view(name))
            self.known_until[name] = at
        self.unwatched, self.assumed_stopped = True, []
        self.silent_machines = sorted(self.views)
        self.first_report_at = self.due = None

    def mark_lost(self, name: str, *, known_stopped: bool, last_report_at: Millis, at: Millis) -> None:
        """Mark a machine as lost, or lost again, before the rebuild."""
        if name in self.silent_machines:
            return
        if self.scope is not None and name not in self.lost_devices:
            self.lost_devices[name], self.known_until[name] = last_report_at, at
        self.add_silent_machine(name, known_stopped=known_stopped)
        if not self.unwatched:
            self.first_report_at = self.due = None

    def add_silent_machine(self, name: str, *, known_stopped: bool) -> None:
        """Add a machine that was lost; if `known_stopped`, it counts as stopped until it reports."""
        if known_stopped:
            self.assumed_stopped = sorted([*self.assumed_stopped, name])
        self.silent_machines = sorted([*self.silent_machines, name])

    def add_watched_view(self, view: MachineView, *, at: Millis) -> None:
        """Add the view of a machine that is not absent."""
        self._insert_point(at, view if len(self.points) < MAX_WATCHED_POINTS else unknown_view(view))

    def last_view(self, name: str) -> MachineView:
        """Return a machine's last known view."""
        return next((point.view for point in reversed(self.points) if point.view.equipment == name), self.views[name])

    def contains(self, equipment: str, at: Millis) -> bool:
        """Return whether the machine was absent at an instant."""
        since = self.absent_since(equipment)
        return since is not None and min(since, self.start) <= at and (self.end is None or at < self.end)

    def is_superseded(self, equipment: str, at: Millis) -> bool:
        """Return whether newer data of the machine is known."""
        since = self.absent_since(equipment)
        if since is None or equipment in self.silent_machines:
            return False
        return min(since, self.start) <= at < self.known_until.get(equipment, self.start)

    def record_birth(self, name: str, *, gapless: bool) -> None:
        """Record a birth: it does not give the machine's status, but reports before it may be missing."""
        if not gapless:
            self._insert_point(self.known_until.get(name, self.start), self._lost_view(name))

    def last_known_at(self, name: str, at: Millis) -> Millis:
        """Return the latest instant, not after `at`, at which a machine's status is known."""
        known_until = self.known_until.get(name, self.start)
        return self.late.get(name, at) if self.is_superseded(name, at) else known_until

    def add_report(
        self,
        view: MachineView,
        *,
        at: Millis,
        gapless: bool,
        has_state: bool,
        current_known: bool,
        proven_gapless: bool,
    ) -> None:
        """Add a report's view. `gapless`: the status since the last report is known; `current_known`: that of now is.

        `proven_gapless`: its sequence number shows that no report is missing before it, late ones included.
        """
        name = view.equipment
        if self.is_superseded(name, at):
            self._add_late_report(view, at=at, gapless=gapless, has_state=has_state)
            return
        self._extend_late_point(name, gapless=proven_gapless)
        if not gapless:
            self._insert_point(self.known_until.get(name, self.start), self._lost_view(name))
            if not current_known:
                self.doubtful = sorted({*self.doubtful, name})
        self._remove_silent_machine(name)
        self.known_until[name] = at
        if has_state and name in self.doubtful:
            self.doubtful.remove(name)
        # a gapless report without a state leaves a known status unchanged
        proves_status = view.status != "offline" and not (gapless and self.last_view(name).status != "offline")
        if name not in self.doubtful and (has_state or proves_status):
            self._insert_point(at, view)

    def add_later_report(self, name: str, *, at: Millis, gapless: bool) -> bool:
        """Record a report from after the absence; return whether it makes part of the absence known.

        If no report is missing before it, the machine's last known status held to the end.
        """
        known_until = self.known_until.get(name, self.start)
        self.known_until[name] = max(at, known_until)
        if name not in self.silent_machines:
            return at >= known_until and self._extend_late_point(name, gapless=gapless)
        if not gapless:
            self._insert_point(known_until, self._lost_view(name))
        self._remove_silent_machine(name)
        return gapless

    def sorted_points(self, until: Millis) -> list[StatusPoint]:
        """Return every status change before `until` in time order, including those to unknown."""
        lost_points = [
            StatusPoint(self.known_until.get(name, self.start), self._lost_view(name)) for name in self.silent_machines
        ]
        return sorted((point for point in (*self.points, *lost_points) if point.at < until), key=lambda point: point.at)

    def _lost_view(self, name: str) -> MachineView:
        """Return a machine's view after its last report, for a time in which reports may be missing."""
        last = self.last_view(name)
        return replace(unknown_view(last), known_stopped=name in self.assumed_stopped, broken=last.broken)

    def _remove_silent_machine(self, name: str) -> None:
        self.silent_machines = [other for other in self.silent_machines if other != name]
        self.assumed_stopped = [other for other in self.assumed_stopped if other != name]

    def _add_late_report(self, view: MachineView, *, at: Millis, gapless: bool, has_state: bool) -> None:
        """Add a point older than known ones; it holds until the next report that follows it without a gap."""
        name = view.equipment
        follows = self.late.get(name, at) <= at and self._extend_late_point(name, gapless=gapless)
        self.late[name] = at
        newest_view = self.last_view(name)
        if has_state:
            self._insert_point(at, view)
        if has_state or follows:
            self._insert_point(at, unknown_view(view))
        self._insert_point(self.known_until.get(name, self.start), newest_view)

    def _extend_late_point(self, name: str, *, gapless: bool) -> bool:
        """Extend the last late point if no report is missing before the next; return whether it was extended."""
        late_at = self.late.pop(name, None)
        if not gapless or late_at is None:
            return False
        end_point = StatusPoint(late_at, unknown_view(self.views[name]))
        if end_point not in self.points:
            return False
        self.points.remove(end_point)
        return True

    def _insert_point(self, at: Millis, view: MachineView) -> None:
        """Insert after known points of the same instant; a view that changes nothing is not stored."""
        index = len(self.points)
        while index and self.points[index - 1].at > at:
            index -= 1
        views = [point.view for point in self.points[:index] if point.view.equipment == view.equipment]
        if (views[-1] if views else self.views[view.equipment]) != view and not self.is_full:
            self.points.insert(index, StatusPoint(at, view))


class AbsenceState(Struct):
    """The latest absences of the bridge and of devices; checkpointed."""

    records: list[AbsenceRecord] = field(default_factory=list)  # the latest, oldest first

    def add(self, record: AbsenceRecord) -> None:
        self.records.append(record)
        same_kind = [other for other in self.records if (other.scope is None) == (record.scope is None)]
        dropped = [id(other) for other in same_kind[:-MAX_ABSENCES] if other.scope is None or other.end is not None]
        self.records = [other for other in self.records if id(other) not in dropped]

    @property
    def pending(self) -> list[AbsenceRecord]:
        """The absences not rebuilt yet, at most one per scope."""
        return [record for record in self.records if record.end is None]

    def pending_of(self, scope: str) -> AbsenceRecord | None:
        """Return the pending absence in which this scope will be rebuilt."""
        return next(
            (
                record
                for record in self.pending
                if record.scope == scope or (record.scope is None and scope in record.scopes)
            ),
            None,
        )

    def records_at(self, equipment: str, at: Millis) -> list[AbsenceRecord]:
        """Return the absences that contain a machine's report; else its pending ones, else its latest one."""
        concerned = [record for record in self.records if record.concerns(equipment)]
        containing = [record for record in concerned if record.contains(equipment, at)]
        return containing or [record for record in concerned if record.end is None] or concerned[-1:]


def unknown_view(view: MachineView) -> MachineView:
    return MachineView(
        equipment=view.equipment, status="offline", cause=None, reason_code=None, faults=(), decides=view.decides
    )
