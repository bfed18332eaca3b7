"""The simulated plant, told to the floor: everything is understood, and all 13 event types come of it."""

from collections import Counter
from pathlib import Path

from bridge.adapters import plant_file
from bridge.core.events import Event, EventType, Millis
from bridge.core.line.floor import Floor
from bridge.core.reports import Effect, Report
from bridge.ingest.native import decode
from device_sim import plant_file as simulated
from device_sim.messages import Message, Stamp
from device_sim.plant import Plant
from tests.core.line.shopfloor import T0

ROOT = Path(__file__).parents[3]
MINUTE = 60_000


class Told:
    """What the floor makes of a simulated plant, message by message."""

    def __init__(self) -> None:
        self.plant = plant_file.load(ROOT / "bridge" / "demo" / "plant.toml")
        self.sim = Plant(simulated.load(ROOT / "device_sim" / "plant.toml"), seed=1, start=T0)
        self.floor = Floor(self.plant)
        self.events: list[Event] = []
        self.effects: Counter[tuple[Effect, str | None]] = Counter()
        self._stamps = {device: Stamp(1) for device in self.sim.devices}

    def live(self, until: Millis) -> None:
        """From T0 on, births first."""
        for device in self.sim.devices:
            for message in self.sim.birth(device):
                self._hear(message)
        for message in self.sim.step(until):
            self._hear(message)
        for _, events in self.floor.tick(until):
            self.events += events

    def _hear(self, message: Message) -> None:
        payload = self._stamps[message.device].payload(message)
        report = decode(message.topic, payload, received_at=message.at, cause="input:1", retained=False)
        assert isinstance(report, Report), (message, report)
        outcome = self.floor.apply(report, message.at)
        self.effects[outcome.disposition.effect, outcome.disposition.reason] += 1
        self.events += outcome.events


def test_a_quarter_of_an_hour_of_the_demo_makes_all_13_event_types() -> None:
    told = Told()
    told.live(T0 + 15 * MINUTE)
    assert {event.type for event in told.events} == set(EventType)
    assert not any(effect is Effect.QUARANTINED for effect, _ in told.effects)
    assert told.effects[Effect.APPLIED, None] > 0.95 * told.effects.total()


def test_every_line_keeps_the_order_of_its_time() -> None:
    told = Told()
    told.live(T0 + 60 * MINUTE)
    for spec in told.plant.lines:
        stamps = [event.timestamp for event in told.events if event.place.line == spec.id]
        assert stamps == sorted(stamps)
