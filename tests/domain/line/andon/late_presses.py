"""A station whose presses and releases arrive late."""

from msgspec.structs import replace

from bridge.domain import plant
from bridge.domain.event_data import Andon
from bridge.domain.events import EventType
from bridge.domain.reports import APPLIED, AndonReport
from tests.support.packing_line import LEADER, T0, PackingLine, equipment, line_spec, plant_file


class LateStation:
    """A station whose clock agrees with the bridge's, to the second; `sequenced`: it numbers its reports."""

    def __init__(self, kind: str = "momentary", *, sequenced: bool = False, clock: bool = True) -> None:
        desk = plant.EquipmentConfig.model_validate({"id": "desk", "kind": "station", "input": kind})
        self.line = PackingLine(plant_file(line_spec(equipment=(*equipment()[:3], desk))))
        self.sequenced, self.clock = sequenced, clock
        self.seq = -1

    def level(self, level: bool, at: float, *, made: float | None = None, seq: int | None = None) -> str | None:  # noqa: FBT001
        if seq is not None:
            self.seq = seq - 1
        return self._report(AndonReport(input=level, andon_type="equipment"), at, made)

    def resolve(self, at: float) -> None:
        """A user ends the call."""
        body = AndonReport(action="resolve", andon_type="equipment", call_id=f"L1.call.{self.calls()[-1]}")
        assert self.line.report(None, body, at=at, actor=LEADER).disposition == APPLIED

    def raise_call(self, at: float, *, made: float) -> str | None:
        return self._report(AndonReport(action="raise", andon_type="equipment"), at, made)

    def calls(self) -> list[str]:
        """Return the call of each press that counted."""
        updates = [event.data for event in self.line.of(EventType.ANDON_EVENT, "desk") if isinstance(event.data, Andon)]
        return [call.call_id.rpartition(".")[2] for call in updates if call.status == "open"]

    def repeats(self) -> list[int]:
        return [
            event.data.repeat for event in self.line.of(EventType.ANDON_EVENT, "desk") if isinstance(event.data, Andon)
        ]

    def _report(self, body: AndonReport, at: float, made: float | None) -> str | None:
        self.seq += 1
        if self.clock:
            body = replace(body, ts=T0 + round((at if made is None else made) * 1_000))
        if self.sequenced:
            body = replace(body, boot_id=1, seq=self.seq)
        return self.line.report("desk", body, at=at).disposition.reason
