"""A device that is alive and without effect is shown as such within a minute, whatever the reason."""

import pytest

from bridge.domain.events import Event, EventType
from bridge.domain.line.floor import Floor
from bridge.domain.place import Place
from bridge.domain.probe_topics import real_topic
from bridge.domain.reports import BirthReport, DeathReport, JobReport, ReportBody, StateReport, suppressed
from bridge.domain.topic_tree import TopicBranch
from tests.support.driven_intake import driven_intake, take
from tests.support.packing_line import T0, PackingLine, plant_file


def flags(line: PackingLine, equipment_id: str | None = "bagger") -> list[tuple[bool, bool]]:
    events = line.of(EventType.LINE_STATUS_UPDATE, equipment_id)
    return [(event.quality.ineffective, event.quality.stale) for event in events]


def duplicate(line: PackingLine, at: float) -> None:
    body = StateReport(state="running", boot_id="a", seq=1)
    assert line.report("bagger", body, at=at).disposition == suppressed("duplicate")


def started() -> PackingLine:
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id="a", seq=1), at=0)
    return line


def test_duplicates_alone_for_a_minute_make_a_device_ineffective() -> None:
    line = started()
    for at in range(10, 101, 10):
        duplicate(line, at)
    assert flags(line) == [(False, False), (True, True)]
    event = line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1]
    assert event.timestamp == T0 + 70_000
    assert event.caused_by == ()
    assert flags(line, None)[-1] == (True, True), "it decides the line's status"
    assert line.core.devices.ineffective_devices() == {"bagger": "duplicate"}


def test_the_next_report_with_an_effect_ends_it() -> None:
    line = started()
    for at in range(10, 101, 10):
        duplicate(line, at)
    line.report("bagger", StateReport(state="running", boot_id="a", seq=2), at=110)
    assert flags(line)[-1] == (False, False)
    assert line.core.devices.ineffective_devices() == {}


def test_a_report_a_minute_is_enough() -> None:
    line = started()
    for at in (60, 125, 190):
        duplicate(line, at)
    line.wait(200)
    assert flags(line)[-1] == (True, True)
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].timestamp == T0 + 125_000


@pytest.mark.parametrize("after", [1, 30, 59])
def test_a_report_with_an_effect_in_between_begins_the_minute_again(after: float) -> None:
    line = started()
    duplicate(line, 10)
    duplicate(line, 10 + after)
    line.report("bagger", StateReport(state="running", boot_id="a", seq=2), at=10 + after)
    line.wait(1_000)
    assert flags(line) == [(False, False)]


def test_a_burst_that_a_broker_sends_again_is_no_device_without_effect() -> None:
    line = started()
    for index in range(20):
        duplicate(line, 10 + index * 0.05)
    line.wait(1_000)
    assert flags(line) == [(False, False)]


def test_a_report_about_the_past_ends_nothing() -> None:
    line = started()
    for at in range(10, 101, 10):
        duplicate(line, at)
        line.report("bagger", StateReport(state="fault", historical=True), at=at)
        line.report("bagger", StateReport(state="fault"), at=at, retained=True)
    assert flags(line)[-1] == (True, True)


def test_a_report_without_effect_is_suppressed() -> None:
    line = started()
    for at in range(10, 200, 10):
        line.report("bagger", StateReport(state="running", historical=True), at=at)
        line.report("bagger", StateReport(state="running"), at=at, retained=True)
    assert flags(line) == [(False, False)]


@pytest.mark.parametrize(
    ("equipment_id", "body", "ends"),
    [
        ("bagger", DeathReport(boot_id="a"), True),
        (None, DeathReport(), True),
        (None, BirthReport(), False),
        (None, JobReport(action="assign", job_id="J1", product="crisps", target_quantity=9), False),
        ("packer", DeathReport(), False),
    ],
)
def test_a_death_ends_the_session_of_all_devices_behind_it(
    equipment_id: str | None, body: ReportBody, *, ends: bool
) -> None:
    """A gateway that is gone has its machines no longer send anything; its birth makes nothing understood."""
    line = started()
    for at in range(10, 101, 10):
        duplicate(line, at)
    line.report(equipment_id, body, at=110)
    assert line.core.devices.ineffective_devices() == ({} if ends else {"bagger": "duplicate"})
    assert flags(line)[-1][0] is not ends
    line.wait(1_000)
    assert flags(line)[-1][0] is not ends


@pytest.mark.parametrize("is_started", [True, False])
def test_an_ineffective_source_of_the_line_is_flagged_on_the_lines_status(*, is_started: bool) -> None:
    """Also where no machine of it was ever seen; the machines are not what is not understood."""
    line = started() if is_started else PackingLine()
    for at in range(10, 81, 10):
        line.report(None, StateReport(state="running"), at=at)
    assert flags(line, None)[-1] == (True, True)
    assert line.of(EventType.LINE_STATUS_UPDATE)[-1].timestamp == T0 + 70_000
    assert all(flag == (False, False) for flag in flags(line))
    assert line.core.devices.ineffective_devices() == {"_": "needs_equipment"}
    line.report(None, JobReport(action="assign", job_id="J1", product="crisps", target_quantity=9), at=90)
    assert flags(line, None)[-1] == (False, False)


def test_the_line_stays_ineffective_while_its_machine_is_or_its_own_source_is() -> None:
    line = started()
    for at in range(10, 81, 10):
        line.report(None, StateReport(state="running"), at=at)
        duplicate(line, at)
    line.report("bagger", StateReport(state="running", boot_id="a", seq=2), at=90)
    assert flags(line, None)[-1] == (True, True)
    assert flags(line)[-1] == (False, False)


class DrivenIntake:
    """Messages as bytes, through the intake."""

    def __init__(self) -> None:
        self.floor = Floor(plant_file())
        self.intake = driven_intake(self.floor, doubt_ms=1_000)

    def take(self, topic: str, payload: bytes, *, at: float) -> None:
        self.tick(at)
        take(self.intake, topic, payload, now=T0 + round(at * 1000))

    def tick(self, at: float) -> list[Event]:
        return [event for _, events in self.floor.tick(T0 + round(at * 1000)) for event in events]


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        ("state", b"\xff", "not_utf8"),
        ("state", b"{", "not_json"),
        ("state", b'{"state": 7}', "wrong_type:state"),
        ("state", b'{"state": "dancing"}', "bad_format:state"),
        ("counts", b"{}", "needs_a_counter"),
        ("bogus", b"{}", "unknown_kind"),
        ("state", b'{"state": "running", "source_quality": "bad"}', "bad_quality"),
    ],
)
def test_messages_that_are_not_understood_make_their_device_ineffective(kind: str, payload: bytes, reason: str) -> None:
    """Also where nothing of the line was ever understood."""
    intake = DrivenIntake()
    for at in range(0, 50, 10):
        intake.take(f"report/north/pack/L1/feeder/{kind}", payload, at=at)
    (event,) = [event for event in intake.tick(60) if event.place.equipment == "feeder"]
    assert event.quality.ineffective
    assert event.timestamp == T0 + 60_000
    assert intake.floor.ineffective_devices() == {Place("north", "pack", "L1", "feeder"): reason}


@pytest.mark.parametrize("topic", ["report/north/pack/L9/x/state", "report/north/pack/L1/x/state", "report/x", "x"])
def test_messages_of_an_unknown_place_count_for_no_device(topic: str) -> None:
    intake = DrivenIntake()
    for at in range(0, 200, 10):
        intake.take(topic, b"{", at=at)
    assert intake.floor.ineffective_devices() == {}


@pytest.mark.parametrize("branch", [TopicBranch.REPORT, TopicBranch.COMMAND])
@pytest.mark.parametrize("payload", [b"0123456789abcdef", b'{"state": "running"}'])
def test_a_message_of_the_probe_at_the_place_of_a_device_changes_nothing(branch: TopicBranch, payload: bytes) -> None:
    intake, untouched = DrivenIntake(), DrivenIntake()
    for equipment in (None, "feeder", "robot"):
        place = Place("north", "pack", "L1", equipment)
        for at in range(0, 200, 10):
            intake.take(real_topic(branch, place), payload, at=at)
    assert intake.tick(200) == untouched.tick(200)
    assert intake.floor.ineffective_devices() == {}
    assert intake.floor.checkpoint("L1") == untouched.floor.checkpoint("L1")
