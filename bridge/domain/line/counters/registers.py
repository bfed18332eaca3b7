"""Counter register of a device between two reports: last accepted value, time available for pieces, rates.

A trusted device clock shows how long a machine had for its pieces. Otherwise that time is at most the time between two
receipts plus the lag of the report before, which may have waited in a queue. A report cannot have waited longer than
the silence before it, and a queue empties much faster than it fills. So pieces and time use up the lag: a burst after
an outage fits, a glitch an hour later does not.
"""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.utc_time import Millis

DRAIN: Final = 10  # a queue empties at least so many times faster than it fills
SUSTAINED_MS: Final = 10_000  # a rate over less time than this is jitter
MIN_SPELLS: Final = 6  # sustained rates needed to know how fast a machine runs
MAX_REPORT_DELAY_MS: Final = 15_000  # by when changing counts arrive: `changeover.COUNTS_INTERVAL_MS` and half of it
SHORTEST_MS: Final = 1_000  # a rate over less time than this is meaningless

ChangeKind = Literal["baseline", "count", "rollover", "dip", "held", "released", "glitch", "reset", "rebase", "history"]


class RegisterSample(Struct, frozen=True):
    """Value of a register in one report, and its time."""

    value: int
    at: Millis  # received
    dated: Millis | None = None  # by the device's clock; None where it is not trusted
    boot_id: int | str | None = None
    lag_ms: int = 0  # it was read at most this long before it was received


class SuspectSample(RegisterSample, frozen=True, kw_only=True, rename={"occurrences": "seen", "interrupted": "cut"}):
    """A sample that the table does not explain; the next one confirms or refutes it."""

    pieces: int  # held: counted if it is confirmed, unless the verdict is `rebase`
    verdict: ChangeKind  # what it is if it is confirmed
    estimated: bool
    rate: float  # pieces a minute of the step that led to it
    interrupted: bool  # the device restarted or was offline between the accepted value and this one
    tries: int = 1  # suspects in a row, none of which confirmed the one before
    occurrences: int = 1  # samples in a row that showed it


class Register(
    RegisterSample,
    frozen=True,
    kw_only=True,
    rename={"interrupted": "cut", "refuted_limit": "over", "may_hide_until": "hid_at"},
):
    """Last accepted sample of one counter, and its measured rates."""

    interrupted: bool = False  # the device restarted or was offline since the last sample
    fastest: float = 0.0  # pieces a minute, the highest sustained rate so far; 0: unknown
    refuted_limit: float = 0.0  # the fastest rate that proved `max_rate_per_minute` too low; 0: none did
    pace: float = 0.0  # the rate of the last step, if above the maximum rate; else 0
    spells: int = 0  # stretches of production over which a rate was measured
    spell_ms: int = 0  # of the current stretch
    spell_pieces: int = 0
    suspect: SuspectSample | None = None
    may_hide_until: Millis | None = None  # the latest sample since that may hide pieces made by then

    @property
    def usual_rate(self) -> float:
        """The fastest rate, or 0 until `MIN_SPELLS` stretches were measured."""
        return self.fastest if self.spells >= MIN_SPELLS else 0.0

    @property
    def held_pieces(self) -> int:
        return 0 if self.suspect is None else self.suspect.pieces


def elapsed_ms(before: RegisterSample, after: RegisterSample) -> int:
    """Return the longest time in which the pieces between two samples can have been made."""
    received = max(after.at - before.at, 0)
    if before.dated is not None and after.dated is not None:
        return max(received, after.dated - before.dated)  # a device clock that was set back does not shorten it
    return received + before.lag_ms


def production_interval(
    before: RegisterSample, after: RegisterSample, pieces: int, *, per_minute: float
) -> tuple[Millis, Millis]:
    """Return the interval in which the pieces can have been made: by the device's clock, else by receipt.

    The lag of the report before counts only if the time between the two receipts is too short for the pieces.
    """
    if before.dated is not None and after.dated is not None:
        return min(before.dated, after.dated), after.dated
    received = max(after.at - before.at, 0)
    enough = pieces * 60_000 <= per_minute * received
    return after.at - (received if enough else elapsed_ms(before, after)), after.at


def lag_after(before: RegisterSample, after: RegisterSample, pieces: int, *, per_minute: float) -> int:
    """Return how long the later report may have waited in a queue: the elapsed time that `pieces` did not need."""
    received = max(after.at - before.at, 0)
    unused = elapsed_ms(before, after) - pieces * 60_000 / per_minute
    return max(0, int(min(unused, max(received, before.lag_ms - DRAIN * received))))


def rate_of(pieces: int, ms: int) -> float:
    return pieces * 60_000 / max(ms, SHORTEST_MS)


def is_dated_before(sample: RegisterSample, latest: RegisterSample) -> bool:
    """Return whether a trusted clock dates a sample before the latest one: a backlog, or the clock was set back."""
    return latest.dated is not None and sample.dated is not None and sample.dated < latest.dated


def hidden_until(register: Register, sample: RegisterSample) -> Millis:
    """Return by when the pieces hidden by suspect samples were made.

    A sample later than `MAX_REPORT_DELAY_MS` after the last one does not move it: no pieces were counted meanwhile.
    """
    previous = register.may_hide_until
    return sample.at if previous is None or sample.at - previous <= MAX_REPORT_DELAY_MS else previous


def mark_interrupted(register: Register) -> Register:
    """Record that the device restarted or was offline: its register may have been reset."""
    return replace(register, interrupted=True)


def set_register_forward(register: Register, by: Millis) -> Register:
    """Shift a register by a forward jump of the host's clock: no pieces were made in the skipped time."""
    suspect = register.suspect
    moved = None if suspect is None else replace(suspect, at=suspect.at + by)
    return replace(register, at=register.at + by, suspect=moved)


def may_have_reset(before: RegisterSample, after: RegisterSample, *, interrupted: bool) -> bool:
    """Return whether the device may have lost its register between two samples; boot ids prove it either way."""
    if before.boot_id is not None and after.boot_id is not None:
        return before.boot_id != after.boot_id
    return interrupted
