"""One line's Andon calls with direct access to each of their parts, for tests."""

from typing import Final

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Andon
from bridge.domain.events import Event
from bridge.domain.line.andon.automatic_calls import AutomaticCalls
from bridge.domain.line.andon.call_registry import AndonState, CallRegistry
from bridge.domain.line.andon.calls import AndonActions
from bridge.domain.plant import Plant
from bridge.domain.reports import APPLIED, Actor, AndonReport, Disposition, Moment
from bridge.domain.utc_time import Millis
from tests.support.one_line_plant import from_checkpoint, one_line_plant

PLANT: Final = one_line_plant(
    {"id": "BAG1"},
    {"id": "ST1", "kind": "station", "andon_types": ["quality", "material"]},
    {"id": "ST2", "kind": "station"},
)
START: Final[Millis] = 1_750_000_000_000
SECOND: Final = 1_000
MAINTAINER: Final = Actor("mia", ("maintenance",), ("+",), "Mia")
VISITOR: Final = Actor("vic", ("viewer",), ("+",))


class AndonLine:
    def __init__(self, plant: Plant = PLANT) -> None:
        self.plant = plant
        self.state = AndonState()
        self.subjects = Subjects()
        self.restore()

    def restore(self) -> None:
        """Continue from a checkpoint."""
        self.state = from_checkpoint(self.state)
        self.subjects = from_checkpoint(self.subjects)
        line = self.plant.lines[0]
        place = self.plant.place_of(line)
        self.emitter = Emitter(place, self.subjects)
        self.registry = CallRegistry(self.state, place=place, plant=self.plant, spec=line, emitter=self.emitter)
        self.calls = AndonActions(self.registry, plant=self.plant, spec=line)
        self.automatic = AutomaticCalls(self.registry, line_id=line.id)

    def apply(
        self,
        body: AndonReport,
        *,
        equipment: str | None = "BAG1",
        at: Millis = START,
        actor: Actor | None = None,
        operator: str | None = None,
    ) -> Disposition:
        identified = body.seq is not None
        moment = Moment(at=at, received_at=at, identified=identified, actor=actor, operator=operator)
        return self.calls.apply(body, equipment=equipment, moment=moment)

    def raised(self, *, at: Millis = START) -> str:
        """Raise a call as its machine, and return its id."""
        assert self.apply(AndonReport(action="raise", andon_type="equipment", seq=0), at=at) == APPLIED
        (call_id,) = {data.call_id for data in self.new_calls()}
        return call_id

    def new_events(self) -> tuple[Event, ...]:
        return self.emitter.drain()

    def new_calls(self) -> list[Andon]:
        return [event.data for event in self.new_events() if isinstance(event.data, Andon)]
