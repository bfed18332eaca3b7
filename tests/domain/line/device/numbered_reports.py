"""Reports with boot id and sequence number."""

from bridge.domain.reports import (
    AndonReport,
    StateReport,
)
from tests.support.packing_line import PackingLine, equipment, line_spec, plant_file


def line_of(modulus: int) -> PackingLine:
    return PackingLine(plant_file(line_spec(equipment=equipment(seq_modulus=modulus))))


def state(seq: int, state: str = "running", boot: int | str = 1) -> StateReport:
    return StateReport(state=state, boot_id=boot, seq=seq)


def press(seq: int, boot: int | str = 1) -> AndonReport:
    return AndonReport(andon_type="safety", action="raise", boot_id=boot, seq=seq)


def status(line: PackingLine) -> str:
    return line.statuses("bagger")[-1].status
