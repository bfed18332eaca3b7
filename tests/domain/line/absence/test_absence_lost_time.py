"""Time found to be lost after an absence was evaluated belongs to a downtime: OEE and downtimes agree."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data
from bridge.domain.reports import DowntimeReport, ReportBody, StateReport
from bridge.domain.utc_time import Millis
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.buffered_bagger import BufferedBagger, line_of, send, store
from tests.domain.line.output.test_oee_base import closed
from tests.domain.line.output.test_oee_oracle import millis
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

LATE_SHIFT = 4 * 3_600


def spans(line: PackingLine, until: float) -> list[tuple[float, float]]:
    """Return when each downtime began and ended, in seconds, as last reported; an open one lasts until now."""
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    last = {name: downtime for name, downtime in last.items() if not downtime.micro_stop}
    ends = {name: until if downtime.ended_at is None else second(downtime.ended_at) for name, downtime in last.items()}
    return sorted((second(downtime.started_at), ends[name]) for name, downtime in last.items())


def second(instant: str) -> float:
    return (millis(instant) - T0) / 1000


def lost(window: event_data.Oee) -> float:
    return window.planned_busy_seconds - window.actual_production_seconds


def inside(window: event_data.Oee, stops: list[tuple[float, float]]) -> float:
    assert window.window_end is not None
    since, until = second(window.window_start), second(window.window_end)
    return sum(max(0, min(end, until) - max(start, since)) for start, end in stops)


@pytest.mark.parametrize("begin", [0, LATE_SHIFT - 150])
def test_a_stop_of_an_absence_that_a_later_report_proves_is_a_downtime(begin: int) -> None:
    """The bagger is silent, so the absence is evaluated without it; its next report lacks nothing before it."""
    line = line_of()
    bagger = BufferedBagger(line)
    for machine in ("feeder", "packer"):
        line.report(machine, StateReport(state="running"), at=begin)
    bagger.state("running", begin)
    bagger.state("fault", begin + 100)
    absent(line, begin + 101, begin + 160)
    line.report("feeder", StateReport(state="running"), at=begin + 160)
    line.wait(begin + 3_000)
    bagger.state("fault", begin + 3_000)
    line.wait(begin + 3_100)
    line.report(
        "packer", StateReport(state="running", ts=T0 + (begin + 150) * 1000), at=begin + 3_100
    )  # changes nothing
    line.wait(begin + 3_200)
    downtimes = spans(line, begin + 3_200)
    assert downtimes[0] == (begin + 100, begin + 250), "up to when it was gone through: then it was shown as unknown"
    for window in closed(line, "shift"):
        assert lost(window) == inside(window, downtimes)
    assert sum(end - start for start, end in downtimes) == 150 + 200


@pytest.mark.parametrize("confirmed", [False, True])
def test_more_of_a_stop_that_becomes_known_is_of_its_downtime_unless_that_is_confirmed(*, confirmed: bool) -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    stored = store(bagger, (300, 900), (310, "fault"), (410, "fault"), (500, "fault"), (890, "running"))
    bagger.state("running", 901)
    send(bagger, stored[:2], 1_000)
    line.wait(1_010)
    assert spans(line, 1_010) == [(310, 410)]
    if confirmed:
        line.report("desk", DowntimeReport(action="confirm", downtime_id="L1.down.1"), at=1_011)
    send(bagger, stored[2:], 1_020)
    line.wait(1_100)
    assert spans(line, 1_100) == ([(310, 410), (410, 890)] if confirmed else [(310, 890)])
    (window,) = {window.window_start: window for window in line.oee("shift")}.values()
    assert lost(window) == 580


class PartlyReceivedLine:
    """A seeded history of three machines, of which the bridge receives a part, late or in the wrong order."""

    def __init__(self, seed: int) -> None:
        self.random = rnd = random.Random(seed)
        self.line = PackingLine(
            plant_file(
                line_spec(equipment=equipment(clock=rnd.choice(("device", "device", "receive")))),
                restart_seconds=rnd.choice((0, 10, 60)),
            )
        )
        self.at = rnd.choice((0.0, LATE_SHIFT - 400, 3 * LATE_SHIFT - 400))
        self.seq = 0
        self.away: float | None = None
        self.waiting: list[ReportBody] = []
        self.store: list[ReportBody] = []

    def report(self) -> None:
        rnd = self.random
        state = rnd.choice(("running", "running", "stopped", "fault", "idle"))
        self.seq += rnd.choice((1, 1, 1, 1, 1, 1, 2))
        body = StateReport(state=state, ts=self.now, boot_id=1, seq=self.seq)
        if self.away is not None or rnd.random() < 0.05:
            (self.store if rnd.random() < 0.2 else self.waiting).append(body)
        else:
            self.line.report("bagger", body, at=self.at)

    @property
    def now(self) -> Millis:
        return T0 + round(self.at * 1000)

    def go(self) -> None:
        rnd = self.random
        for machine in ("feeder", "packer", "bagger"):
            self.line.report(machine, StateReport(state="running"), at=self.at)
        for _ in range(rnd.randrange(10, 60)):
            self.at = round(self.at + rnd.choice((0.5, 5, 10, 30, 61, 61, 130, 1_000)), 1)
            if self.away is None and rnd.random() < 0.15:
                self.away = self.at
            elif self.away is not None and rnd.random() < 0.4:
                absent(self.line, self.away, self.at)
                self.away = None
            elif self.away is None and rnd.random() < 0.3:
                self.send_buffer(self.waiting)
            elif self.away is None and rnd.random() < 0.1:
                self.send_buffer(self.store)
            elif self.away is None and rnd.random() < 0.3:
                self.line.report("feeder", StateReport(state=rnd.choice(("running", "fault"))), at=self.at)
            else:
                self.report()
        if self.away is not None:
            absent(self.line, self.away, self.at)
        self.send_buffer(self.waiting)
        self.send_buffer(self.store)
        self.at = round(self.at + 12 * 3_600)
        self.line.wait(self.at)

    def send_buffer(self, buffered: list[ReportBody]) -> None:
        for body in buffered:
            self.at = round(self.at + 0.01, 2)
            self.line.report("bagger", body, at=self.at)
        buffered.clear()
        if self.random.random() < 0.1:
            self.line.restart()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_all_time_that_a_line_lost_is_of_its_downtimes(seed: int) -> None:
    """In every window; a downtime may hold unknown time too, and then it is longer."""
    run = PartlyReceivedLine(seed)
    run.go()
    downtimes = spans(run.line, run.at)
    assert all(start < end for start, end in downtimes)
    assert all(before[1] <= after[0] for before, after in pairwise(downtimes)), "none overlap"
    for kind in ("shift", "hour"):
        for window in closed(run.line, kind):
            long = inside(window, downtimes)
            assert lost(window) <= long + 1e-6
            if not window.unknown_seconds:
                assert lost(window) == pytest.approx(long)
