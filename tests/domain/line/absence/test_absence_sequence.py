"""Evidence of the sequence for the state of a machine in an absence."""

import pytest

from bridge.domain.reports import BirthReport, DeathReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.buffered_bagger import BufferedBagger, line_of
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0


@pytest.mark.parametrize(("every", "unknown"), [(60, 0), (300, 600)])
def test_without_a_sequence_a_machine_is_known_while_it_reports_every_minute(every: int, unknown: int) -> None:
    line = line_of()
    line.report("bagger", StateReport(state="running", ts=T0), at=0)
    line.report("bagger", StateReport(state="running", ts=T0 + 300_000), at=300)
    absent(line, 300, 900)
    for at in range(300 + every, 900, every):
        line.report("bagger", StateReport(state="running", ts=T0 + at * 1000), at=900)
    line.report("bagger", StateReport(state="running", ts=T0 + 900_000), at=900)
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == unknown


def test_a_report_without_a_gap_proves_the_state_before_the_absence() -> None:
    """A machine that reports only changes need not repeat its state, with or without a trusted clock."""
    for clock in ("receive", "device"):
        line = line_of(clock=clock)
        bagger = BufferedBagger(line)
        bagger.state("running", 0)
        bagger.absence = (300, 400)
        bagger.counts(0, 399)
        bagger.reconnect()
        assert line.statuses("bagger")[-1].status == "running"
        line.wait(3_600)
        assert closed(line)[-1].unknown_seconds == pytest.approx(100 if clock == "receive" else 0, abs=0.1)


def test_a_report_after_a_gap_proves_no_earlier_state() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    bagger.seq += 1
    bagger.counts(0, 401)
    assert line.statuses("bagger")[-1].status == "offline"


def test_a_state_before_a_missing_report_is_not_restored_by_the_next_in_order() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("setup", 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    bagger.seq += 1
    bagger.counts(0, 401)
    bagger.counts(0, 402)
    assert line.statuses("bagger")[-1].status == "offline"


@pytest.mark.parametrize("state", ["running", "setup"])
def test_a_death_proves_no_state_before_the_absence(state: str) -> None:
    """A Will has the number of its connect; pieces of a new start do not show at once that the machine runs."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state(state, 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    line.report("bagger", DeathReport(boot_id=bagger.boot, seq=0), at=400.1)
    assert [status.status for status in line.statuses("bagger")] == [state, "offline"]
    bagger.counts(0, 400.1)
    assert line.statuses("bagger")[-1].status == "offline", "nothing is missing before it, but a death came since"
    bagger.boot, bagger.seq = 2, -1
    bagger.report(BirthReport(), 400.1)
    bagger.seq += 20
    bagger.counts(50, 401)
    assert line.statuses("bagger")[-1].status == "offline"
    bagger.counts(10, 411)
    bagger.counts(10, 421)
    assert line.statuses("bagger")[-1].status == "running"


def test_a_state_before_two_absences_holds_where_nothing_is_missing() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    absent(line, 300, 400)
    absent(line, 410, 500)
    bagger.counts(0, 501)
    assert line.statuses("bagger")[-1].status == "running"


@pytest.mark.parametrize("boot", [1, 2])
def test_the_time_before_a_new_start_of_the_device_stays_unknown(boot: int) -> None:
    """Its last reports before the start may be missing, also where it repeats the id of its boot."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 400)
    bagger.boot, bagger.seq = boot, -1
    bagger.report(BirthReport(), 380)
    bagger.state("running", 381)
    bagger.reconnect()
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == 81
