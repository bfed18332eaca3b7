"""Reclassification of a scope's unknown time once it is known, in every window, with its pieces."""

from collections.abc import Sequence

from bridge.domain.line.downtime.timeline import Segment
from bridge.domain.line.output.oee_state import OeeState, TimeStretch, UnattributedPieces
from bridge.domain.line.output.oee_window import TimeClass
from bridge.domain.line.output.piece_shares import distribute_pieces
from bridge.domain.utc_time import Millis


def fill_unknown_time(state: OeeState, segments: Sequence[Segment]) -> list[TimeStretch]:
    """Move unknown time that lies in known segments to their class; return what moved, in order of time."""
    moved: list[TimeStretch] = []
    remaining: list[TimeStretch] = []
    for unknown in state.unknown:
        at = unknown.start
        for segment in segments:
            start, end = max(segment.start, at), min(segment.end, unknown.end)
            if start >= end or segment.time_class is TimeClass.UNKNOWN:
                continue
            part = TimeStretch(start, end, segment.time_class, unknown.job_id)
            state.reclassify(unknown.time_class, segment.time_class, part)
            moved.append(part)
            if at < start:
                remaining.append(TimeStretch(at, start, unknown.time_class, unknown.job_id))
            at = end
        if at < unknown.end:
            remaining.append(TimeStretch(at, unknown.end, unknown.time_class, unknown.job_id))
    state.unknown = remaining
    for part in moved:
        _attribute_pieces(state, part)
        if part.time_class is TimeClass.DOWN:
            state.add_down(part)
    return moved


def replace_provisional(
    state: OeeState, before: Sequence[TimeStretch], segments: Sequence[Segment]
) -> list[TimeStretch]:
    """Give provisional time its final class; return it, in order of time.

    It is the time of the stop or restart from `before` the scope was lost, and what counted as stopped after that.
    """
    parts: list[TimeStretch] = []
    for stretch in state.provisional:
        for part in _cut_by_segments(stretch, segments):
            parts.append(part)
            _reclassify(state, stretch.time_class, part)
    state.provisional = []
    for stretch in before:
        _set_class(stretch, _cut_by_segments(stretch, segments))
    return parts


def reclassify_downtime(
    state: OeeState, before: Sequence[TimeStretch], segments: Sequence[Segment]
) -> list[TimeStretch]:
    """Move time of a stop from before the absence that turns out to belong to a downtime.

    A downtime that has ended meanwhile keeps its end.
    """
    moved: list[TimeStretch] = []
    for stretch in before:
        if stretch.time_class is TimeClass.BUSY:
            parts = [part for part in _cut_by_segments(stretch, segments) if part.time_class is not TimeClass.BUSY]
            for part in parts:
                _reclassify(state, TimeClass.BUSY, part)
            _set_class(stretch, parts)
            moved += parts
    return moved


def _cut_by_segments(stretch: TimeStretch, segments: Sequence[Segment]) -> list[TimeStretch]:
    """Return a stretch, cut and classed by the segments."""
    spans = [
        (max(segment.start, stretch.start), min(segment.end, stretch.end), segment.time_class) for segment in segments
    ]
    return [TimeStretch(start, end, time_class, stretch.job_id) for start, end, time_class in spans if start < end]


def _set_class(stretch: TimeStretch, parts: Sequence[TimeStretch]) -> None:
    """Set the class of a stretch that `parts` did not cut."""
    if len(parts) == 1 and (parts[0].start, parts[0].end) == (stretch.start, stretch.end):
        stretch.time_class = parts[0].time_class


def _reclassify(state: OeeState, old: TimeClass, part: TimeStretch) -> None:
    """Move a part from class `old` to its own, in every window and in the remembered down and unknown time."""
    if part.time_class is old:
        return
    state.reclassify(old, part.time_class, part)
    if old is TimeClass.DOWN:
        state.remove_down(part.start, part.end)
    if part.time_class is TimeClass.DOWN:
        state.add_down(part)
    elif part.time_class is TimeClass.UNKNOWN:
        state.add_unknown(part)


def stretches_since(parts: Sequence[TimeStretch], mark: Millis | None) -> list[TimeStretch]:
    """Return the stretches whose class may still change by a stop or restart that began at `mark`."""
    if mark is None:
        return []
    after = [stretch for stretch in parts if stretch.end > mark]
    return [TimeStretch(max(stretch.start, mark), stretch.end, stretch.time_class, stretch.job_id) for stretch in after]


def _attribute_pieces(state: OeeState, part: TimeStretch) -> None:
    """Count the pieces of a stretch that is no longer unknown, in the windows it lies in."""
    remaining: list[UnattributedPieces] = []
    for pieces in state.unattributed:
        start, end = max(part.start, pieces.start), min(part.end, pieces.end)
        if start >= end:
            remaining.append(pieces)
            continue
        shares = distribute_pieces(
            pieces.total, pieces.good, start=pieces.start, end=pieces.end, unknown=[], bounds=[start, end]
        )
        for share in shares:
            if share.start != start:
                remaining.append(
                    UnattributedPieces(
                        share.start, share.end, share.total, share.good, pieces.ideal_cycle, pieces.assumed
                    )
                )
                continue
            for window in state.windows_containing(share.start, share.end):
                window.unknown_total -= share.total
                window.unknown_good -= share.good
                window.add_pieces(share.total, share.good, ideal_cycle=pieces.ideal_cycle, assumed=pieces.assumed)
    state.unattributed = remaining
