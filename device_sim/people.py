"""The people of a line: they notice trouble, press, come, put it right, and sometimes forget or press by mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device_sim.chance import MINUTE, SECOND, Chance, Millis
from device_sim.messages import Report
from device_sim.plant_file import AndonType, LineSpec, PeopleSpec
from device_sim.station import Station

WISHES: Final[Sequence[tuple[AndonType, str]]] = (
    ("process", "settings to be checked"),
    ("maintenance", "unusual noise"),
    ("material", "pallet to be changed"),
    ("safety", "spill on the walkway"),
)
CORD_BACK_SECONDS: Final = (5, 20)  # from resolving a call to putting its cord back
LONG_STOP: Final = 5 * MINUTE  # by then the machine has called for help by itself
BUTTON_UP: Final = SECOND  # a finger stays no longer on a button


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something to call for; `about` is a machine, or what else it is about."""

    andon_type: AndonType
    about: str
    description: str


class Stage(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    ARRIVED = "arrived"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


NEXT: Final = {
    "acknowledge": Stage.ACKNOWLEDGED,
    "arrive": Stage.ARRIVED,
    "resolve": Stage.RESOLVED,
    "cancel": Stage.CANCELLED,
}


@dataclass(slots=True)
class Call:
    """A press, and what the people have in mind to do about it."""

    trouble: Trouble
    station: Station
    by: str
    raised_at: Millis
    acknowledge_at: Millis
    arrive_at: Millis
    cancel_at: Millis | None
    resolve_at: Millis | None = None  # known once the trouble is over
    stage: Stage = Stage.OPEN


Said = tuple[str, Report]
"""(station id, report)."""


class Crew:
    def __init__(self, spec: LineSpec, chance: Chance, now: Millis) -> None:
        self.calls: list[Call] = []
        self._stations = {station.id: Station(station) for station in spec.stations}
        self._people: PeopleSpec = spec.people
        self._chance = chance
        self._noticed: dict[Trouble, Millis | None] = {}  # when somebody will press; None: somebody has
        self._wishes: dict[Trouble, Millis] = {}  # until when they last
        self._wish_at = now + self._next_wish()
        self._releases: list[tuple[Millis, Station, AndonType]] = []

    @property
    def stations(self) -> Mapping[str, Station]:
        return self._stations

    def tick(self, now: Millis, troubles: Sequence[Trouble]) -> list[Said]:
        """Return what the people do about the line's troubles in this second."""
        self._wish(now)
        present = dict.fromkeys((*troubles, *self._wishes))
        said = [*self._release(now), *self._notice(now, present)]
        for call in self.calls:
            action = self._deed_due(call, now, is_over=call.trouble not in present)
            if action is not None:
                call.stage = NEXT[action]
                who = self._chance.pick(self._people.names)
                said += _from(call.station, call.station.deed(action, call.trouble.andon_type, who))
                said += self._settle_at_the_machine(call, now, who)
                self._put_cord_back_later(call, now)
        self.calls = [call for call in self.calls if call.stage not in (Stage.RESOLVED, Stage.CANCELLED)]
        return said

    def _notice(self, now: Millis, present: Mapping[Trouble, None]) -> list[Said]:
        self._noticed = {trouble: at for trouble, at in self._noticed.items() if trouble in present}
        said: list[Said] = []
        for trouble in present:
            if trouble not in self._noticed:
                self._noticed[trouble] = now + self._chance.lapse(round(self._people.notice_seconds * SECOND))
            press_at = self._noticed[trouble]
            if press_at is not None and now >= press_at:
                self._noticed[trouble] = None
                said += self._press(trouble, now)
        return said

    def _press(self, trouble: Trouble, now: Millis) -> list[Said]:
        station = self._station_for(trouble)
        if station is None:
            return []
        people, chance = self._people, self._chance
        by = chance.pick(people.names)
        reports = _from(station, station.press(trouble.andon_type, by, trouble.description))
        if station.spec.form == "momentary":
            self._releases.append((now + BUTTON_UP, station, trouble.andon_type))
        if any(call.station is station and call.trouble.andon_type == trouble.andon_type for call in self.calls):
            return reports  # one call of a type at a station: the second press only repeats it
        delay = people.forget_seconds if chance.happens(people.forget_ratio) else people.acknowledge_seconds
        acknowledge_at = now + chance.span(*delay)
        call = Call(
            trouble=trouble,
            station=station,
            by=by,
            raised_at=now,
            acknowledge_at=acknowledge_at,
            arrive_at=acknowledge_at + chance.span(*people.walk_seconds),
            cancel_at=now + chance.span(10, 60) if chance.happens(people.cancel_ratio) else None,
        )
        self.calls.append(call)
        return reports

    def _station_for(self, trouble: Trouble) -> Station | None:
        able = [each for each in self._stations.values() if trouble.andon_type in each.spec.andon_types]
        near = [each for each in able if trouble.about in each.spec.near]
        return next(iter((*near, *able)), None)

    def _deed_due(self, call: Call, now: Millis, *, is_over: bool) -> str | None:
        if is_over and call.resolve_at is None:
            call.resolve_at = max(now, call.arrive_at) + self._chance.span(*self._people.tidy_seconds)
        match call.stage:
            case Stage.OPEN if call.cancel_at is not None and now >= call.cancel_at:
                return "cancel"
            case Stage.OPEN if now >= call.acknowledge_at:
                return "acknowledge"
            case Stage.ACKNOWLEDGED if now >= call.arrive_at:
                return "arrive"
            case Stage.ARRIVED if call.resolve_at is not None and now >= call.resolve_at:
                return "resolve"
            case _:
                return None

    def _settle_at_the_machine(self, call: Call, now: Millis, who: str) -> list[Said]:
        """After a long stop its call is ended at the machine's own panel, too: nobody else would."""
        long = now - call.raised_at >= LONG_STOP
        if call.stage is not Stage.RESOLVED or call.trouble.andon_type != "equipment" or not long:
            return []
        return _from_panel(call.trouble.about, "resolve", "equipment", who)

    def _put_cord_back_later(self, call: Call, now: Millis) -> None:
        if call.station.spec.form == "latching" and call.stage in (Stage.RESOLVED, Stage.CANCELLED):
            release_at = now + self._chance.span(*CORD_BACK_SECONDS)
            self._releases.append((release_at, call.station, call.trouble.andon_type))

    def _release(self, now: Millis) -> list[Said]:
        due = [each for each in self._releases if now >= each[0]]
        self._releases = [each for each in self._releases if now < each[0]]
        return [said for _, station, andon_type in due for said in _from(station, station.release(andon_type))]

    def _wish(self, now: Millis) -> None:
        self._wishes = {wish: until for wish, until in self._wishes.items() if now < until}
        if now >= self._wish_at:
            andon_type, description = self._chance.pick(WISHES)
            self._wishes[Trouble(andon_type, "the line", description)] = now + self._chance.span(120, 480)
            self._wish_at = now + self._next_wish()

    def _next_wish(self) -> Millis:
        return self._chance.lapse(round(self._people.mean_minutes_between_wishes * MINUTE))


def _from_panel(machine: str, action: str, andon_type: AndonType, operator: str) -> list[Said]:
    return [(machine, ("andon", {"action": action, "andon_type": andon_type, "operator": operator}))]


def _from(station: Station, reports: Sequence[Report]) -> list[Said]:
    return [(station.spec.id, report) for report in reports]
