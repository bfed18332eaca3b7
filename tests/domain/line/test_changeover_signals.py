"""The signals of a changeover on a line: a mode, a product change while stopped; and the rejects between."""

from typing import Final

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport, CountsReport, JobReport, PackmlState, StateReport
from tests.support.packing_line import PackingLine, line_spec, plant_file, seconds

CRISPS: Final = StateReport(state="running", product="crisps")


def ran_crisps() -> PackingLine:
    """Ran from 0, its last piece at 50."""
    line = PackingLine()
    line.report("bagger", CRISPS, at=0)
    line.report("bagger", CountsReport(total=0, good=0), at=0)
    line.report("bagger", CountsReport(total=10, good=10), at=50)
    return line


def changeovers(line: PackingLine) -> list[tuple[float, event_data.Changeover]]:
    types = (EventType.CHANGEOVER_STARTED, EventType.CHANGEOVER_COMPLETED)
    return [
        (seconds(event.timestamp), event.data)
        for event in line.events
        if event.type in types and isinstance(event.data, event_data.Changeover)
    ]


def test_a_mode_signals_a_changeover_that_is_reported_once_its_product_is_known() -> None:
    """The machine reports its product only when it runs again: without the mode there would be no changeover."""
    line = ran_crisps()
    line.report("bagger", StateReport(state="setup"), at=100)
    line.report("bagger", StateReport(state="running", product="nuts"), at=400)
    ((told_at, started),) = changeovers(line)
    assert told_at == 400
    assert (started.from_product, started.to_product) == ("crisps", "nuts")
    assert (started.started_at[14:19], started.signalled_at[14:19]) == ("00:50", "01:40")
    line.report("bagger", CountsReport(total=12, good=11), at=420)
    completed = changeovers(line)[-1][1]
    assert (completed.outcome, completed.duration_seconds, completed.startup_rejects) == ("completed", 370, 1)


def test_a_packml_mode_of_the_users_own_is_such_a_mode_and_a_job_states_the_product() -> None:
    modes = {"id": "bagger", "packml_dialect": "tr88", "packml_modes": {1: "production", 4: "setup"}}
    spec = line_spec(equipment=[modes], constraint="bagger")
    line = PackingLine(plant_file(spec))
    run, change = (StateReport(packml=PackmlState("tr88", 6, mode=mode)) for mode in (1, 4))
    for job, product in (("J", "crisps"), ("K", "nuts")):
        line.report(None, JobReport(action="assign", job_id=job, product=product, target_quantity=9), at=0)
    line.report("bagger", run, at=0)
    line.report(None, JobReport(action="start", job_id="J"), at=0)
    line.report(None, JobReport(action="complete", job_id="J"), at=90)
    line.report("bagger", change, at=100)
    line.report("bagger", run, at=300)
    line.report(None, JobReport(action="start", job_id="K"), at=301)
    ((told_at, started),) = changeovers(line)
    assert (told_at, started.to_product, started.signalled_at[14:19]) == (301, "nuts", "01:40")


STANDING: Final = StateReport(state="setup")
STANDING_WITH_NUTS: Final = StateReport(state="setup", product="nuts")


@pytest.mark.parametrize("product_at", [40, 390], ids=["product first", "piece first"])
@pytest.mark.parametrize("signal", ["mode", "command"])
def test_the_first_good_piece_completes_the_changeover_though_the_machine_is_stopped(
    signal: str, product_at: int
) -> None:
    """The last old piece at 50, the first new one 380 s after it, with any reports in between and afterwards."""
    line = ran_crisps()
    if signal == "command":
        line.report(None, ChangeoverReport(action="start", to_product="nuts"), at=60)
    line.report("bagger", STANDING, at=61)
    if product_at == 40:
        line.report("bagger", STANDING_WITH_NUTS, at=100)
    line.report("bagger", CountsReport(total=12, good=11), at=430)
    line.report("bagger", STANDING_WITH_NUTS, at=440)
    line.report("bagger", StateReport(state="running", product="nuts"), at=450)
    line.report("bagger", CountsReport(total=20, good=19), at=572)
    ended = [data for _, data in changeovers(line) if data.outcome is not None]
    assert [(data.outcome, data.duration_seconds, data.startup_rejects) for data in ended] == [("completed", 380, 1)]
    assert len(changeovers(line)) == 2


def test_a_mode_that_was_answered_does_not_date_the_next_changeover() -> None:
    """The piece that completed the first arrived in its mode, while stopped; the second has its own time."""
    line = ran_crisps()
    line.report("bagger", STANDING_WITH_NUTS, at=100)
    line.report("bagger", CountsReport(total=11, good=11), at=430)
    line.report("bagger", StateReport(state="running", product="nuts"), at=440)
    line.report("bagger", StateReport(state="stopped"), at=1_000)
    line.report("bagger", StateReport(state="stopped", product="crisps"), at=1_010)
    line.report("bagger", CountsReport(total=12, good=12), at=1_200)
    completed = [(data.started_at[14:19], data.duration_seconds) for _, data in changeovers(line) if data.outcome]
    assert completed == [("00:50", 380), ("07:10", 770)]


def test_a_setup_after_which_the_same_is_made_is_none() -> None:
    line = ran_crisps()
    line.report("bagger", StateReport(state="setup"), at=100)
    line.report("bagger", CRISPS, at=200)
    line.report("bagger", CountsReport(total=20, good=20), at=210)
    line.report("bagger", StateReport(state="running", product="nuts"), at=900)  # while it runs: signals nothing
    assert changeovers(line) == []


def test_good_pieces_that_come_after_their_total_are_no_startup_rejects() -> None:
    """Pieces in are counted at the feeder, good ones at the packer: 12 in, 7 of them good."""
    spec = line_spec(total_from=("feeder",), good_from=("packer",), reject_from=())
    line = PackingLine(plant_file(spec, changeover_good_pieces=7))
    for machine in ("feeder", "packer"):
        line.report(machine, CountsReport(total=0, good=0), at=0)
    line.report(None, ChangeoverReport(action="start", from_product="crisps", to_product="nuts"), at=10)
    line.report("feeder", CountsReport(total=6), at=20)
    line.report("packer", CountsReport(total=6, good=3), at=30)
    line.report("feeder", CountsReport(total=12), at=40)
    line.report("packer", CountsReport(total=12, good=7), at=50)
    completed = changeovers(line)[-1][1]
    assert (completed.outcome, completed.startup_rejects) == ("completed", 5)
