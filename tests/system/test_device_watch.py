"""A device that is alive and without effect is named in the log, once, and counted by line."""

from structlog.testing import capture_logs

from bridge.core.intake import Intake
from bridge.core.line.floor import Floor
from bridge.core.records import KnownResends, Position
from bridge.core.resends import Resends
from bridge.ingest.native import decode
from bridge.pipeline.device_watch import DeviceWatch
from tests.core.line.shopfloor import T0, plant_file

TOPIC = "report/north/pack/L1/bagger/state"


def take(intake: Intake, payload: bytes, *, at: int) -> None:
    now = T0 + at * 1000
    intake.tick(now)
    decoded = intake.read(TOPIC, payload, now=now, retained=False, redelivered=False, generation=1)
    intake.apply(decoded, known=None)


def test_a_device_without_effect_is_logged_when_it_begins_and_when_it_ends() -> None:
    resends = Resends(KnownResends((), 0), doubt_ms=1_000)
    position = Position("s", "e", 0)
    intake = Intake(
        Floor(plant_file()), decode=decode, position=position, last_input=(0, 0), resends=resends, suspects=()
    )
    watch = DeviceWatch(intake)
    assert watch.by_line() == {"L1": 0}
    with capture_logs() as logs:
        for at in range(0, 100, 10):
            take(intake, b'{"state": "dancing"}', at=at)
            watch.look()
        assert watch.by_line() == {"L1": 1}
        take(intake, b'{"state": "running"}', at=100)
        watch.look()
        watch.look()
    place = "north/pack/L1/bagger"
    assert [(each["event"], each["log_level"], each["place"], each.get("reason")) for each in logs] == [
        ("pipeline.device_ineffective", "warning", place, "bad_format:state"),
        ("pipeline.device_effective", "warning", place, None),
    ]
    assert watch.by_line() == {"L1": 0}
