"""A device that resends reports of the previous connection after the birth of the next boot."""

import pytest
from msgspec.structs import replace

from bridge.domain.reports import BirthReport, CountsReport, DeathReport, ReportBody, StateReport
from tests.support.packing_line import T0, PackingLine


def connection(boot: int, since: int, *states: str, ts: bool) -> list[ReportBody]:
    """Return a birth, states and counts of one boot, ten seconds apart."""
    bodies: list[ReportBody] = [BirthReport()]
    for index, state in enumerate(states):
        bodies += [StateReport(state=state), CountsReport(total=1_000 + since + index)]
    return [
        replace(body, boot_id=boot, seq=seq, ts=T0 + since * 1_000 + seq * 5_003 if ts else None)
        for seq, body in enumerate(bodies)
    ]


def test_the_new_boot_continues_after_the_old_one_was_redelivered() -> None:
    line = PackingLine()
    old, new = connection(71, 0, "running", "running", ts=True), connection(72, 100, "fault", "running", ts=True)
    for index, body in enumerate(old):
        line.report("bagger", body, at=5 * index)
    line.report("bagger", DeathReport(boot_id=71, seq=0), at=60)
    birth, *states = new
    line.report("bagger", birth, at=100)
    for body in old:
        assert line.report("bagger", body, at=100.1).disposition.reason == "duplicate"
    for index, body in enumerate(states):
        assert line.report("bagger", body, at=105 + 5 * index).disposition.reason is None
    assert [status.status for status in line.statuses("bagger")] == [
        "offline",
        "running",
        "offline",
        "fault",
        "running",
    ]


@pytest.mark.parametrize("ts", [True, False])
def test_a_boot_id_that_is_used_again_is_a_start(*, ts: bool) -> None:
    """Its clock has gone on, or nothing but its id is known."""
    line = PackingLine()
    for boot, since in ((71, 0), (72, 100), (71, 200)):
        for index, body in enumerate(connection(boot, since, "running", "fault", ts=ts)):
            assert line.report("bagger", body, at=since + 5 * index).disposition.reason is None
        line.report("bagger", DeathReport(boot_id=boot, seq=0), at=since + 60)
