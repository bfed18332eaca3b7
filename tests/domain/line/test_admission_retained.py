"""What the broker retains is old news at every subscription: it changes nothing that was heard live."""

import pytest

from bridge.domain import plant
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
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
from tests.support.packing_line import Shop, equipment, line_spec, plant_file

RETAINED = suppressed("retained")
RUNNING = StateReport(state="running")


def status(shop: Shop, who: str = "bagger") -> str:
    return shop.statuses(who)[-1].status


def restarted(shop: Shop) -> Shop:
    """Go on from a checkpoint, as after a restart of the bridge."""
    shop.line = Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint())
    return shop


def test_retained_counts_never_count_and_set_no_baseline() -> None:
    shop = Shop()
    old = CountsReport(total=120)
    assert shop.say("bagger", old, at=0, retained=True).disposition == RETAINED
    shop.say("bagger", CountsReport(total=50_000), at=1)
    shop.say("bagger", CountsReport(total=50_001), at=2)
    for at in (10, 20, 30):
        assert shop.say("bagger", old, at=at, retained=True).disposition == RETAINED
    shop.say("bagger", CountsReport(total=50_002), at=40)
    shop.wait(60)
    assert shop.production()[-1].total_count == 2


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
    shop = Shop()
    if before_all:
        shop.say("bagger", old, at=0, retained=True)
    if boots:
        shop.say("bagger", StateReport(state="fault", boot_id=5, seq=7), at=1)
    else:
        shop.say("bagger", StateReport(state="fault"), at=1)
    shop.wait(80)
    before = len(shop.events)
    for at in (81, 82, 83):
        restarted(shop)
        assert shop.say("bagger", old, at=at, retained=True).disposition == RETAINED
    assert shop.events[before:] == []
    assert [data.status for data in shop.downtimes()] == ["open"]


@pytest.mark.parametrize("old", [DeathReport(), BirthReport(), RUNNING])
def test_a_device_that_is_back_after_its_death_stays_so(old: ReportBody) -> None:
    """Live it said its birth and no state yet."""
    shop = Shop()
    shop.say("bagger", BirthReport(), at=1)
    shop.say("bagger", old, at=2, retained=True)
    shop.say("bagger", StateReport(state="stopped"), at=3)
    assert status(shop) == "stopped"
    assert not shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated


def test_a_retained_report_that_is_proven_newer_is_taken() -> None:
    """The broker dropped the live one; the boot's sequence has not wrapped, so a greater number is a later report."""
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id=5, seq=0), at=0)
    shop.say("bagger", StateReport(state="running", boot_id=5, seq=1), at=1)
    shop.say("bagger", CountsReport(total=10, boot_id=5, seq=2), at=2)
    newer = StateReport(state="fault", boot_id=5, seq=4)
    assert shop.say("bagger", newer, at=3, retained=True).disposition == APPLIED
    assert status(shop) == "fault"
    assert shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.estimated
    counts = CountsReport(total=15, boot_id=5, seq=5)
    assert shop.say("bagger", counts, at=20, retained=True).disposition == APPLIED
    shop.wait(30)
    assert shop.production()[-1].total_count == 5


def test_a_retained_report_of_a_newer_boot_is_taken() -> None:
    shop = Shop()
    shop.say("bagger", StateReport(state="running", boot_id=5, seq=1), at=1)
    newer = StateReport(state="fault", boot_id=6, seq=1)
    assert shop.say("bagger", newer, at=2, retained=True).disposition == APPLIED
    assert shop.say("bagger", BirthReport(boot_id=6, seq=0), at=3, retained=True).disposition == RETAINED
    assert status(shop) == "fault"


def test_a_number_proves_nothing_where_the_boot_was_not_heard_from_its_beginning() -> None:
    shop = Shop(plant_file(line_spec(equipment=equipment(seq_modulus=256))))
    shop.say("bagger", StateReport(state="fault", boot_id=5, seq=10), at=0)
    old = StateReport(state="running", boot_id=5, seq=100)
    assert shop.say("bagger", old, at=1, retained=True).disposition == RETAINED


def test_a_number_that_may_have_wrapped_proves_nothing() -> None:
    shop = Shop(plant_file(line_spec(equipment=equipment(seq_modulus=256))))
    for index in range(300):
        shop.say("bagger", StateReport(state="fault", boot_id=5, seq=index % 256), at=index)
    old = StateReport(state="running", boot_id=5, seq=100)
    assert shop.say("bagger", old, at=400, retained=True).disposition == RETAINED


def test_a_retained_report_does_not_run_ahead_of_what_the_broker_has_queued() -> None:
    """A broker sends what it retains at a subscription, before the queue of the session."""
    shop = Shop()
    shop.say("bagger", StateReport(state="running", boot_id=5, seq=7), at=0)
    shop.say("bagger", StateReport(state="running", boot_id=5, seq=9), at=1, retained=True)
    for seq, word in ((8, "fault"), (9, "running")):
        queued = StateReport(state=word, boot_id=5, seq=seq)
        assert shop.say("bagger", queued, at=2).disposition == APPLIED
    assert shop.line.devices.gaps() == (0, 0, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_first_start_with_the_leftovers_of_two_boots_is_live_with_the_first_report(order: tuple[int, int]) -> None:
    leftovers: tuple[ReportBody, ...] = (BirthReport(boot_id=5, seq=0), DeathReport(boot_id=4, seq=0))
    shop = Shop()
    for index in order:
        shop.say("bagger", leftovers[index], at=0, retained=True)
    for index, word in enumerate(("running", "fault", "running")):
        live = StateReport(state=word, boot_id=5, seq=40 + index)
        assert shop.say("bagger", live, at=1 + index).disposition == APPLIED
        assert status(shop) == word
    assert shop.line.devices.gaps() == (0, 0, 0), "of a device heard for the first time nothing is missing"


def test_a_retained_switch_is_read_until_the_station_is_heard() -> None:
    desk = plant.EquipmentConfig(id="desk", kind="station", input="latching")
    shop = Shop(plant_file(line_spec(equipment=[*equipment()[:3], desk])))
    shop.say("desk", AndonReport(andon_type="safety", input=False), at=0)
    assert shop.say("desk", AndonReport(andon_type="safety", input=True), at=1, retained=True).disposition == RETAINED
    assert not shop.of(EventType.ANDON_EVENT, "desk")


@pytest.mark.parametrize("old", [DeathReport(), BirthReport()])
def test_what_is_retained_of_a_gateway_says_nothing_of_machines_heard_live(old: ReportBody) -> None:
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    shop.say("packer", RUNNING, at=0, retained=True)
    before = len(shop.of(EventType.LINE_STATUS_UPDATE, "bagger"))
    shop.say(None, old, at=1, retained=True)
    assert status(shop) == "running"
    assert len(shop.of(EventType.LINE_STATUS_UPDATE, "bagger")) == before
    assert status(shop, "packer") == ("offline" if isinstance(old, DeathReport) else "running")


def test_the_time_of_a_retained_report_is_its_arrival() -> None:
    shop = Shop()
    shop.say("packer", StateReport(state="running", ts="2026-01-01T00:00:00Z"), at=5, retained=True)
    event = shop.of(EventType.LINE_STATUS_UPDATE, "packer")[-1]
    assert event.quality.clock == "receive"
    shop.say("packer", StateReport(state="stopped", ts="2026-01-05T09:00:06Z"), at=6.5)
    assert shop.of(EventType.LINE_STATUS_UPDATE, "packer")[-1].quality.clock == "device"
