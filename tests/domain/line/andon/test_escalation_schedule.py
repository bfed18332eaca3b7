"""A call's clock stands still outside scheduled time, unless the call is critical."""

from typing import Final

from bridge.domain.event_data import AndonType, Escalation
from bridge.domain.events import EventType
from bridge.domain.reports import AndonReport
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file, seconds

LATE_END: Final = 12 * 3_600.0  # T0 is 10:00; the late shift ends at 22:00, the early one begins at 06:00
EARLY_START: Final = 20 * 3_600.0
MINUTE: Final = 60.0


def rungs(at: float, andon_type: AndonType) -> list[tuple[float, int, str | None]]:
    """Raise a call and tell when what happened to it, and the level."""
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    line.report("bagger", AndonReport(action="raise", andon_type=andon_type), at=at)
    line.wait(at + 24 * 3_600)
    escalations: list[tuple[float, int, str | None]] = [
        (seconds(event.timestamp), event.data.level, event.data.cause)
        for event in line.of(EventType.ESCALATION_UPDATE, "bagger")
        if isinstance(event.data, Escalation)
    ]
    assert escalations.pop(0) == (at, 0, None)
    return escalations


def test_a_call_raised_in_a_shifts_last_minutes_continues_in_the_next() -> None:
    """Process is medium: 10 to acknowledge, 45 to resolve, steps of 10, reminders at 5 and at 35."""
    raised = LATE_END - 7 * MINUTE
    assert rungs(raised, "process") == [
        (raised + 5 * MINUTE, 0, "reminder"),
        (EARLY_START + 3 * MINUTE, 1, "ack_timeout"),
        (EARLY_START + 13 * MINUTE, 2, "ack_timeout"),
        *((EARLY_START + minute * MINUTE, 2, "reminder") for minute in (23, 28, 38, 48, 58)),
    ]


def test_a_call_raised_at_night_waits_for_the_morning() -> None:
    escalations = rungs(LATE_END + 3_600, "equipment")
    assert escalations[0] == (EARLY_START + 5 * MINUTE, 1, "ack_timeout")


def test_a_critical_call_is_made_without_delay() -> None:
    raised = LATE_END - 1 * MINUTE
    assert rungs(raised, "safety") == [
        (raised + 2 * MINUTE, 1, "ack_timeout"),
        (raised + 4 * MINUTE, 2, "ack_timeout"),
        *((raised + minute * MINUTE, 2, "reminder") for minute in (6, 15, 17, 19)),
    ]


def test_the_deadline_reported_is_the_one_that_comes() -> None:
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    line.report("bagger", AndonReport(action="raise", andon_type="equipment"), at=LATE_END - 2 * MINUTE)
    (raised,) = [event.data for event in line.of(EventType.ESCALATION_UPDATE, "bagger")]
    assert isinstance(raised, Escalation)
    assert raised.deadline == "2026-01-06T05:03:00.000Z"
    assert raised.minutes_remaining == 8 * 60 + 5
