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
from tests.support.packing_line import LEADER, Shop, equipment, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")
STOPPED = StateReport(state="stopped")


def shown(shop: Shop, who: str | None) -> list[tuple[str, str | None]]:
    return [(data.status, data.cause) for data in shop.statuses(who)]


def shop_with(**changes: Any) -> Shop:
    """A plant whose bagger is changed."""
    return Shop(plant_file(line_spec(equipment=equipment(**changes))))


def test_a_status_is_told_when_it_changes_and_not_when_it_does_not() -> None:
    shop = Shop()
    for at, body in enumerate((RUNNING, RUNNING, STOPPED, STOPPED, RUNNING)):
        shop.say("bagger", body, at=at)
    assert shown(shop, "bagger") == [("running", None), ("stopped", "unknown"), ("running", None)]
    assert shown(shop, None) == shown(shop, "bagger")
    last = shop.statuses()[-1]
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
    shop = Shop()
    shop.say("bagger", STOPPED, at=0)
    shop.say("bagger", body, at=1)
    assert len(shop.statuses("bagger")) == 2
    assert shop.statuses("bagger")[1].since == shop.statuses("bagger")[0].since


def test_speed_alone_is_told_at_most_once_a_second_and_the_last_is_told() -> None:
    shop = Shop()
    for index in range(21):
        shop.say("feeder", StateReport(state="running", speed=50.0 + index), at=index / 10)
    shop.wait(5)
    told = [
        (seconds(event.timestamp), data.speed)
        for event, data in zip(shop.of(EventType.LINE_STATUS_UPDATE, "feeder"), shop.statuses("feeder"), strict=True)
    ]
    assert told == [(0, 50.0), (1, 59.0), (2, 69.0), (3, 70.0)]


def test_packml_is_read_by_the_configured_dialect_only() -> None:
    shop = shop_with(packml_dialect="tmc", packml_modes={1: "production", 4: "setup"})
    assert shop.say("bagger", StateReport(packml=PackmlState("tmc", 4)), at=0).disposition.reason is None
    shop.say("bagger", StateReport(packml=PackmlState("tmc", "Execute", mode=4)), at=1)
    assert shown(shop, "bagger") == [("running", None), ("setup", None)]
    other = shop.say("bagger", StateReport(packml=PackmlState("tr88", 6)), at=2)
    assert other.disposition == quarantined("other_packml_dialect")
    unknown = shop.say("bagger", StateReport(packml=PackmlState("tmc", 17)), at=3)
    assert unknown.disposition == quarantined("unknown_packml_state")
    assert len(shop.statuses("bagger")) == 2


def test_a_suspended_machine_is_starved_or_blocked_as_its_inputs_say() -> None:
    shop = Shop()
    shop.say("bagger", StateReport(packml=PackmlState("tr88", 5), upstream_stop=True), at=0)
    shop.say("bagger", StateReport(packml=PackmlState("tr88", 5), downstream_stop=True), at=1)
    assert shown(shop, "bagger") == [("idle", "starved"), ("idle", "blocked")]


@pytest.mark.parametrize(
    ("who", "body", "reason"),
    [
        ("bagger", StateReport(state="dancing"), "unknown_state"),
        ("bagger", StateReport(speed=3.0), "no_state"),
        ("bagger", StateReport(state="fault", fault_bits="xyz"), "unreadable_fault_bits"),
        (None, RUNNING, "needs_equipment"),
        (None, CountsReport(total=1), "needs_equipment"),
        ("stranger", RUNNING, "unknown_equipment"),
    ],
)
def test_what_is_not_understood_is_quarantined_and_changes_nothing(
    who: str | None, body: ReportBody, reason: str
) -> None:
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    before = len(shop.events)
    assert shop.say(who, body, at=1).disposition == quarantined(reason)
    assert len(shop.events) == before


def test_a_death_is_offline_and_a_birth_says_nothing_yet() -> None:
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id="a"), at=0)
    shop.say("bagger", RUNNING, at=1)
    shop.say("bagger", DeathReport(boot_id="a"), at=2)
    shop.say("bagger", BirthReport(boot_id="b"), at=3)
    shop.say("bagger", STOPPED, at=4)
    assert shown(shop, "bagger") == [("offline", None), ("running", None), ("offline", None), ("stopped", "unknown")]


def test_a_death_of_an_older_boot_is_ignored() -> None:
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id="a"), at=0)
    shop.say("bagger", BirthReport(boot_id="b"), at=1)
    shop.say("bagger", RUNNING, at=2)
    assert shop.say("bagger", DeathReport(boot_id="a"), at=3).disposition == suppressed("out_of_order")
    assert shown(shop, "bagger")[-1] == ("running", None)


def test_a_death_of_the_line_covers_all_its_equipment() -> None:
    shop = Shop()
    shop.say("feeder", RUNNING, at=0)
    shop.say("bagger", RUNNING, at=1)
    shop.say(None, DeathReport(), at=2)
    assert shown(shop, "feeder")[-1] == shown(shop, "bagger")[-1] == shown(shop, None)[-1] == ("offline", None)


def test_silence_is_offline_at_the_limit_and_any_report_ends_it() -> None:
    shop = shop_with(heartbeat_seconds=600.0)
    shop.say("bagger", RUNNING, at=0)
    shop.say("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), at=100)
    shop.wait(699.9)
    assert shown(shop, "bagger") == [("running", None)]
    shop.wait(10_000)
    assert seconds(shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].timestamp) == 700
    assert shown(shop, "bagger")[-1] == shown(shop, None)[-1] == ("offline", None)
    shop.say("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), at=10_001)
    assert shown(shop, "bagger")[-1] == ("running", None)


def test_pieces_prove_that_a_machine_of_unknown_state_runs() -> None:
    shop = Shop()
    shop.say("bagger", CountsReport(total=5), at=0)
    assert shown(shop, "bagger") == [("offline", None)]
    shop.say("bagger", CountsReport(total=6), at=1)
    assert shown(shop, "bagger")[-1] == ("running", None)
    assert shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated


def test_bad_quality_holds_the_last_good_value_and_flags_it() -> None:
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    bad = shop.say("bagger", StateReport(state="stopped", source_quality="bad"), at=1)
    assert bad.disposition == suppressed("bad_quality")
    shop.say("bagger", CountsReport(total=9, source_quality="bad"), at=2)
    shop.say("bagger", RUNNING, at=3)
    told = shop.of(EventType.LINE_STATUS_UPDATE, "bagger")
    assert shown(shop, "bagger") == [("running", None)] * 3
    assert [event.quality.stale for event in told] == [False, True, False]


@pytest.mark.parametrize(
    ("who", "body", "disposition"),
    [
        ("desk", AndonReport(andon_type="safety", action="raise"), suppressed("retained")),
        ("desk", AndonReport(andon_type="safety", input=True), suppressed("retained")),
        (None, JobReport(action="accept", job_id="J"), suppressed("retained")),
        ("bagger", MeasurementReport(parameter="weight", value=1.0, unit="g"), suppressed("retained")),
    ],
)
def test_a_retained_deed_is_no_deed(who: str | None, body: ReportBody, disposition: Disposition) -> None:
    shop = Shop()
    assert shop.say(who, body, at=0, retained=True).disposition == disposition
    assert not shop.of(EventType.ANDON_EVENT, who)


def test_a_retained_latching_input_is_a_level_and_counts() -> None:
    desk = plant.EquipmentConfig(id="desk", kind="station", input="latching")
    shop = Shop(plant_file(line_spec(equipment=[*equipment()[:3], desk])))
    shop.say("desk", AndonReport(andon_type="safety", input=True), at=0, retained=True)
    assert len(shop.of(EventType.ANDON_EVENT, "desk")) == 1


def test_a_retained_state_is_estimated_and_proves_no_life() -> None:
    shop = shop_with(heartbeat_seconds=600.0)
    shop.say("bagger", RUNNING, at=0, retained=True)
    assert shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[0].quality.estimated
    shop.wait(1_000)
    shop.say("bagger", RUNNING, at=1_001, retained=True)
    assert shown(shop, "bagger") == [("running", None), ("offline", None)]


def test_historical_reports_never_become_current() -> None:
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    late = shop.say("bagger", StateReport(state="fault", historical=True, ts="2020-01-01T00:00:00Z"), at=1)
    assert late.disposition == suppressed("historical")
    assert shown(shop, "bagger") == [("running", None)]


def test_a_gap_in_the_sequence_is_told_on_what_the_report_causes() -> None:
    shop = Shop()
    shop.say("bagger", StateReport(state="running", boot_id="a", seq=1), at=0)
    shop.say("bagger", StateReport(state="stopped", boot_id="a", seq=5), at=1)
    assert [event.quality.gap for event in shop.of(EventType.LINE_STATUS_UPDATE, "bagger")] == [None, 3]


def test_a_gap_before_a_report_that_causes_nothing_is_told_on_the_next_event() -> None:
    shop = Shop()
    shop.say("bagger", StateReport(state="running", boot_id="a", seq=1), at=0)
    shop.say("bagger", StateReport(state="running", boot_id="a", seq=4), at=1)
    shop.say("bagger", StateReport(state="stopped", boot_id="a", seq=6), at=2)
    shop.say("bagger", StateReport(state="running", boot_id="a", seq=7), at=3)
    assert [event.quality.gap for event in shop.of(EventType.LINE_STATUS_UPDATE, "bagger")] == [None, 3, None]


def test_a_device_clock_dates_its_events_but_never_before_the_lines_last_step() -> None:
    shop = Shop()
    start = 1_767_603_600_000
    shop.say("packer", StateReport(state="running", ts=start + 100), at=0.4)
    shop.say("packer", StateReport(state="stopped", ts=start + 900), at=1.0)
    shop.say("packer", StateReport(state="running", ts=start + 200), at=1.1)
    shop.say("packer", StateReport(state="stopped", ts=start + 3_000), at=1.2)
    shop.say("packer", StateReport(state="running", ts=start + 60_000), at=4.0)
    told = shop.of(EventType.LINE_STATUS_UPDATE, "packer")
    assert [seconds(event.timestamp) for event in told] == [0.4, 0.9, 1.0, 3.0, 4.0]
    assert [event.quality.clock for event in told] == ["device", "device", "device", "device", "skewed"]


def test_a_station_is_there_or_not() -> None:
    shop = Shop()
    shop.say("desk", AndonReport(andon_type="material", action="raise"), at=0)
    shop.say("desk", DeathReport(), at=1)
    assert [data.status for data in shop.statuses("desk")] == ["idle", "offline"]


def test_a_command_is_no_sign_of_life_of_the_device_it_names() -> None:
    shop = shop_with(heartbeat_seconds=600.0)
    shop.say("bagger", RUNNING, at=0)
    shop.say("bagger", AndonReport(andon_type="quality", action="raise"), at=500, actor=LEADER)
    shop.wait(601)
    assert shown(shop, "bagger")[-1] == ("offline", None)
