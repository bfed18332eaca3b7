"""A small plant for tests of the line, and a way to report to it by seconds since T0."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridge.domain import event_data, plant
from bridge.domain.events import Event, EventType
from bridge.domain.line.line import Line
from bridge.domain.line.line_state import LineState
from bridge.domain.place import Place
from bridge.domain.reports import Actor, Outcome, Report, ReportBody
from bridge.domain.shifts import ShiftConfig
from bridge.domain.utc_time import Millis

T0: Millis = 1_767_603_600_000
"""Monday 2026-01-05 10:00 in Berlin, in the early shift of `plant_file`."""

BAGGER_FAULTS = (
    plant.FaultDefinition(bit=0, code="E-STOP", text="Emergency stop"),
    plant.FaultDefinition(bit=5, code="INFEED", text="No product at infeed", cause="upstream"),
    plant.FaultDefinition(bit=7, code="WARN", text="Film low", stops=False),
    plant.FaultDefinition(bit=29, code="READY", text="Ready", kind="information", stops=False),
)

RARE_OEE: Final = 600.0
"""`oee_period_seconds` for tests that let hours pass and look at no OEE: it is most of what they compute."""


def equipment(**bagger: object) -> tuple[plant.EquipmentConfig, ...]:
    """Return three machines and a station; `bagger` changes the second."""
    fields: dict[str, object] = {"id": "bagger", "faults": BAGGER_FAULTS, "ideal_cycle_seconds": 1.0}
    return (
        plant.EquipmentConfig(id="feeder", rated_speed=100.0),
        plant.EquipmentConfig.model_validate({**fields, **bagger}),
        plant.EquipmentConfig(id="packer", clock="device", counters=plant.CounterRule(modulus=65_536)),
        plant.EquipmentConfig(id="desk", kind="station"),
    )


def line_spec(**changes: object) -> plant.LineConfig:
    fields: dict[str, object] = {
        "id": "L1",
        "area": "pack",
        "equipment": equipment(),
        "constraint": "bagger",
        "total_from": ("bagger",),
        "good_from": ("bagger",),
        "reject_from": ("bagger",),
        "ideal_cycle_seconds": 2.0,
        "target_rate_per_minute": 20.0,
    }
    return plant.LineConfig.model_validate({**fields, **changes})


def plant_file(spec: plant.LineConfig | None = None, **rules: object) -> plant.Plant:
    return plant.Plant(
        name="test",
        timezone="Europe/Berlin",
        shifts=(
            ShiftConfig.model_validate({"id": "early", "start": "06:00", "end": "14:00"}),
            ShiftConfig.model_validate({"id": "late", "start": "14:00", "end": "22:00"}),
        ),
        rules=plant.Rules.model_validate(rules),
        areas=(plant.AreaConfig(id="pack", site="north"),),
        lines=(spec or line_spec(),),
        products=(
            plant.Product(id="crisps", ideal_cycle_seconds=2.0),
            plant.Product(id="nuts", ideal_cycle_seconds=4.0, changeover_seconds=600.0),
        ),
        reasons=(
            *plant.DEFAULT_REASONS,
            plant.DowntimeReason(code="CLEAN", text="Planned cleaning", category="planned", loss="setup"),
        ),
    )


LEADER = Actor("lea", ("team_leader",), ("+",), "Lea")


@dataclass
class PackingLine:
    """One line, reported to by seconds since T0; `events` are all so far."""

    plant_config: plant.Plant = field(default_factory=plant_file)
    events: list[Event] = field(default_factory=list)
    inputs: int = 0
    core: Line = field(init=False)

    def __post_init__(self) -> None:
        self.core = Line(self.plant_config, self.plant_config.lines[0])

    def restart(self) -> None:
        """Continue from a checkpoint, as after a restart of the bridge."""
        self.core = Line.restore(self.plant_config, self.plant_config.lines[0], self.core.checkpoint())

    def report(
        self,
        equipment_id: str | None,
        body: ReportBody,
        *,
        at: float,
        retained: bool = False,
        actor: Actor | None = None,
    ) -> Outcome:
        self.inputs += 1
        received_at = T0 + round(at * 1000)
        report = Report(
            place=Place("north", "pack", "L1", equipment_id),
            body=body,
            received_at=received_at,
            cause=f"input:{self.inputs}",
            retained=retained,
            actor=actor,
        )
        outcome = self.apply(report)
        self.events += outcome.events
        return outcome

    def apply(self, report: Report) -> Outcome:
        return self.core.apply(report, report.received_at)

    def wait(self, until: float) -> list[Event]:
        fired = list(self.core.tick(T0 + round(until * 1000)))
        self.events += fired
        return fired

    def of(self, event_type: EventType, equipment: str | None = None) -> list[Event]:
        return [event for event in self.events if event.type is event_type and event.place.equipment == equipment]

    def statuses(self, equipment: str | None = None) -> list[event_data.LineStatus]:
        updates = [event.data for event in self.of(EventType.LINE_STATUS_UPDATE, equipment)]
        return [data for data in updates if isinstance(data, event_data.LineStatus)]

    def downtimes(self) -> list[event_data.Downtime]:
        updates = [event.data for event in self.of(EventType.DOWNTIME_EVENT)]
        return [data for data in updates if isinstance(data, event_data.Downtime)]

    def oee(self, window: str, equipment: str | None = None) -> list[event_data.Oee]:
        updates = [event.data for event in self.of(EventType.OEE_UPDATE, equipment)]
        return [data for data in updates if isinstance(data, event_data.Oee) and data.window == window]

    def production(self, equipment: str | None = None) -> list[event_data.Production]:
        updates = [event.data for event in self.of(EventType.PRODUCTION_UPDATE, equipment)]
        return [data for data in updates if isinstance(data, event_data.Production)]


def seconds(at: Millis) -> float:
    """An instant as seconds since T0."""
    return (at - T0) / 1000


def state_of(line: Line) -> LineState:
    """Return the line's state, as in its checkpoint."""
    return msgspec.msgpack.decode(line.checkpoint(), type=LineState)
