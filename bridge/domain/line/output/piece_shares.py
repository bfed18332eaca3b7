"""Shares of counted pieces by time: pieces and time get the same windows and classes (ISO 22400-2).

A counter sample shows how many pieces were made since the one before it, not when. If a part of that time is unknown or
lies in another window, pieces are distributed by the length of each part, as if made evenly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.domain.line.output.oee_state import TimeStretch
from bridge.domain.utc_time import Millis


@dataclass(frozen=True, slots=True)
class PieceShare:
    """Pieces of [start, end); `unknown`: nobody knows whether the line ran then."""

    start: Millis
    end: Millis
    total: int
    good: int
    unknown: bool


def distribute_pieces(
    total: int, good: int, *, start: Millis, end: Millis, unknown: Sequence[TimeStretch], bounds: Iterable[Millis]
) -> list[PieceShare]:
    """Cut [start, end) where unknown time begins or ends, and at `bounds`; the shares add up to all pieces."""
    edges = {start, end, *bounds, *(stretch.start for stretch in unknown), *(stretch.end for stretch in unknown)}
    cuts = sorted(at for at in edges if start <= at <= end)
    shares: list[PieceShare] = []
    shared = shared_good = 0
    for left, right in pairwise(cuts):
        total_until = total * (right - start) // (end - start)
        # good pieces are spread evenly over all pieces: no share has more good ones than pieces
        good_until = good * total_until // total if total else good * (right - start) // (end - start)
        is_unknown = any(stretch.start <= left and right <= stretch.end for stretch in unknown)
        shares.append(PieceShare(left, right, total_until - shared, good_until - shared_good, is_unknown))
        shared, shared_good = total_until, good_until
    return shares
