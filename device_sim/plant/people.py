"""The people of a line: they raise and answer Andon calls, and sometimes forget one or raise one by mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device_sim.plant.station import Station
from device_sim.plant_file import AndonType, LineSpec, PeopleSpec
from device_sim.reports import DeviceReport, ReportContent
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis

UNPROMPTED_CALLS: Final[Sequence[tuple[AndonType, str]]] = (
    ("process", "settings to be checked"),
    ("maintenance", "unusual noise"),
    ("material", "pallet to be changed"),
    ("safety", "spill on the walkway"),
)
CORD_RESET_SECONDS: Final = (5, 20)  # from resolving a call to resetting its cord
LONG_STOP: Final = 5 * MINUTE  # by then the bridge has raised an automatic call for the machine
BUTTON_HOLD: Final = SECOND  # how long a button is held down


@dataclass(frozen=True, slots=True)
class CallCause:
    """A reason to call; `about` is the id of a machine, or another subject."""

    andon_type: AndonType
    about: str
    description: str


class CallStage(StrEnum):
    """Stages of a call; people press the action that leads to the next."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    ARRIVED = "arrived"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


NEXT: Final = {
    "acknowledge": CallStage.ACKNOWLEDGED,
    "arrive": CallStage.ARRIVED,
    "resolve": CallStage.RESOLVED,
    "cancel": CallStage.CANCELLED,
}


@dataclass(slots=True)
class SimulatedCall:
    """A call, and when people plan to act on it."""

    cause: CallCause
    station: Station
    raised_by: str
    raised_at: Millis
    acknowledge_at: Millis
    arrive_at: Millis
    cancel_at: Millis | None
    resolve_at: Millis | None = None  # set once the trouble is over
    stage: CallStage = CallStage.OPEN


class Crew:
    """The people of a line: they notice trouble, press at stations, and act on calls until they are resolved."""

    def __init__(self, spec: LineSpec, rng: SeededRandom, now: Millis) -> None:
        self.calls: list[SimulatedCall] = []
        self._stations = {station.id: Station(station) for station in spec.stations}
        self._people: PeopleSpec = spec.people
        self._rng = rng
        self._noticed: dict[CallCause, Millis | None] = {}  # when somebody will press; None: already pressed
        self._unprompted: dict[CallCause, Millis] = {}  # when each ends
        self._next_unprompted_at = now + self._draw_unprompted_delay()
        self._releases: list[tuple[Millis, Station, AndonType]] = []

    @property
    def stations(self) -> Mapping[str, Station]:
        return self._stations

    def tick(self, now: Millis, causes: Sequence[CallCause]) -> list[DeviceReport]:
        """Return the reports of what people do in this second about the causes present."""
        self._update_unprompted(now)
        present = dict.fromkeys((*causes, *self._unprompted))
        reports = [*self._release(now), *self._notice(now, present)]
        for call in self.calls:
            action = self._due_action(call, now, is_over=call.cause not in present)
            if action is not None:
                call.stage = NEXT[action]
                operator = self._rng.choice(self._people.names)
                reports += _station_reports(
                    call.station, call.station.action_reports(action, call.cause.andon_type, operator)
                )
                reports += self._resolve_at_panel(call, now, operator)
                self._schedule_cord_reset(call, now)
        self.calls = [call for call in self.calls if call.stage not in (CallStage.RESOLVED, CallStage.CANCELLED)]
        return reports

    def _notice(self, now: Millis, present: Mapping[CallCause, None]) -> list[DeviceReport]:
        self._noticed = {cause: at for cause, at in self._noticed.items() if cause in present}
        reports: list[DeviceReport] = []
        for cause in present:
            if cause not in self._noticed:
                self._noticed[cause] = now + self._rng.exponential(round(self._people.notice_seconds * SECOND))
            press_at = self._noticed[cause]
            if press_at is not None and now >= press_at:
                self._noticed[cause] = None
                reports += self._press(cause, now)
        return reports

    def _press(self, cause: CallCause, now: Millis) -> list[DeviceReport]:
        station = self._station_for(cause)
        if station is None:
            return []
        people, rng = self._people, self._rng
        operator = rng.choice(people.names)
        reports = _station_reports(station, station.press(cause.andon_type, operator, cause.description))
        if station.spec.form == "momentary":
            self._releases.append((now + BUTTON_HOLD, station, cause.andon_type))
        if any(call.station is station and call.cause.andon_type == cause.andon_type for call in self.calls):
            return reports  # a station has one call of a type: a second press only repeats it
        delay = people.forget_seconds if rng.happens(people.forget_ratio) else people.acknowledge_seconds
        acknowledge_at = now + rng.duration(*delay)
        call = SimulatedCall(
            cause=cause,
            station=station,
            raised_by=operator,
            raised_at=now,
            acknowledge_at=acknowledge_at,
            arrive_at=acknowledge_at + rng.duration(*people.walk_seconds),
            cancel_at=now + rng.duration(10, 60) if rng.happens(people.cancel_ratio) else None,
        )
        self.calls.append(call)
        return reports

    def _station_for(self, cause: CallCause) -> Station | None:
        able = [station for station in self._stations.values() if cause.andon_type in station.spec.andon_types]
        near = [station for station in able if cause.about in station.spec.near]
        return next(iter((*near, *able)), None)

    def _due_action(self, call: SimulatedCall, now: Millis, *, is_over: bool) -> str | None:
        if is_over and call.resolve_at is None:
            call.resolve_at = max(now, call.arrive_at) + self._rng.duration(*self._people.tidy_seconds)
        match call.stage:
            case CallStage.OPEN if call.cancel_at is not None and now >= call.cancel_at:
                return "cancel"
            case CallStage.OPEN if now >= call.acknowledge_at:
                return "acknowledge"
            case CallStage.ACKNOWLEDGED if now >= call.arrive_at:
                return "arrive"
            case CallStage.ARRIVED if call.resolve_at is not None and now >= call.resolve_at:
                return "resolve"
            case _:
                return None

    def _resolve_at_panel(self, call: SimulatedCall, now: Millis, operator: str) -> list[DeviceReport]:
        """Return the report that resolves the machine's own call at its panel after a long stop: nobody else would."""
        long = now - call.raised_at >= LONG_STOP
        if call.stage is not CallStage.RESOLVED or call.cause.andon_type != "equipment" or not long:
            return []
        return _panel_report(call.cause.about, "resolve", "equipment", operator)

    def _schedule_cord_reset(self, call: SimulatedCall, now: Millis) -> None:
        if call.station.spec.form == "latching" and call.stage in (CallStage.RESOLVED, CallStage.CANCELLED):
            release_at = now + self._rng.duration(*CORD_RESET_SECONDS)
            self._releases.append((release_at, call.station, call.cause.andon_type))

    def _release(self, now: Millis) -> list[DeviceReport]:
        due = [release for release in self._releases if now >= release[0]]
        self._releases = [release for release in self._releases if now < release[0]]
        return [
            report
            for _, station, andon_type in due
            for report in _station_reports(station, station.release(andon_type))
        ]

    def _update_unprompted(self, now: Millis) -> None:
        self._unprompted = {cause: until for cause, until in self._unprompted.items() if now < until}
        if now >= self._next_unprompted_at:
            andon_type, description = self._rng.choice(UNPROMPTED_CALLS)
            self._unprompted[CallCause(andon_type, "the line", description)] = now + self._rng.duration(120, 480)
            self._next_unprompted_at = now + self._draw_unprompted_delay()

    def _draw_unprompted_delay(self) -> Millis:
        return self._rng.exponential(round(self._people.mean_minutes_between_wishes * MINUTE))


def _panel_report(machine: str, action: str, andon_type: AndonType, operator: str) -> list[DeviceReport]:
    return [(machine, ("andon", {"action": action, "andon_type": andon_type, "operator": operator}))]


def _station_reports(station: Station, reports: Sequence[ReportContent]) -> list[DeviceReport]:
    return [(station.spec.id, report) for report in reports]
