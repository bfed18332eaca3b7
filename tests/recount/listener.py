"""Ideal receiver: every report that reached the bridge, once, in the order that the truth gives.

A report is identified by its number in the truth, so that a duplicate never counts, whatever identity it carries.
Reports without `boot_id` and `seq` are applied in the order of arrival: no bridge could know a better one.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from device_sim.simulated_network.broker_session import ReceivedPublish
from device_sim.truth.truth import TrueReport, Truth
from tests.recount.core_driver import Fed, Unwatched
from tests.recount.plant_facts import LineFacts, PlantFacts

BootPosition = tuple[int, int]
"""(which boot of the device, position in it)."""

SILENT_BOOT_MS = 60_000  # after which a boot that was received before may be the current one again

LATE_HAS_EFFECT = frozenset({"andon", "job", "changeover", "inspection"})
"""Kinds that have an effect when late: people's actions. A late state, count or measurement describes the past only."""


@dataclass(frozen=True, slots=True)
class ReceivedInput:
    """An input of the expected history. `kind` is that of the report, or offline, unwatched."""

    at: int
    line: str
    device: str | None  # None: every machine of the line
    kind: str
    body: dict[str, Any]
    report: TrueReport | None = None
    late: bool = False
    retained: bool = False
    connected: bool = False  # its numbers show that nothing of the device is missing before it
    cut_off: bool = False  # they show that something is
    index: int = -1  # in what was fed


class IdealReceiver:
    """Turns the bridge's inputs into those of the expected history."""

    def __init__(self, plant: PlantFacts, truth: Truth) -> None:
        self._plant = plant
        self._truth = truth
        self._received: set[int] = set()
        self._newest: dict[str, BootPosition] = {}
        self._boot: dict[str, object] = {}  # the current boot_id by device, and by `_/line` of a gateway
        self._boots: dict[str, set[object]] = {}  # all that were received
        self._live: set[str] = set()
        self._retained_deaths: set[str] = set()  # devices with a retained death
        self._garbage = {(topic, payload) for _, topic, payload, kind in truth.extras if kind == "malformed"}
        self._births: dict[str, list[TrueReport]] = {}
        for report in truth.said:
            if report.kind == "birth":
                self._births.setdefault(report.device, []).append(report)
        self._birth_numbers = {name: [birth.number for birth in births] for name, births in self._births.items()}
        self._last_received_at: dict[str, int] = {}  # when the current boot was last received
        self._positions: dict[int, BootPosition | None] = {}  # by report
        self._taken: set[tuple[str, BootPosition]] = set()
        for report in truth.said:
            self._positions[report.number] = position = self._position(report)
            if position is not None:
                self._taken.add((report.device, position))

    def receive(self, fed: Iterable[Fed]) -> Iterator[ReceivedInput]:
        for index, arrival in enumerate(fed):
            if isinstance(arrival, Unwatched):
                self._live.clear()
                self._retained_deaths.clear()
                for line in self._plant.lines:
                    yield ReceivedInput(arrival.at, line, None, "unwatched", {"since": arrival.since}, index=index)
            else:
                yield from self._receive(arrival, index)

    def _receive(self, arrival: ReceivedPublish, index: int) -> Iterator[ReceivedInput]:
        _, _, _, line_id, device, kind = arrival.topic.split("/")
        line = self._plant.lines[line_id]
        if (arrival.topic, arrival.payload) in self._garbage:
            return
        if arrival.retained:
            yield from self._receive_retained(arrival, line, device, kind, index)
        elif arrival.number is not None:
            yield from self._receive_report(arrival, self._truth.said[arrival.number], line, index)
        elif kind == "death":
            yield from self._receive_death(arrival, line, device, index)
        elif kind == "birth" and device == "_":
            self._boot[f"_/{line_id}"] = json.loads(arrival.payload).get("boot_id")
            yield ReceivedInput(arrival.at, line_id, None, "birth", {}, index=index)

    def _receive_retained(
        self, arrival: ReceivedPublish, line: LineFacts, device: str, kind: str, index: int
    ) -> Iterator[ReceivedInput]:
        """Yield a retained state, as an estimate, only of a device that sent nothing live."""
        if device in self._live or device == "_" or kind not in ("state", "counts", "birth", "death"):
            return
        if kind == "counts":
            yield from self._receive_retained_counts(arrival, line, device, index)
            return
        body = json.loads(arrival.payload)
        if kind == "death":
            self._retained_deaths.add(device)
            yield ReceivedInput(arrival.at, line.id, device, "offline", {}, retained=True, index=index)
        elif kind == "birth" or (kind == "state" and device not in self._retained_deaths):
            yield ReceivedInput(arrival.at, line.id, device, kind, body, retained=True, index=index)

    def _receive_retained_counts(
        self, arrival: ReceivedPublish, line: LineFacts, device: str, index: int
    ) -> Iterator[ReceivedInput]:
        """Yield retained counts only if their numbers are newer than all that were received live."""
        if arrival.number is None or device not in self._newest:
            return
        report = self._truth.said[arrival.number]
        position = self._positions[report.number]
        if position is not None and position > self._newest[device]:
            yield ReceivedInput(arrival.at, line.id, device, "counts", report.body, report, retained=True, index=index)

    def _receive_report(
        self, arrival: ReceivedPublish, report: TrueReport, line: LineFacts, index: int
    ) -> Iterator[ReceivedInput]:
        if report.number in self._received:
            return
        self._received.add(report.number)
        self._live.add(report.device)
        position = self._positions[report.number]
        newest = self._newest.get(report.device, (-1, -1))
        late = position is not None and position < newest
        connected = position is not None and position == (newest[0], newest[1] + 1)
        if position is not None and not late:
            self._newest[report.device] = position
        self._note_boot(report, arrival.at, late=late)
        cut_off = position is not None and not late and not connected
        if report.kind == "death":
            if not late:
                yield ReceivedInput(arrival.at, line.id, report.device, "offline", {}, report, index=index)
            return
        if late and report.kind not in LATE_HAS_EFFECT:
            return
        yield ReceivedInput(
            arrival.at, line.id, report.device, report.kind, report.body, report, late, False, connected, cut_off, index
        )

    def _note_boot(self, report: TrueReport, at: int, *, late: bool) -> None:
        """Record an unknown boot as the current one, unless its successor was received; domain.md, «Reports»."""
        name, boots = report.device, self._boots.setdefault(report.device, set())
        current = report.boot_id == self._boot.get(name)
        silent = at - self._last_received_at.get(name, at) >= SILENT_BOOT_MS
        is_unknown = report.boot_id not in boots and (silent or not self._is_overtaken(report))
        if is_unknown or current or (not late and (silent or report.kind == "birth")):
            self._boot[name], self._last_received_at[name] = report.boot_id, at
        boots.add(report.boot_id)

    def _is_overtaken(self, report: TrueReport) -> bool:
        """Return whether ids that have always grown show this boot to be the one before the current one."""
        boots = self._boots[report.device]
        numbers = sorted(seq for seq in boots if isinstance(seq, int))
        if not isinstance(report.boot_id, int) or len(numbers) < max(len(boots), 2):
            return False
        return numbers[-1] == self._boot.get(report.device) and numbers[-2] < report.boot_id < numbers[-1]

    def _receive_death(
        self, arrival: ReceivedPublish, line: LineFacts, device: str, index: int
    ) -> Iterator[ReceivedInput]:
        """Match a Will with the connection it was left with, or a later one that sent nothing."""
        boot = json.loads(arrival.payload).get("boot_id")
        key = f"_/{line.id}" if device == "_" else device
        if boot is not None and boot != self._boot.get(key) and not self._is_later(boot, key):
            return
        yield ReceivedInput(arrival.at, line.id, None if device == "_" else device, "offline", {}, index=index)

    def _is_later(self, boot: object, key: str) -> bool:
        if key not in self._boot:
            return True
        current = self._boot[key]
        return (
            boot not in self._boots.get(key, ())
            and isinstance(boot, int)
            and isinstance(current, int)
            and boot > current
        )

    def _position(self, report: TrueReport) -> BootPosition | None:
        if report.boot_id is None or report.position is None:
            return None
        births, numbers = self._births[report.device], self._birth_numbers[report.device]
        before = bisect_right(numbers, report.number) - 1
        is_taken = (report.device, (before, report.position)) in self._taken  # by a boot of the same id
        if before >= 0 and births[before].boot_id == report.boot_id and not is_taken:
            return (before, report.position)
        for later in range(before + 1, len(births)):  # it waited for a connection
            if births[later].boot_id == report.boot_id:
                return (later, report.position)
        for earlier in range(before, -1, -1):
            if births[earlier].boot_id == report.boot_id:
                return (earlier, report.position)
        raise AssertionError(f"report {report.number} of {report.device} belongs to no boot")
