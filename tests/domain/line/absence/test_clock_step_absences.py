"""A host's clock that is set forward while a device with a trusted clock is offline.

Its absence is rebuilt before the step, and a new one begins after it: what the device reports later of both is counted
where it happened.
"""

import pytest

from bridge.domain.utc_time import rfc3339
from tests.domain.line.absence.absent_devices import (
    BufferingDevice,
    last_of,
    report_every_minute,
    running,
    two_that_decide,
)
from tests.domain.line.output.test_oee_base import closed
from tests.domain.line.test_clock_step import step
from tests.support.packing_line import T0, PackingLine

LOST = 590
BACK = 990
STEP = 300


def absent_bagger(
    *states: tuple[float, str], stepped_at: float | None, stopped_at: float | None = None, restarts: bool = False
) -> PackingLine:
    """Return a line whose bagger was offline from LOST to BACK and buffered `states`.

    Instants are those of a clock that was right from the start: after the step, STEP is added to them.
    """
    line, bagger = running()
    if stopped_at is not None:
        bagger.state("fault", stopped_at)
    bagger.disconnect(LOST)
    play(line, [(at, bagger, state) for at, state in states] + [(BACK, bagger, None)], stepped_at, restarts=restarts)
    return line


def play(
    line: PackingLine,
    changes: list[tuple[float, BufferingDevice, str | None]],
    stepped_at: float | None,
    *,
    restarts: bool = False,
) -> None:
    """Let machines change their states, or reconnect (None), with a step of the clock in between."""
    shift = 0
    for at, machine, state in sorted(changes, key=lambda change: change[0]):
        if stepped_at is not None and at > stepped_at and not shift:
            step(line, stepped_at, STEP)
            shift = STEP
            if restarts:
                line.restart()
        if state is None:
            machine.reconnect(at + shift)
        else:
            machine.state(state, at + shift)
    report_every_minute(changes[-1][1], BACK + 60 + shift, 4_000 + shift)


def unknown(line: PackingLine) -> float:
    return sum(window.unknown_seconds for window in closed(line))


def lost(line: PackingLine) -> float:
    """Return the seconds of the line's closed hours that downtimes took."""
    return sum(window.planned_busy_seconds - window.actual_production_seconds for window in closed(line))


def spans(line: PackingLine) -> list[tuple[str, float | None]]:
    return [(downtime.started_at, downtime.duration_seconds) for downtime in last_of(line)]


def at(second: float) -> str:
    return rfc3339(T0 + round(second * 1000))


def test_a_stop_from_before_the_step_keeps_its_begin() -> None:
    """It was dated LOST + STEP, an instant that the clock skipped. It is a downtime on each side of the step."""
    line = absent_bagger((620, "fault"), (770, "running"), stepped_at=700)
    assert spans(line) == [(at(620), 80), (at(700 + STEP), 70)]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("stepped_at", [LOST + 0.001, 600, 659, 720, 900, BACK - 1])
@pytest.mark.parametrize("ended_at", [780, 970, 1_300])
def test_as_much_time_is_lost_as_without_the_step_and_only_the_step_is_unknown(
    *, ended_at: float, stepped_at: float, restarts: bool
) -> None:
    """Both sides are rebuilt separately; no part of the stop is too short for a downtime, nor the restart too short."""
    states = ((660, "fault"), (ended_at, "running"))
    line = absent_bagger(*states, stepped_at=stepped_at, restarts=restarts)
    assert lost(line) == lost(absent_bagger(*states, stepped_at=None)) == ended_at - 660
    assert unknown(line) == STEP


def test_a_line_that_lost_two_machines_is_rebuilt_once_for_each_side_of_the_step() -> None:
    line, bagger, packer = two_that_decide()
    bagger.disconnect(500)
    packer.disconnect(LOST)
    play(
        line,
        [(620, bagger, "fault"), (800, bagger, "running"), (BACK, bagger, None), (BACK, packer, None)],
        stepped_at=700,
    )
    assert spans(line) == [(at(620), 80), (at(700 + STEP), 100)]
    assert (lost(line), unknown(line)) == (180, STEP)


@pytest.mark.parametrize(("ended_at", "lost_seconds"), [(620, 0), (645, 65)])
def test_a_stop_that_began_before_the_absence_is_no_longer_for_the_step(ended_at: float, lost_seconds: float) -> None:
    """It had lasted 20 s when the clock was set forward; a stop of 40 s is a minor stop, one of 65 s a downtime."""
    line = absent_bagger((ended_at, "running"), stopped_at=580, stepped_at=600)
    assert (lost(line), unknown(line)) == (lost_seconds, STEP)
    assert [downtime.micro_stop for downtime in last_of(line)] == [lost_seconds == 0]
