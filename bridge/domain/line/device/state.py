"""State of one device between its reports: boots and their sequences, clock, presence."""

from typing import Final, Literal, NamedTuple

from msgspec import Struct, field

from bridge.domain.line.device import sequence
from bridge.domain.line.device.ineffective import IneffectiveRun
from bridge.domain.line.device.sequence import SequenceRun
from bridge.domain.line.device.timestamp_trail import TimestampTrail
from bridge.domain.line.device.timestamps import ClockState
from bridge.domain.utc_time import Millis

MAX_PAST_BOOTS: Final = 8  # past boots kept, to recognize their late reports
MAX_MISSED: Final = 2**53 - 1  # where counting stops: jumps of a wild sequence add up, and JSON readers use doubles

BootId = int | str


class PastBoot(Struct):
    """A past run: of an earlier boot, or of the same boot id before the sequence restarted."""

    boot_id: BootId
    run: SequenceRun | None = None  # None: written by an earlier version, or its sequence was never seen


class DeviceState(
    Struct,
    rename={  # names in checkpoints, kept from earlier versions
        "last_live_at": "spoke_at",
        "timestamp_trail": "stamp",
        "ineffective_run": "futile",
        "last_seen_at": "seen_at",
        "unreported_missing": "untold",
    },
):
    """Checkpointed; bounded by `MAX_PAST_BOOTS` and the bounds of a run."""

    boot_id: BootId | None = None  # of live reports; neither a death nor a retained report changes it
    run: SequenceRun | None = None
    last_live_at: Millis | None = None  # the latest live report of this boot
    old_boots: list[PastBoot | BootId] = field(default_factory=list)  # a bare id: written by an earlier version
    clock: ClockState = field(default_factory=ClockState)
    timestamp_trail: TimestampTrail = field(default_factory=TimestampTrail)
    ineffective_run: IneffectiveRun | None = None  # since when its reports have had no effect
    live: bool | None = None  # a live report was ever received; None: written by an earlier version
    last_seen_at: Millis | None = None
    offline: Literal["silence", "death"] | None = None
    missed: int = 0  # reports that were missing when a later one arrived, ever
    filled: int = 0  # of these, how many arrived late
    unplaced: int = 0  # reports that were applied although their place in the sequence is unknown, ever
    unreported_missing: int = 0  # missing reports that no event has reported yet
    seq: int | None = None  # the newest number; only in checkpoints of an earlier version
    missing: list[int] = field(default_factory=list)  # numbers missing before that; likewise

    @property
    def has_reported_live(self) -> bool:
        return self.last_seen_at is not None if self.live is None else self.live

    def set_forward(self, by: Millis) -> None:
        """Shift the state by a forward jump of the host's clock: the skipped time is no silence."""
        self.last_seen_at = None if self.last_seen_at is None else self.last_seen_at + by
        self.last_live_at = None if self.last_live_at is None else self.last_live_at + by
        self.clock.set_forward(by)
        if self.ineffective_run is not None:
            self.ineffective_run.set_forward(by)

    def add_missed(self, gap: int) -> None:
        """Count reports that were missing when a later one arrived."""
        self.missed = min(self.missed + gap, MAX_MISSED)

    def add_unreported(self, gap: int) -> None:
        """Count missing reports for the next event to report."""
        self.unreported_missing = min(self.unreported_missing + gap, MAX_MISSED)

    def past_boots(self) -> list[PastBoot]:
        """Return the past runs, the latest last."""
        return [boot if isinstance(boot, PastBoot) else PastBoot(boot) for boot in self.old_boots]

    @property
    def has_growing_boot_ids(self) -> bool:
        """Return whether this boot's id is newer than every earlier one: then the next start has another id."""
        boot, past_boots = self.boot_id, self.past_boots()
        return boot is not None and bool(past_boots) and all(is_newer_boot(boot, other.boot_id) for other in past_boots)

    def find_past_boot(self, boot_id: BootId) -> PastBoot | None:
        """Return the latest run of a past boot."""
        return next((past for past in reversed(self.past_boots()) if past.boot_id == boot_id), None)


class SequenceGaps(NamedTuple):
    """Counts of reports missing when a later one arrived, of those that arrived after all, and of unplaced ones."""

    missed: int
    filled: int
    unplaced: int = 0


def is_newer_boot(boot: BootId, other: BootId) -> bool:
    """Return whether `boot` is newer than `other`: the greater number is; other ids have no order."""
    return isinstance(boot, int) and isinstance(other, int) and boot > other


def migrate_run(seq: int, missing: list[int]) -> SequenceRun:
    run = sequence.start_run(seq, seq, 0, at=0, begun=False)
    run.first = min([*missing, seq])
    run.holes = [(number, number) for number in sorted(missing) if number < seq]
    return run
