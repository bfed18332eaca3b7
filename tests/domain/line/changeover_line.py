"""One line's changeovers for tests."""

from typing import Final

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Changeover
from bridge.domain.events import Event
from bridge.domain.line.changeover import Changeovers, ChangeoverState
from bridge.domain.reports import ChangeoverReport, Disposition, Moment
from bridge.domain.utc_time import Millis, rfc3339
from tests.support.one_line_plant import from_checkpoint, one_line_plant

START: Final[Millis] = 1_750_000_000_000

SECOND: Final = 1_000


class ChangeoverLine:
    def __init__(self, *, good_pieces: int = 1) -> None:
        self.plant = one_line_plant(
            products=[{"id": "A"}, {"id": "B", "changeover_seconds": 900}],
            rules={"changeover_good_pieces": good_pieces},
        )
        self.state = ChangeoverState()
        self.subjects = Subjects()
        self.restore()

    def restore(self) -> None:
        self.state = from_checkpoint(self.state)
        line = self.plant.lines[0]
        place = self.plant.place_of(line)
        self.emitter = Emitter(place, self.subjects)
        self.changeovers = Changeovers(self.state, place=place, plant=self.plant, spec=line, emitter=self.emitter)

    def start(self, to: str | None, *, second: float, source: str | None = None) -> Disposition:
        body = ChangeoverReport(action="start", from_product=source, to_product=to)
        return self.changeovers.apply(body, moment=at(second))

    def complete(self, *, second: float, to: str | None = None) -> Disposition:
        body = ChangeoverReport(action="complete", to_product=to)
        return self.changeovers.apply(body, moment=at(second))

    def count(self, second: float, *, good: int = 0, reject: int = 0, runs: bool = True) -> None:
        self.changeovers.count(good=good, reject=reject, runs=runs, moment=at(second))

    def changed(self, source: str | None, to: str, *, second: float, runs: bool = False) -> None:
        self.changeovers.observe_product_change(from_product=source, to_product=to, runs=runs, moment=at(second))

    def set_up(self, *, second: float, in_setup: bool = True) -> None:
        self.changeovers.observe_setup(in_setup=in_setup, at=at(second).at)

    def events(self) -> tuple[Event, ...]:
        return self.emitter.drain()

    def new_changeovers(self) -> list[Changeover]:
        return [event.data for event in self.events() if isinstance(event.data, Changeover)]


def at(second: float) -> Moment:
    return Moment(at=START + round(second * SECOND))


def time_of(second: float) -> str:
    return rfc3339(at(second).at)
