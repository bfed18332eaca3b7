"""Changeovers of a line whose counters are in doubt around the signal: whose pieces a later report shows."""

from typing import Final

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import BirthReport, ChangeoverReport, CountsReport, DeathReport, StateReport
from tests.support.packing_line import PackingLine, plant_file

CRISPS: Final = StateReport(state="running", product="crisps")
NUTS: Final = StateReport(state="running", product="nuts")
SETUP: Final = StateReport(state="setup", product="nuts")
COMMAND: Final = ChangeoverReport(action="start", to_product="nuts")

HIDING: Final = {
    "misread": CountsReport(total=0, good=0, reject=0),
    "low": CountsReport(total=97, good=94, reject=0),
    "low by what was made": CountsReport(total=100, good=96, reject=3),
    "set back": CountsReport(total=3, good=3, reject=0),
}
"""The last reading of the old run, after 100 pieces, 96 of them good."""

SHOWING: Final = {"set back": CountsReport(total=3, good=3, reject=0)}
SHOWN: Final = CountsReport(total=103, good=99, reject=4)


def ran_crisps(last: CountsReport) -> PackingLine:
    """Ran from 0 until 51; its reports came at 0, 40 and 50."""
    line = PackingLine()
    line.report("bagger", CRISPS, at=0)
    line.report("bagger", CountsReport(total=0, good=0, reject=0), at=0)
    line.report("bagger", CountsReport(total=100, good=96, reject=4), at=40)
    line.report("bagger", last, at=50)
    line.report("bagger", StateReport(state="stopped", product="crisps"), at=51)
    return line


def reported(line: PackingLine) -> list[tuple[str, str, str | None]]:
    """Return (outcome or begun, started_at, completed_at) of each event of a changeover, times as minute:second."""
    types = (EventType.CHANGEOVER_STARTED, EventType.CHANGEOVER_COMPLETED)
    data = [
        event.data for event in line.events if event.type in types and isinstance(event.data, event_data.Changeover)
    ]
    return [
        (change.outcome or "begun", change.started_at[14:19], change.completed_at and change.completed_at[14:19])
        for change in data
    ]


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("signal", ["command", "mode", "mode alone", "after"])
@pytest.mark.parametrize("reading", HIDING)
def test_pieces_that_the_last_report_of_the_old_run_hid_belong_to_it(
    reading: str, signal: str, *, restart: bool
) -> None:
    """Changing counts are reported each ten seconds: pieces in the report a minute later existed already."""
    line = ran_crisps(HIDING[reading])
    if signal == "command":
        line.report(None, COMMAND, at=90)
    elif signal != "after":
        line.report("bagger", SETUP if signal == "mode" else StateReport(state="setup"), at=90)
    line.report("bagger", last_report := SHOWING.get(reading, SHOWN), at=110)
    if restart:
        line.core = Line.restore(plant_file(), plant_file().lines[0], line.core.checkpoint())
    if signal == "after":
        line.report(None, COMMAND, at=120)
    line.report("bagger", NUTS, at=200)
    assert last_report.total is not None
    assert last_report.good is not None
    line.report(
        "bagger",
        CountsReport(total=last_report.total + 2, good=last_report.good + 2, reject=last_report.reject),
        at=210,
    )
    assert reported(line)[-1] == ("completed", "00:50", "03:30")
    assert len(reported(line)) == 2


def test_reports_that_stay_in_doubt_while_the_line_is_stopped_move_nothing() -> None:
    line = ran_crisps(CountsReport(total=0, good=0, reject=0))
    line.report("bagger", CountsReport(total=0, good=0, reject=0), at=110)
    line.report("bagger", SHOWN, at=170)
    line.report(None, COMMAND, at=190)
    assert reported(line) == [("begun", "00:50", None)]


def test_a_machine_that_ran_on_behind_a_report_in_doubt_made_its_pieces_later() -> None:
    line = PackingLine()
    line.report("bagger", CRISPS, at=0)
    line.report("bagger", CountsReport(total=100, good=100), at=40)
    line.report("bagger", CountsReport(total=0, good=0), at=50)
    line.report("bagger", StateReport(state="stopped"), at=75)
    line.report("bagger", CountsReport(total=130, good=130), at=76)
    line.report(None, COMMAND, at=90)
    assert reported(line) == [("begun", "01:16", None)]


@pytest.mark.parametrize(
    ("first", "completed_at"), [(CountsReport(total=0, good=0), "02:00"), (CountsReport(total=3, good=3), "01:50")]
)
def test_the_first_pieces_of_the_new_run_in_doubt_complete_it_when_they_were_surely_made(
    first: CountsReport, completed_at: str
) -> None:
    """A misread register does not date its report; one that was set back and counts on shows its earlier pieces."""
    line = ran_crisps(CountsReport(total=103, good=99, reject=4))
    line.report(None, COMMAND, at=60)
    line.report("bagger", NUTS, at=100)
    line.report("bagger", first, at=110)
    assert reported(line) == [("begun", "00:50", None)]
    followed = 108 if first.total == 0 else 6
    line.report("bagger", CountsReport(total=followed, good=followed - 4 if first.total == 0 else 6), at=120)
    assert reported(line)[-1] == ("completed", "00:50", completed_at)


def test_pieces_that_a_report_in_doubt_hid_do_not_prove_that_a_machine_runs() -> None:
    """They were made before it was lost."""
    line = ran_crisps(CountsReport(total=0, good=0, reject=0))
    line.report("bagger", DeathReport(), at=60)
    line.report("bagger", BirthReport(), at=100)
    line.report("bagger", SHOWN, at=100)
    assert line.statuses("bagger")[-1].status == "offline"
    line.report("bagger", CountsReport(total=105, good=101, reject=4), at=110)
    assert line.statuses("bagger")[-1].status == "running"
