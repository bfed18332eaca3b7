"""A retained report is old at every subscription: it changes nothing that was seen live."""

import pytest

from bridge.domain import plant
from bridge.domain.events import EventType
from bridge.domain.reports import (
    APPLIED,
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    ReportBody,
    StateReport,
    suppressed,
)
from tests.support.packing_line import PackingLine, equipment, line_spec, plant_file

RETAINED = suppressed("retained")
RUNNING = StateReport(state="running")


def status(line: PackingLine, equipment_id: str = "bagger") -> str:
    return line.statuses(equipment_id)[-1].status


def test_retained_counts_never_count_and_set_no_baseline() -> None:
    line = PackingLine()
    old = CountsReport(total=120)
    assert line.report("bagger", old, at=0, retained=True).disposition == RETAINED
    line.report("bagger", CountsReport(total=50_000), at=1)
    line.report("bagger", CountsReport(total=50_001), at=2)
    for at in (10, 20, 30):
        assert line.report("bagger", old, at=at, retained=True).disposition == RETAINED
    line.report("bagger", CountsReport(total=50_002), at=40)
    line.wait(60)
    assert line.production()[-1].total_count == 2


@pytest.mark.parametrize(
    "old",
    [
        RUNNING,
        DeathReport(),
        BirthReport(),
        CountsReport(total=9),
        StateReport(state="running", boot_id=4, seq=2),
        StateReport(state="running", boot_id=5, seq=1),
        StateReport(state="running", boot_id="x", seq=99),
        DeathReport(boot_id=4),
        DeathReport(boot_id=5),
        DeathReport(boot_id=6),
        BirthReport(boot_id=5, seq=0),
        BirthReport(boot_id=4, seq=0),
    ],
)
@pytest.mark.parametrize("boots", [True, False])
@pytest.mark.parametrize("before_all", [True, False])
def test_a_reconnect_however_often_changes_nothing_that_was_known_live(
    old: ReportBody, *, boots: bool, before_all: bool
) -> None:
    line = PackingLine()
    if before_all:
        line.report("bagger", old, at=0, retained=True)
    if boots:
        line.report("bagger", StateReport(state="fault", boot_id=5, seq=7), at=1)
    else:
        line.report("bagger", StateReport(state="fault"), at=1)
    line.wait(80)
    before = len(line.events)
    for at in (81, 82, 83):
        line.restart()
        assert line.report("bagger", old, at=at, retained=True).disposition == RETAINED
    assert line.events[before:] == []
    assert [data.status for data in line.downtimes()] == ["open"]


@pytest.mark.parametrize("old", [DeathReport(), BirthReport(), RUNNING])
def test_a_device_that_is_back_after_its_death_stays_so(old: ReportBody) -> None:
    """It has sent a live birth and no state yet."""
    line = PackingLine()
    line.report("bagger", BirthReport(), at=1)
    line.report("bagger", old, at=2, retained=True)
    line.report("bagger", StateReport(state="stopped"), at=3)
    assert status(line) == "stopped"
    assert not line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated


def test_a_retained_report_that_is_proven_newer_is_taken() -> None:
    """The broker dropped the live one; the boot's sequence has not wrapped, so a greater number is a later report."""
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id=5, seq=0), at=0)
    line.report("bagger", StateReport(state="running", boot_id=5, seq=1), at=1)
    line.report("bagger", CountsReport(total=10, boot_id=5, seq=2), at=2)
    newer = StateReport(state="fault", boot_id=5, seq=4)
    assert line.report("bagger", newer, at=3, retained=True).disposition == APPLIED
    assert status(line) == "fault"
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated
    counts = CountsReport(total=15, boot_id=5, seq=5)
    assert line.report("bagger", counts, at=20, retained=True).disposition == APPLIED
    line.wait(30)
    assert line.production()[-1].total_count == 5


def test_a_retained_report_of_a_newer_boot_is_taken() -> None:
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id=5, seq=1), at=1)
    newer = StateReport(state="fault", boot_id=6, seq=1)
    assert line.report("bagger", newer, at=2, retained=True).disposition == APPLIED
    assert line.report("bagger", BirthReport(boot_id=6, seq=0), at=3, retained=True).disposition == RETAINED
    assert status(line) == "fault"


def test_a_number_proves_nothing_where_the_boot_was_not_seen_from_its_beginning() -> None:
    line = PackingLine(plant_file(line_spec(equipment=equipment(seq_modulus=256))))
    line.report("bagger", StateReport(state="fault", boot_id=5, seq=10), at=0)
    old = StateReport(state="running", boot_id=5, seq=100)
    assert line.report("bagger", old, at=1, retained=True).disposition == RETAINED


def test_a_number_that_may_have_wrapped_proves_nothing() -> None:
    line = PackingLine(plant_file(line_spec(equipment=equipment(seq_modulus=256))))
    for index in range(300):
        line.report("bagger", StateReport(state="fault", boot_id=5, seq=index % 256), at=index)
    old = StateReport(state="running", boot_id=5, seq=100)
    assert line.report("bagger", old, at=400, retained=True).disposition == RETAINED


def test_a_retained_report_does_not_run_ahead_of_what_the_broker_has_queued() -> None:
    """A broker sends retained messages at a subscription, before the queue of the session."""
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id=5, seq=7), at=0)
    line.report("bagger", StateReport(state="running", boot_id=5, seq=9), at=1, retained=True)
    for seq, state in ((8, "fault"), (9, "running")):
        queued = StateReport(state=state, boot_id=5, seq=seq)
        assert line.report("bagger", queued, at=2).disposition == APPLIED
    assert line.core.devices.gaps() == (0, 0, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_first_start_with_the_leftovers_of_two_boots_is_live_with_the_first_report(order: tuple[int, int]) -> None:
    leftovers: tuple[ReportBody, ...] = (BirthReport(boot_id=5, seq=0), DeathReport(boot_id=4, seq=0))
    line = PackingLine()
    for index in order:
        line.report("bagger", leftovers[index], at=0, retained=True)
    for index, state in enumerate(("running", "fault", "running")):
        live = StateReport(state=state, boot_id=5, seq=40 + index)
        assert line.report("bagger", live, at=1 + index).disposition == APPLIED
        assert status(line) == state
    assert line.core.devices.gaps() == (0, 0, 0), "the first report of a device leaves no gap"


def test_a_retained_switch_is_read_until_the_station_is_seen() -> None:
    desk = plant.EquipmentConfig(id="desk", kind="station", input="latching")
    line = PackingLine(plant_file(line_spec(equipment=[*equipment()[:3], desk])))
    line.report("desk", AndonReport(andon_type="safety", input=False), at=0)
    assert (
        line.report("desk", AndonReport(andon_type="safety", input=True), at=1, retained=True).disposition == RETAINED
    )
    assert not line.of(EventType.ANDON_EVENT, "desk")


@pytest.mark.parametrize("old", [DeathReport(), BirthReport()])
def test_retained_reports_of_a_gateway_change_no_machine_seen_live(old: ReportBody) -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report("packer", RUNNING, at=0, retained=True)
    before = len(line.of(EventType.LINE_STATUS_UPDATE, "bagger"))
    line.report(None, old, at=1, retained=True)
    assert status(line) == "running"
    assert len(line.of(EventType.LINE_STATUS_UPDATE, "bagger")) == before
    assert status(line, "packer") == ("offline" if isinstance(old, DeathReport) else "running")


def test_the_time_of_a_retained_report_is_its_arrival() -> None:
    line = PackingLine()
    line.report("packer", StateReport(state="running", ts="2026-01-01T00:00:00Z"), at=5, retained=True)
    event = line.of(EventType.LINE_STATUS_UPDATE, "packer")[-1]
    assert event.quality.clock == "receive"
    line.report("packer", StateReport(state="stopped", ts="2026-01-05T09:00:06Z"), at=6.5)
    assert line.of(EventType.LINE_STATUS_UPDATE, "packer")[-1].quality.clock == "device"
