"""Sequence of one boot's numbered reports: accepted positions, missing positions, and proof of repeats.

Modelled on the sequence validation of RFC 3550 A.1. A number alone proves nothing: devices jump, wrap and restart at 0.
So a report is a repeat only if both its position in the run and a checksum of its content match.
"""

import hashlib
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct, field

from bridge.domain.reports import ReportBody
from bridge.domain.utc_time import Millis

MAX_HOLES: Final = 64  # missing ranges kept: bounds what jumps of the sequence can store
MAX_CHECKSUMS: Final = 128  # latest positions whose content is known; bounds a device's checkpoint
MAX_PAST_CHECKSUMS: Final = 32  # the same for a past boot
MAX_REORDER: Final = 64  # how far before the first number seen a report counts as overtaken
STRAY_REACH: Final = 64  # how far after a stray number the next one confirms a restart of the sequence
LIKELY_JUMP: Final = 65_536  # reports that may be missing at once, whatever the time between
LIKELY_RATE: Final = 1  # further missing reports per ms since the newest arrived
LARGE_MODULUS: Final = 2**20  # from here on a quarter of the modulus exceeds what a broker drops at once
LATE_MS: Final = 60_000  # after this long without a newer one, late reports in a row show where the sequence is
CHECKSUM_BYTES: Final = 4
LEAST_POSITION: Final = -(2**63)  # MessagePack's integers: what a checkpoint can hold
LAST_POSITION: Final = 2**64 - 1


class Placement(NamedTuple):
    """Place of a report in its sequence.

    `new`: after everything seen. `late`: fills a hole, or precedes the first seen. `duplicate`: provably accepted
    before. `stray`: none of these. `restarted`: confirms that the sequence restarted shortly before. `gap`: number of
    reports found missing. `is_certain`: False for a late report that may be a jump of the sequence instead.
    """

    kind: Literal["new", "late", "duplicate", "stray", "restarted"]
    gap: int = 0
    fills_hole: bool = False
    is_certain: bool = True


DUPLICATE: Final = Placement("duplicate")


class SequenceRun(Struct):
    """Positions from `first` to `newest`; a position is the number without its wraps. Checkpointed and bounded.

    A `first` below 0 lies before a wrap.
    """

    first: int
    newest: int
    at: Millis  # when the newest arrived
    begun: bool = False  # the device counted from `first` on: nothing precedes it
    holes: list[tuple[int, int]] = field(default_factory=list)  # missing, first to last, in order
    sums: bytearray = field(default_factory=bytearray)  # of the positions up to the newest, which is last
    stray: int | None = None  # the number after the latest stray one
    late: int | None = None  # the number after the latest late one

    def has_accepted(self, position: int, checksum: int) -> bool:
        """Return whether exactly this report was accepted at this position."""
        if not self.first <= position <= self.newest or self.is_missing(position):
            return False
        return self._checksum_at(position) == checksum

    def is_missing(self, position: int) -> bool:
        return any(start <= position <= end for start, end in self.holes)

    def _checksum_at(self, position: int) -> int | None:
        start = len(self.sums) - CHECKSUM_BYTES * (self.newest - position + 1)
        return None if start < 0 else int.from_bytes(self.sums[start : start + CHECKSUM_BYTES])

    def _store_checksum(self, position: int, checksum: int) -> None:
        distance = self.newest - position + 1
        if distance > MAX_CHECKSUMS:
            return
        self.sums[:0] = bytes(max(0, CHECKSUM_BYTES * distance - len(self.sums)))
        start = len(self.sums) - CHECKSUM_BYTES * distance
        self.sums[start : start + CHECKSUM_BYTES] = checksum.to_bytes(CHECKSUM_BYTES)

    def advance(self, ahead: int, checksum: int, *, at: Millis) -> Placement:
        """Accept a report `ahead` positions after the newest; those between are missing."""
        if ahead > 1:
            # no device keeps reports from further back to send them late
            self._add_hole(max(self.newest + 1, self.newest + ahead - LIKELY_JUMP), self.newest + ahead - 1)
        self.sums += bytes(CHECKSUM_BYTES * (min(ahead, MAX_CHECKSUMS) - 1))
        self.sums += checksum.to_bytes(CHECKSUM_BYTES)
        self.newest += ahead
        self.at, self.stray, self.late = at, None, None
        del self.sums[: -CHECKSUM_BYTES * MAX_CHECKSUMS]
        return Placement("new", gap=ahead - 1)

    def _add_hole(self, start: int, end: int) -> None:
        self.holes.append((start, end))
        self.holes.sort()
        self._trim_holes()

    def _trim_holes(self) -> None:
        del self.holes[:-MAX_HOLES]  # a dropped hole counts as seen, with unknown content

    def fill(self, position: int, checksum: int) -> None:
        """Accept a report that was missing."""
        index = next(index for index, (start, end) in enumerate(self.holes) if start <= position <= end)
        start, end = self.holes[index]
        self.holes[index : index + 1] = [
            (first, last) for first, last in ((start, position - 1), (position + 1, end)) if first <= last
        ]
        self._trim_holes()
        self._store_checksum(position, checksum)

    def extend(self, position: int, checksum: int) -> Placement:
        """Accept a report from before the first one seen; those between are missing."""
        gap = self.first - position - 1
        if gap:
            self._add_hole(position + 1, self.first - 1)
        self.first = position
        self._store_checksum(position, checksum)
        return Placement("late", gap=gap)

    def record_stray(self, position: int, following: int, checksum: int) -> Placement:
        """Accept a report that cannot be placed; at a number used before, its content replaces the earlier one."""
        if self.first <= position <= self.newest and not self.is_missing(position):
            self._store_checksum(position, checksum)
        self.stray = following
        return Placement("stray")

    def rebase(self, modulus: int) -> None:
        """Subtract whole turns from every position once the newest exceeds what a checkpoint can hold."""
        if self.newest <= LAST_POSITION:
            return
        turns = self.newest - self.newest % modulus
        self.newest -= turns
        self.first = max(self.first - turns, LEAST_POSITION)  # with a modulus of 2**64, still half a turn back
        holes = [(start - turns, end - turns) for start, end in self.holes]
        self.holes = [hole for hole in holes if hole[0] >= self.first]

    def trim(self) -> None:
        """Keep fewer checksums, as the boot is past."""
        del self.sums[: -CHECKSUM_BYTES * MAX_PAST_CHECKSUMS]
        self.stray = self.late = None


def checksum_of(body: ReportBody) -> int:
    """Return a checksum of a report's kind and content; never 0, which means unknown."""
    content = type(body).__name__.encode() + msgspec.msgpack.encode(body)
    return int.from_bytes(hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()) or 1


def start_run(first: int, seq: int, checksum: int, *, at: Millis, begun: bool) -> SequenceRun:
    """Start a run at number `first` with this report as its newest; `begun`: the device counted from `first` on."""
    run = SequenceRun(first=first, newest=first - 1, at=at, begun=begun)
    run.advance(seq - first + 1, checksum, at=at)
    return run


def place_report(
    run: SequenceRun, seq: int, checksum: int, *, modulus: int, at: Millis, redelivered: bool
) -> Placement:
    """Place a report in its run and record it there; `restarted` is not recorded: the caller starts another run."""
    seq %= modulus
    ahead, behind = (seq - run.newest) % modulus, (run.newest - seq) % modulus
    position = run.newest - behind
    near = behind <= modulus // 4  # more likely behind than ahead
    proven = run.has_accepted(position, checksum)
    if proven and redelivered and (near or behind < ahead):
        return DUPLICATE
    if not redelivered and not 0 < ahead <= STRAY_REACH and _follows(run.stray, seq, modulus):
        return Placement("restarted", gap=_distance_after(run.stray, seq, modulus))
    if proven and near:
        return DUPLICATE
    if near and run.is_missing(position):
        if not redelivered and at - run.at >= LATE_MS and _follows(run.late, seq, modulus):
            return Placement("restarted", gap=_distance_after(run.late, seq, modulus))
        run.fill(position, checksum)
        run.late = (seq + 1) % modulus
        return Placement("late", fills_hole=True, is_certain=behind <= _surely_late(modulus))
    if position < run.first and not run.begun and behind <= min(MAX_REORDER, _surely_late(modulus)):
        return run.extend(position, checksum)
    if _is_jump(run, position, ahead, at):
        placement = run.advance(ahead, checksum, at=at)
        run.rebase(modulus)
        return placement
    return run.record_stray(position, (seq + 1) % modulus, checksum)


def _follows(expected: int | None, seq: int, modulus: int) -> bool:
    return expected is not None and (seq - expected) % modulus <= min(STRAY_REACH, modulus // 4)


def _distance_after(expected: int | None, seq: int, modulus: int) -> int:
    """Return how many numbers lie from the expected one to this one: that many reports are missing."""
    return (seq - (expected or 0)) % modulus


def _is_jump(run: SequenceRun, position: int, ahead: int, at: Millis) -> bool:
    """Return whether numbers were skipped: an unseen one can only be ahead, unless it may precede the first seen."""
    if not ahead:
        return False
    if position < run.first and (run.begun or position < 0):
        return True
    return ahead <= LIKELY_JUMP + LIKELY_RATE * max(0, at - run.at)


def _surely_late(modulus: int) -> int:
    """Return how far behind a missing number is late, rather than reached by a jump of nearly a whole turn."""
    return modulus // 4 if modulus >= LARGE_MODULUS else modulus // 32


def was_accepted_in(run: SequenceRun, seq: int, checksum: int, *, modulus: int) -> bool:
    """Return whether this report was accepted in `run`."""
    return run.has_accepted(run.newest - (run.newest - seq) % modulus, checksum)


def is_ahead_of(run: SequenceRun, seq: int, *, modulus: int) -> bool:
    """Return whether a number is closer after the newest than before it."""
    return 0 < (seq - run.newest) % modulus <= modulus // 2


def is_next_start(run: SequenceRun, seq: int, *, modulus: int, ahead: int) -> bool:
    """Return whether a birth restarts the sequence; not if it is missing and fewer than `ahead` reports overtook it."""
    behind = (run.newest - seq) % modulus
    position = run.newest - behind
    if behind < ahead and (run.is_missing(position) or (position < run.first and not run.begun)):
        return False
    return seq == 0 or not is_ahead_of(run, seq, modulus=modulus)


def is_among_latest(run: SequenceRun, seq: int, checksum: int, *, modulus: int, reports: int) -> bool:
    """Return whether this report was accepted and is one of the latest `reports`."""
    return (run.newest - seq) % modulus < reports and was_accepted_in(run, seq, checksum, modulus=modulus)
