"""Unknown time of a scope that becomes known: it goes to its class in every window, and its pieces come back."""

from collections.abc import Sequence

from bridge.core.events import Millis
from bridge.core.line.oee_state import Apart, OeeState, Stretch
from bridge.core.line.oee_window import TimeClass
from bridge.core.line.shares import share_out
from bridge.core.line.timeline import Segment


def fill_in(state: OeeState, segments: Sequence[Segment]) -> list[Stretch]:
    """Move the unknown time that lies in known segments to their class; returns what moved, in order of time."""
    moved: list[Stretch] = []
    left: list[Stretch] = []
    for unknown in state.unknown:
        at = unknown.start
        for segment in segments:
            start, end = max(segment.start, at), min(segment.end, unknown.end)
            if start >= end or segment.time_class is TimeClass.UNKNOWN:
                continue
            part = Stretch(start, end, segment.time_class, unknown.job_id)
            state.move(unknown.time_class, segment.time_class, part)
            moved.append(part)
            if at < start:
                left.append(Stretch(at, start, unknown.time_class, unknown.job_id))
            at = end
        if at < unknown.end:
            left.append(Stretch(at, unknown.end, unknown.time_class, unknown.job_id))
    state.unknown = left
    for part in moved:
        _bring_back(state, part)
        if part.time_class is TimeClass.DOWN:
            state.note_down(part)
    return moved


def correct(state: OeeState, before: Sequence[Stretch], segments: Sequence[Segment], *, goes_on: bool) -> list[Stretch]:
    """Move time before the absence whose class turned out otherwise, once: a stop that went on, a restart that held.

    Afterwards (not `goes_on`) only the former: a downtime that has ended meanwhile keeps its end.
    """
    moved: list[Stretch] = []
    for known in before:
        if not goes_on and known.time_class is not TimeClass.BUSY:
            continue
        for segment in segments:
            start, end = max(segment.start, known.start), min(segment.end, known.end)
            if start >= end or segment.time_class is known.time_class:
                continue
            part = Stretch(start, end, segment.time_class, known.job_id)
            state.move(known.time_class, segment.time_class, part)
            moved.append(part)
            if part.time_class is TimeClass.DOWN:
                state.note_down(part)
            else:
                state.forget_down(start, end)
            if (start, end) == (known.start, known.end):
                known.time_class = segment.time_class
    return moved


def since_mark(parts: Sequence[Stretch], mark: Millis | None) -> list[Stretch]:
    """Return the stretches whose class a stop or restart that began at `mark` may yet change."""
    if mark is None:
        return []
    after = [each for each in parts if each.end > mark]
    return [Stretch(max(each.start, mark), each.end, each.time_class, each.job_id) for each in after]


def _bring_back(state: OeeState, part: Stretch) -> None:
    """Count the pieces of this stretch where its time now counts."""
    left: list[Apart] = []
    for apart in state.apart:
        start, end = max(part.start, apart.start), min(part.end, apart.end)
        if start >= end:
            left.append(apart)
            continue
        shares = share_out(apart.total, apart.good, start=apart.start, end=apart.end, unknown=[], bounds=[start, end])
        for share in shares:
            if share.start != start:
                left.append(Apart(share.start, share.end, share.total, share.good, apart.ideal_cycle, apart.assumed))
                continue
            for window in state.holding(share.start, share.end):
                window.unknown_total -= share.total
                window.unknown_good -= share.good
                window.add(share.total, share.good, ideal_cycle=apart.ideal_cycle, assumed=apart.assumed)
    state.apart = left
