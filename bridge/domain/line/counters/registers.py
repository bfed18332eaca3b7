"""A device's counter register between two reports: the value last believed, the time it leaves for pieces, their rate.

How long a machine had for its pieces is known from its own clock, where that is trusted. Else it is bounded: by the
time between two receipts and by the lag of the report before, which may have waited in a queue. A report cannot have
waited longer than the silence before it, and a queue is emptied much faster than it fills; so lag is spent by pieces
and by time, and a burst after an outage fits while a glitch an hour later does not.
"""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.events import Millis

DRAIN: Final = 10  # a queue is emptied at least so many times faster than it filled
SUSTAINED_MS: Final = 10_000  # a rate over less time than this is jitter
MIN_SPELLS: Final = 6  # so many sustained rates tell how fast a machine runs
MAX_REPORT_DELAY_MS: Final = (
    15_000  # by when counts that change have come: due after `changeover.COUNTED_MS`, and half as late
)
SHORTEST_MS: Final = 1_000  # a rate over less time than this is no rate at all

ChangeKind = Literal["baseline", "count", "rollover", "dip", "held", "released", "glitch", "reset", "rebase", "history"]


class RegisterSample(Struct, frozen=True):
    """What a register showed in one report, and when."""

    value: int
    at: Millis  # received
    dated: Millis | None = None  # by the device's clock; None where it is not trusted
    boot_id: int | str | None = None
    lag_ms: int = 0  # it was read at most this long before it was received


class SuspectSample(RegisterSample, frozen=True, kw_only=True):
    """A sample that the table does not explain; the next one confirms or refutes it."""

    pieces: int  # held: counted if it is confirmed, unless the verdict is `rebase`
    verdict: ChangeKind  # what it is if it is confirmed
    estimated: bool
    rate: float  # pieces a minute of the step that led to it
    cut: bool  # the device started anew, or was away, between the believed value and this one
    tries: int = 1  # suspects in a row, none of which bore out the one before
    seen: int = 1  # samples in a row that showed it


class Register(RegisterSample, frozen=True, kw_only=True):
    """The last believed mark of one counter, and what is known of the counter's ways."""

    cut: bool = False  # the device started anew, or was away, since the last sample
    fastest: float = 0.0  # pieces a minute, the most sustained so far; 0: nothing known
    over: float = 0.0  # the fastest rate that proved `max_rate_per_minute` too low; 0: none did
    pace: float = 0.0  # the rate of the last step, while that is above the greatest rate
    spells: int = 0  # stretches of production over which a rate was measured
    spell_ms: int = 0  # of the one that goes on
    spell_pieces: int = 0
    suspect: SuspectSample | None = None
    hid_at: Millis | None = None  # the latest sample since, by which pieces may have been made that it did not show

    @property
    def usual_rate(self) -> float:
        """The fastest rate, once enough is known to say what is usual; else 0."""
        return self.fastest if self.spells >= MIN_SPELLS else 0.0

    @property
    def held_pieces(self) -> int:
        return 0 if self.suspect is None else self.suspect.pieces


def elapsed_ms(before: RegisterSample, after: RegisterSample) -> int:
    """Return the longest time in which the pieces between two marks can have been made."""
    received = max(after.at - before.at, 0)
    if before.dated is not None and after.dated is not None:
        return max(received, after.dated - before.dated)  # a clock that was set back takes no time away
    return received + before.lag_ms


def production_interval(
    before: RegisterSample, after: RegisterSample, pieces: int, *, per_minute: float
) -> tuple[Millis, Millis]:
    """Return the interval in which the pieces can have been made: by the device's clock, else by receipt.

    The lag of the report before counts only where the time between the two receipts is too short for the pieces.
    """
    if before.dated is not None and after.dated is not None:
        return min(before.dated, after.dated), after.dated
    received = max(after.at - before.at, 0)
    enough = pieces * 60_000 <= per_minute * received
    return after.at - (received if enough else elapsed_ms(before, after)), after.at


def lag_after(before: RegisterSample, after: RegisterSample, pieces: int, *, per_minute: float) -> int:
    """Return how long the later report may have waited, since `pieces` took their time to be made before it."""
    received = max(after.at - before.at, 0)
    unused = elapsed_ms(before, after) - pieces * 60_000 / per_minute
    return max(0, int(min(unused, max(received, before.lag_ms - DRAIN * received))))


def rate_of(pieces: int, ms: int) -> float:
    return pieces * 60_000 / max(ms, SHORTEST_MS)


def is_dated_before(sample: RegisterSample, latest: RegisterSample) -> bool:
    """Whether a clock that is trusted for both dates a sample before the latest one: a backlog, or it was set back."""
    return latest.dated is not None and sample.dated is not None and sample.dated < latest.dated


def hidden_until(register: Register, sample: RegisterSample) -> Millis:
    """Return by when the pieces were made that doubtful samples hide: the later ones came while nothing was counted."""
    hid_at = register.hid_at
    return sample.at if hid_at is None or sample.at - hid_at <= MAX_REPORT_DELAY_MS else hid_at


def mark_interrupted(register: Register) -> Register:
    """Note that the device started anew or was away: its register may have been reset meanwhile."""
    return replace(register, cut=True)


def set_register_forward(register: Register, by: Millis) -> Register:
    """Note that the host's clock was set forward: no pieces were made in the time that it skipped."""
    suspect = register.suspect
    moved = None if suspect is None else replace(suspect, at=suspect.at + by)
    return replace(register, at=register.at + by, suspect=moved)


def may_have_reset(before: RegisterSample, after: RegisterSample, *, interrupted: bool) -> bool:
    """Whether the device may have lost its register between two marks: boots prove it either way."""
    if before.boot_id is not None and after.boot_id is not None:
        return before.boot_id != after.boot_id
    return interrupted
