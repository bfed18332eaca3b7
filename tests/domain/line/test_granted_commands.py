"""Commands on the line, or on what they name, have an effect only where they are granted; reports need no grant."""

import pytest

from bridge.domain.reports import (
    APPLIED,
    Actor,
    AndonReport,
    ChangeoverReport,
    DowntimeReport,
    JobReport,
    ReportBody,
    StateReport,
    rejected,
)
from tests.support.packing_line import PackingLine

RAISE = AndonReport(action="raise", andon_type="quality")


@pytest.mark.parametrize(
    "body",
    [
        JobReport(action="assign", job_id="J1", product="crisps", target_quantity=5, assigned_to="eva"),
        ChangeoverReport(action="start", to_product="nuts"),
        DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="CLEAN"),
    ],
)
@pytest.mark.parametrize("equipment", [None, "bagger"])
def test_what_concerns_the_line_needs_a_grant_for_the_line(body: ReportBody, equipment: str | None) -> None:
    line = PackingLine()
    line.report("bagger", StateReport(state="running"), at=0)
    line.report("bagger", StateReport(state="stopped"), at=10)
    line.wait(400)
    for granted_at, expected in ((("bagger",), rejected("not_granted")), (("_",), APPLIED)):
        outcome = line.report(equipment, body, at=400, actor=Actor("lea", ("team_leader",), granted_at))
        assert outcome.disposition == expected
        assert bool(outcome.events) == (expected == APPLIED)


def test_a_call_is_raised_where_that_is_granted() -> None:
    for equipment, granted_at, expected in (
        ("bagger", ("_", "desk"), rejected("not_granted")),
        (None, ("bagger",), rejected("not_granted")),
        ("bagger", ("bagger",), APPLIED),
        (None, ("_",), APPLIED),
        (None, ("+",), APPLIED),
    ):
        outcome = PackingLine().report(equipment, RAISE, at=1, actor=Actor("lea", (), granted_at))
        assert outcome.disposition == expected, (equipment, granted_at)
    assert PackingLine().report("bagger", RAISE, at=1).disposition == APPLIED
