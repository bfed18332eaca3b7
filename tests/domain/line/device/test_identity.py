"""The device's clock as learned from its reports: what was overtaken does not take it back."""

import pytest
from msgspec.structs import replace

from bridge.domain.events import EventType
from bridge.domain.reports import APPLIED, AndonReport, Disposition, StateReport, suppressed
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

LATE = suppressed("out_of_order")


class EightBitBagger:
    """A machine with an 8-bit sequence: what is 17 numbers behind may have been reached by a jump."""

    def __init__(self) -> None:
        self.line = PackingLine(plant_file(line_spec(equipment=equipment(seq_modulus=256))))

    def state(self, seq: int, state: str, *, at: float, made: float, boot: int = 2) -> Disposition:
        body = StateReport(state=state, boot_id=boot, seq=seq, ts=T0 + round(made * 1_000))
        return self.line.report("bagger", body, at=at).disposition

    def presses(self, seq: int, *, at: float, made: float, boot: int = 2) -> Disposition:
        body = AndonReport(action="raise", andon_type="equipment", boot_id=boot, seq=seq, ts=T0 + round(made * 1_000))
        return self.line.report("bagger", body, at=at).disposition

    def status(self) -> str:
        return self.line.statuses("bagger")[-1].status


@pytest.mark.parametrize("presses", [0, 1, 2])
def test_a_late_press_makes_no_older_state_the_latest(presses: int) -> None:
    bagger = EightBitBagger()
    for seq in (1, *range(5, 21)):
        bagger.state(seq, "running", at=seq, made=seq)
    for seq in range(2, 2 + presses):
        assert bagger.presses(seq, at=21, made=seq) == APPLIED
    assert bagger.state(4, "stopped", at=22, made=4) == LATE
    assert bagger.status() == "running"


@pytest.mark.parametrize("number", [2, 200])
def test_a_press_of_an_earlier_boot_makes_no_older_state_the_latest(number: int) -> None:
    """Its number may or may not be known to be missing in that boot."""
    bagger = EightBitBagger()
    for seq in (1, 3, 4):
        bagger.state(seq, "running", at=seq - 4, made=seq - 4, boot=1)
    for seq in (0, *range(5, 21)):
        bagger.state(seq, "running", at=seq + 1, made=seq + 1)
    assert bagger.presses(number, at=22, made=-2, boot=1) == APPLIED
    assert bagger.state(4, "stopped", at=23, made=4) == LATE
    assert bagger.status() == "running"


def test_history_takes_no_clock_back() -> None:
    """It is numbered in order, and dated when it happened."""
    bagger = EightBitBagger()
    for seq in (1, *range(5, 21)):
        bagger.state(seq, "running", at=seq, made=seq)
    past = StateReport(state="stopped", boot_id=2, seq=21, ts=T0 - 3_600_000, historical=True)
    bagger.line.report("bagger", past, at=21)
    assert bagger.state(4, "stopped", at=22, made=4) == LATE
    assert bagger.status() == "running"


def test_history_makes_no_clock_wrong() -> None:
    """Reports queued before a historical one are dated by the same clock as those queued after it."""
    line = PackingLine()
    clocks = []
    for seq, made, at in ((0, 0, 0), (1, -3_600, 20), (2, 3, 20)):
        body = AndonReport(action="raise", andon_type="equipment", boot_id=1, seq=seq, ts=T0 + made * 1_000)
        outcome = line.report("packer", replace(body, historical=seq == 1), at=at)
        clocks += [event.quality.clock for event in outcome.events if event.type is EventType.ANDON_EVENT]
    assert clocks == ["device", "device"]
