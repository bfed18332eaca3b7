"""Contract of a rebuild: what is open afterwards agrees with the timeline that led up to now."""

from bridge.domain.line.downtime.stop_tracker import Signal, StopState, StopTracker
from bridge.domain.line.downtime.timeline import Timeline
from bridge.domain.reports import Moment
from tests.domain.line.downtime.stopped_bagger import stopped_line
from tests.support.packing_line import T0, state_of


def test_a_timeline_that_runs_now_leaves_no_downtime_open() -> None:
    """Even one that begins after the downtime did, and so cannot hold its end."""
    line = stopped_line()
    line.wait(200)
    assert state_of(line.core).downtimes.open is not None
    tracker = StopTracker(StopState(), micro_ms=60_000, restart_ms=10_000)
    timeline = Timeline(tracker, T0 + 150_000, segments=[])
    tracker.feed(Signal.RUN, at=T0 + 150_000)
    timeline.advance(T0 + 200_000)
    line.core.downtimes.rebuild(timeline, open_before=None, changeover_since=None, moment=Moment(at=T0 + 200_000))
    assert state_of(line.core).downtimes.open is None
