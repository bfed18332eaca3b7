"""A machine on its line: what is shown of it, when it is offline, and which reports have no effect."""

from typing import Any

import pytest

from bridge.domain import plant
from bridge.domain.events import EventType
from bridge.domain.reports import (
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    JobReport,
    MeasurementReport,
    PackmlState,
    ReportBody,
    StateReport,
    quarantined,
    suppressed,
)
from tests.support.packing_line import LEADER, PackingLine, equipment, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")
STOPPED = StateReport(state="stopped")


def shown(line: PackingLine, equipment_id: str | None) -> list[tuple[str, str | None]]:
    return [(data.status, data.cause) for data in line.statuses(equipment_id)]


def line_with(**changes: Any) -> PackingLine:
    """A plant whose bagger is changed."""
    return PackingLine(plant_file(line_spec(equipment=equipment(**changes))))


def test_a_status_is_reported_when_it_changes_and_not_when_it_does_not() -> None:
    line = PackingLine()
    for at, body in enumerate((RUNNING, RUNNING, STOPPED, STOPPED, RUNNING)):
        line.report("bagger", body, at=at)
    assert shown(line, "bagger") == [("running", None), ("stopped", "unknown"), ("running", None)]
    assert shown(line, None) == shown(line, "bagger")
    last = line.statuses()[-1]
    assert (last.scope, last.previous_status, last.scheduled) == ("line", "stopped", True)
    assert last.equipment == {"feeder": "offline", "bagger": "running", "packer": "offline", "desk": "offline"}


@pytest.mark.parametrize(
    "body",
    [
        StateReport(state="stopped", upstream_stop=True),
        StateReport(state="stopped", reason_code="MECH"),
        StateReport(state="stopped", product="nuts"),
    ],
)
def test_cause_reason_and_product_are_news_too(body: StateReport) -> None:
    line = PackingLine()
    line.report("bagger", STOPPED, at=0)
    line.report("bagger", body, at=1)
    assert len(line.statuses("bagger")) == 2
    assert line.statuses("bagger")[1].since == line.statuses("bagger")[0].since


def test_speed_alone_is_reported_at_most_once_a_second_and_the_last_is_reported() -> None:
    line = PackingLine()
    for index in range(21):
        line.report("feeder", StateReport(state="running", speed=50.0 + index), at=index / 10)
    line.wait(5)
    reported = [
        (seconds(event.timestamp), data.speed)
        for event, data in zip(line.of(EventType.LINE_STATUS_UPDATE, "feeder"), line.statuses("feeder"), strict=True)
    ]
    assert reported == [(0, 50.0), (1, 59.0), (2, 69.0), (3, 70.0)]


def test_packml_is_read_by_the_configured_dialect_only() -> None:
    line = line_with(packml_dialect="tmc", packml_modes={1: "production", 4: "setup"})
    assert line.report("bagger", StateReport(packml=PackmlState("tmc", 4)), at=0).disposition.reason is None
    line.report("bagger", StateReport(packml=PackmlState("tmc", "Execute", mode=4)), at=1)
    assert shown(line, "bagger") == [("running", None), ("setup", None)]
    other = line.report("bagger", StateReport(packml=PackmlState("tr88", 6)), at=2)
    assert other.disposition == quarantined("other_packml_dialect")
    unknown = line.report("bagger", StateReport(packml=PackmlState("tmc", 17)), at=3)
    assert unknown.disposition == quarantined("unknown_packml_state")
    assert len(line.statuses("bagger")) == 2


def test_a_suspended_machine_is_starved_or_blocked_by_its_inputs() -> None:
    line = PackingLine()
    line.report("bagger", StateReport(packml=PackmlState("tr88", 5), upstream_stop=True), at=0)
    line.report("bagger", StateReport(packml=PackmlState("tr88", 5), downstream_stop=True), at=1)
    assert shown(line, "bagger") == [("idle", "starved"), ("idle", "blocked")]


@pytest.mark.parametrize(
    ("equipment_id", "body", "reason"),
    [
        ("bagger", StateReport(state="dancing"), "unknown_state"),
        ("bagger", StateReport(speed=3.0), "no_state"),
        ("bagger", StateReport(state="fault", fault_bits="xyz"), "unreadable_fault_bits"),
        (None, RUNNING, "needs_equipment"),
        (None, CountsReport(total=1), "needs_equipment"),
        ("stranger", RUNNING, "unknown_equipment"),
    ],
)
def test_an_unknown_report_is_quarantined_and_changes_nothing(
    equipment_id: str | None, body: ReportBody, reason: str
) -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    before = len(line.events)
    assert line.report(equipment_id, body, at=1).disposition == quarantined(reason)
    assert len(line.events) == before


def test_a_death_is_offline_and_a_birth_sets_no_state() -> None:
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id="a"), at=0)
    line.report("bagger", RUNNING, at=1)
    line.report("bagger", DeathReport(boot_id="a"), at=2)
    line.report("bagger", BirthReport(boot_id="b"), at=3)
    line.report("bagger", STOPPED, at=4)
    assert shown(line, "bagger") == [("offline", None), ("running", None), ("offline", None), ("stopped", "unknown")]


def test_a_death_of_an_older_boot_is_ignored() -> None:
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id="a"), at=0)
    line.report("bagger", BirthReport(boot_id="b"), at=1)
    line.report("bagger", RUNNING, at=2)
    assert line.report("bagger", DeathReport(boot_id="a"), at=3).disposition == suppressed("out_of_order")
    assert shown(line, "bagger")[-1] == ("running", None)


def test_a_death_of_the_line_covers_all_its_equipment() -> None:
    line = PackingLine()
    line.report("feeder", RUNNING, at=0)
    line.report("bagger", RUNNING, at=1)
    line.report(None, DeathReport(), at=2)
    assert shown(line, "feeder")[-1] == shown(line, "bagger")[-1] == shown(line, None)[-1] == ("offline", None)


def test_silence_is_offline_at_the_limit_and_any_report_ends_it() -> None:
    line = line_with(heartbeat_seconds=600.0)
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), at=100)
    line.wait(699.9)
    assert shown(line, "bagger") == [("running", None)]
    line.wait(10_000)
    assert seconds(line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].timestamp) == 700
    assert shown(line, "bagger")[-1] == shown(line, None)[-1] == ("offline", None)
    line.report("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), at=10_001)
    assert shown(line, "bagger")[-1] == ("running", None)


def test_pieces_prove_that_a_machine_of_unknown_state_runs() -> None:
    line = PackingLine()
    line.report("bagger", CountsReport(total=5), at=0)
    assert shown(line, "bagger") == [("offline", None)]
    line.report("bagger", CountsReport(total=6), at=1)
    assert shown(line, "bagger")[-1] == ("running", None)
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated


def test_bad_quality_holds_the_last_good_value_and_flags_it() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    bad = line.report("bagger", StateReport(state="stopped", source_quality="bad"), at=1)
    assert bad.disposition == suppressed("bad_quality")
    line.report("bagger", CountsReport(total=9, source_quality="bad"), at=2)
    line.report("bagger", RUNNING, at=3)
    reported = line.of(EventType.LINE_STATUS_UPDATE, "bagger")
    assert shown(line, "bagger") == [("running", None)] * 3
    assert [event.quality.stale for event in reported] == [False, True, False]


@pytest.mark.parametrize(
    ("equipment_id", "body", "disposition"),
    [
        ("desk", AndonReport(andon_type="safety", action="raise"), suppressed("retained")),
        ("desk", AndonReport(andon_type="safety", input=True), suppressed("retained")),
        (None, JobReport(action="accept", job_id="J"), suppressed("retained")),
        ("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), suppressed("retained")),
    ],
)
def test_a_retained_action_is_ignored(equipment_id: str | None, body: ReportBody, disposition: Disposition) -> None:
    line = PackingLine()
    assert line.report(equipment_id, body, at=0, retained=True).disposition == disposition
    assert not line.of(EventType.ANDON_EVENT, equipment_id)


def test_a_retained_latching_input_is_a_level_and_counts() -> None:
    desk = plant.EquipmentConfig(id="desk", kind="station", input="latching")
    line = PackingLine(plant_file(line_spec(equipment=[*equipment()[:3], desk])))
    line.report("desk", AndonReport(andon_type="safety", input=True), at=0, retained=True)
    assert len(line.of(EventType.ANDON_EVENT, "desk")) == 1


def test_a_retained_state_is_estimated_and_proves_no_life() -> None:
    line = line_with(heartbeat_seconds=600.0)
    line.report("bagger", RUNNING, at=0, retained=True)
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[0].quality.estimated
    line.wait(1_000)
    line.report("bagger", RUNNING, at=1_001, retained=True)
    assert shown(line, "bagger") == [("running", None), ("offline", None)]


def test_historical_reports_never_become_current() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    late = line.report("bagger", StateReport(state="fault", historical=True, ts="2020-01-01T00:00:00Z"), at=1)
    assert late.disposition == suppressed("historical")
    assert shown(line, "bagger") == [("running", None)]


def test_a_gap_in_the_sequence_is_reported_on_what_the_report_causes() -> None:
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id="a", seq=1), at=0)
    line.report("bagger", StateReport(state="stopped", boot_id="a", seq=5), at=1)
    assert [event.quality.gap for event in line.of(EventType.LINE_STATUS_UPDATE, "bagger")] == [None, 3]


def test_a_gap_before_a_report_that_causes_nothing_is_reported_on_the_next_event() -> None:
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id="a", seq=1), at=0)
    line.report("bagger", StateReport(state="running", boot_id="a", seq=4), at=1)
    line.report("bagger", StateReport(state="stopped", boot_id="a", seq=6), at=2)
    line.report("bagger", StateReport(state="running", boot_id="a", seq=7), at=3)
    assert [event.quality.gap for event in line.of(EventType.LINE_STATUS_UPDATE, "bagger")] == [None, 3, None]


def test_a_device_clock_dates_its_events_but_never_before_the_lines_last_step() -> None:
    line = PackingLine()
    start = 1_767_603_600_000
    line.report("packer", StateReport(state="running", ts=start + 100), at=0.4)
    line.report("packer", StateReport(state="stopped", ts=start + 900), at=1.0)
    line.report("packer", StateReport(state="running", ts=start + 200), at=1.1)
    line.report("packer", StateReport(state="stopped", ts=start + 3_000), at=1.2)
    line.report("packer", StateReport(state="running", ts=start + 60_000), at=4.0)
    reported = line.of(EventType.LINE_STATUS_UPDATE, "packer")
    assert [seconds(event.timestamp) for event in reported] == [0.4, 0.9, 1.0, 3.0, 4.0]
    assert [event.quality.clock for event in reported] == ["device", "device", "device", "device", "skewed"]


def test_a_station_is_there_or_not() -> None:
    line = PackingLine()
    line.report("desk", AndonReport(andon_type="material", action="raise"), at=0)
    line.report("desk", DeathReport(), at=1)
    assert [data.status for data in line.statuses("desk")] == ["idle", "offline"]


def test_a_command_is_no_sign_of_life_of_the_device_it_names() -> None:
    line = line_with(heartbeat_seconds=600.0)
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", AndonReport(andon_type="quality", action="raise"), at=500, actor=LEADER)
    line.wait(601)
    assert shown(line, "bagger")[-1] == ("offline", None)
