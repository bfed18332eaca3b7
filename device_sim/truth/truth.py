"""The truth of a run: what really happened to machines, people, devices, network and bridge, whatever was reported.

All times are true time in milliseconds since 1970. `Truth.records()` yields JSON objects, one per line of a file.
"""

from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Final, Literal

from device_sim.reports import ACTION_KINDS
from device_sim.time_units import Millis

Fate = Literal[
    "on the way",  # not arrived when the run ended
    "arrived",  # at least once
    "published",  # in a real run: the broker has it
    "superseded",  # not an action, dropped while offline as the contract allows
    "no power",  # the device was off, or lost its memory with its power
    "qos 0",  # lost with a connection
    "no identity",  # QoS 1 without acknowledgement, from a device that must not resend
    "memory full",  # the device or gateway had to drop it
    "queue full",  # the broker's queue limit was reached
    "session lost",  # the broker lost the bridge's session
]
OutageCause = Literal["power", "shutdown", "link", "broker", "gateway"]
RegisterEvent = Literal["reset", "preset", "power", "wrap", "glitch", "dip"]


@dataclass(slots=True)
class TrueReport:
    """One report of a device, or an action that its device could not report."""

    number: int
    at: Millis
    device: str
    kind: str
    body: dict[str, Any]  # as reported, without boot_id, seq and ts
    standing: bool = False  # sent after a birth: a current value, not an event
    made: dict[str, int] | None = None  # of counts: the pieces really made by then
    boot_id: int | None = None
    seq: int | None = None
    position: int | None = None  # `seq` without its wraps
    ts: Millis | None = None  # by the device's clock
    payload: bytes = b""
    fate: Fate = "on the way"
    sent: int = 0  # how often it was published
    arrived: int = 0  # how often the bridge received it, without retained copies

    @property
    def is_action(self) -> bool:
        return self.kind in ACTION_KINDS and not self.standing


@dataclass(slots=True)
class ConditionStretch:
    """A period of a machine in one condition; `until` is None while it lasts.

    `condition` is one of running, jammed, fault, starved, blocked, setup, break, idle, off. The `culprit` of a
    waiting machine is the stopped machine that it waits for, or `material`; that of a stopped machine is itself.
    """

    device: str
    condition: str
    since: Millis
    until: Millis | None = None
    faults: tuple[str, ...] = ()  # codes, or `bit N`
    culprit: str | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterTruth:
    """A register event other than counting: values `shown` after it, and the `real` ones (before it, for a reset)."""

    at: Millis
    device: str
    what: RegisterEvent
    shown: dict[str, int]
    real: dict[str, int]
    made: dict[str, int]


@dataclass(slots=True)
class DeviceOutage:
    """A period of a device without power or connection."""

    device: str
    since: Millis
    until: Millis | None
    why: OutageCause


@dataclass(frozen=True, slots=True)
class BridgeOutage:
    """A period of the bridge without a connection to the broker; overlapping outages are one."""

    since: Millis
    until: Millis
    reason: Literal["crash", "stop", "link"]
    queued: bool  # whether the broker kept its session
    broker: bool  # whether the broker was down in it


@dataclass(slots=True)
class ClockTruth:
    """The setting of a device's clock from `since` on: ts = at + offset, unless it is stopped."""

    device: str
    since: Millis
    offset: Millis
    stands_at: Millis | None
    whole_seconds: bool
    drift_ppm: float


@dataclass(slots=True)
class CountHistory:
    """The counts of a machine over time: three columns, a row for each second in which they changed."""

    at: "array[int]" = field(default_factory=lambda: array("q"))
    total: "array[int]" = field(default_factory=lambda: array("q"))
    good: "array[int]" = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Truth:
    """Everything that happened in one run, in memory; `records` renders it for the file."""

    seed: int
    profile: str
    start: Millis
    until: Millis
    said: list[TrueReport] = field(default_factory=list)  # `said[n].number` is n
    numbers: Iterator[int] = field(default_factory=count)
    stretches: list[ConditionStretch] = field(default_factory=list)  # of all machines, in order of `since`
    registers: list[RegisterTruth] = field(default_factory=list)
    absences: list[DeviceOutage] = field(default_factory=list)
    bridge: list[BridgeOutage] = field(default_factory=list)
    clocks: list[ClockTruth] = field(default_factory=list)
    extras: list[tuple[Millis, str, bytes, str]] = field(default_factory=list)  # (at, topic, payload, what); no reports
    made: dict[str, CountHistory] = field(default_factory=dict)
    traits: dict[str, dict[str, Any]] = field(default_factory=dict)  # by device

    @property
    def actions(self) -> list[TrueReport]:
        """The actions of people: presses, orders, changeovers, each with the fate of its report."""
        return [report for report in self.said if report.is_action]

    def header(self) -> dict[str, Any]:
        run = {"seed": self.seed, "profile": self.profile, "start": self.start, "until": self.until}
        return {"truth": "run", **run, "devices": self.traits}

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield everything except `made` as JSON objects; `truth` names the list of each."""
        yield self.header()
        for name in LISTS:
            yield from (_record(name, record) for record in getattr(self, name))

    def drain(self, *, final: bool) -> Iterator[dict[str, Any]]:
        """Yield and remove the settled records, or all if `final`. `made` keeps its last row."""
        for name in LISTS:
            records: list[Any] = getattr(self, name)
            setattr(self, name, [] if final else [record for record in records if not _is_settled(record)])
            yield from (_record(name, record) for record in records if final or _is_settled(record))
        for made in self.made.values():
            for column in (made.at, made.total, made.good):
                del column[:-1]


LISTS: Final = ("said", "stretches", "registers", "absences", "bridge", "clocks", "extras")


def _is_settled(record: Any) -> bool:
    if isinstance(record, TrueReport):
        return record.fate != "on the way"
    return not isinstance(record, (ConditionStretch, DeviceOutage)) or record.until is not None


def _record(name: str, record: Any) -> dict[str, Any]:
    if isinstance(record, tuple):
        at, topic, payload, what = record
        return {"truth": name, "at": at, "topic": topic, "payload": payload.decode(errors="replace"), "what": what}
    fields = asdict(record)
    if isinstance(record, TrueReport):
        fields["payload"] = record.payload.decode()
    return {"truth": name, **fields}
