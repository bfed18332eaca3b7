"""A line that works by jobs and has none: it is stopped for want of an order, and no call is made."""

import pytest

from bridge.domain.events import EventType, Priority
from bridge.domain.reports import JobReport, StateReport
from tests.support.packing_line import PackingLine, seconds

RUNNING = StateReport(state="running")
IDLE = StateReport(state="idle")
FAULT = StateReport(state="fault", fault_bits=[0])


def out_of_orders() -> PackingLine:
    """A job ran from 0 and completed at 100; the line idles since."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report(None, JobReport(action="assign", job_id="J", product="crisps", target_quantity=9), at=1)
    line.report(None, JobReport(action="start", job_id="J"), at=2)
    line.report(None, JobReport(action="complete", job_id="J"), at=100)
    line.report("bagger", IDLE, at=100)
    return line


def test_a_stop_without_an_order_is_a_planned_downtime_and_makes_no_call() -> None:
    line = out_of_orders()
    line.wait(1_000)
    assert line.statuses()[-1].cause == "no_order"
    (opened,) = line.downtimes()
    assert (opened.cause, opened.category, opened.cause_equipment) == ("planned", "planned", None)
    assert line.of(EventType.DOWNTIME_EVENT)[0].priority is Priority.MEDIUM
    assert line.of(EventType.ANDON_EVENT, "bagger") == []


def test_it_stays_planned_when_the_next_order_starts() -> None:
    line = out_of_orders()
    line.wait(500)
    line.report(None, JobReport(action="assign", job_id="K", product="crisps", target_quantity=9), at=600)
    line.report(None, JobReport(action="start", job_id="K"), at=600)
    line.report("bagger", RUNNING, at=610)
    line.wait(700)
    closed = line.downtimes()[-1]
    assert (closed.status, closed.cause, closed.category, closed.duration_seconds) == (
        "closed",
        "planned",
        "planned",
        510,
    )


def test_a_fault_meanwhile_is_the_cause_and_calls_for_help() -> None:
    line = out_of_orders()
    line.report("bagger", FAULT, at=200)
    line.wait(1_000)
    last = line.downtimes()[-1]
    assert (last.cause, last.category, last.cause_equipment) == ("internal", "unplanned", "bagger")
    called = line.of(EventType.ANDON_EVENT, "bagger")[0]
    assert seconds(called.timestamp) == 200 + 300  # five minutes of the fault: until then no call was due


@pytest.mark.parametrize("state", ["stopped", "maintenance"])
def test_only_an_idle_line_waits_for_an_order(state: str) -> None:
    line = out_of_orders()
    line.report("bagger", RUNNING, at=110)
    line.report("bagger", StateReport(state=state), at=120)
    line.wait(200)
    assert line.downtimes()[-1].cause == "unknown"
