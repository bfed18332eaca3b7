"""The perfect listener: what came to the bridge, each report once, placed by the truth and not by guesses.

A report is known by its number in the truth, so nothing that came twice counts twice, whatever the device calls itself.
What a bridge cannot know is not asked of it: reports without `boot_id` and `seq` are taken in the order of arrival.
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

Position = tuple[int, int]
"""(which boot of the device, position in it)."""

SILENT_BOOT_MS = 60_000  # after which a boot that was heard before may be the current one again

LATE_HAS_EFFECT = frozenset({"andon", "job", "changeover", "inspection"})
"""What people did happened, however late it is known; a late state, count or measurement only says what was."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something a perfect listener has learnt. `kind` is that of the report, or offline, unwatched."""

    at: int
    line: str
    device: str | None  # None: every machine of the line
    kind: str
    body: dict[str, Any]
    said: TrueReport | None = None
    late: bool = False
    retained: bool = False
    connected: bool = False  # its numbers show that nothing of the device is missing before it
    cut_off: bool = False  # they show that something is
    index: int = -1  # in what was fed


class Listener:
    """Turns what was fed into what can be known from it."""

    def __init__(self, plant: PlantFacts, truth: Truth) -> None:
        self._plant = plant
        self._truth = truth
        self._heard: set[int] = set()
        self._newest: dict[str, Position] = {}
        self._boot: dict[str, object] = {}  # the current boot_id by device, and by `_/line` of a gateway
        self._boots: dict[str, set[object]] = {}  # all that were heard
        self._live: set[str] = set()
        self._left: set[str] = set()  # devices with a retained death
        self._garbage = {(topic, payload) for _, topic, payload, what in truth.extras if what == "malformed"}
        self._births: dict[str, list[TrueReport]] = {}
        for said in truth.said:
            if said.kind == "birth":
                self._births.setdefault(said.device, []).append(said)
        self._birth_numbers = {name: [birth.number for birth in births] for name, births in self._births.items()}
        self._spoke_at: dict[str, int] = {}  # when the current boot was last heard
        self._positions: dict[int, Position | None] = {}  # by report
        self._taken: set[tuple[str, Position]] = set()
        for said in truth.said:
            self._positions[said.number] = position = self._position(said)
            if position is not None:
                self._taken.add((said.device, position))

    def listen(self, fed: Iterable[Fed]) -> Iterator[Heard]:
        for index, arrival in enumerate(fed):
            if isinstance(arrival, Unwatched):
                self._live.clear()
                self._left.clear()
                for line in self._plant.lines:
                    yield Heard(arrival.at, line, None, "unwatched", {"since": arrival.since}, index=index)
            else:
                yield from self._hear(arrival, index)

    def _hear(self, arrival: ReceivedPublish, index: int) -> Iterator[Heard]:
        _, _, _, line_id, device, kind = arrival.topic.split("/")
        line = self._plant.lines[line_id]
        if (arrival.topic, arrival.payload) in self._garbage:
            return
        if arrival.retained:
            yield from self._hear_retained(arrival, line, device, kind, index)
        elif arrival.number is not None:
            yield from self._hear_said(arrival, self._truth.said[arrival.number], line, index)
        elif kind == "death":
            yield from self._hear_death(arrival, line, device, index)
        elif kind == "birth" and device == "_":
            self._boot[f"_/{line_id}"] = json.loads(arrival.payload).get("boot_id")
            yield Heard(arrival.at, line_id, None, "birth", {}, index=index)

    def _hear_retained(
        self, arrival: ReceivedPublish, line: LineFacts, device: str, kind: str, index: int
    ) -> Iterator[Heard]:
        """Take what is retained for what is, as an estimate, only where nothing was heard live of the device."""
        if device in self._live or device == "_" or kind not in ("state", "counts", "birth", "death"):
            return
        if kind == "counts":
            yield from self._hear_retained_counts(arrival, line, device, index)
            return
        body = json.loads(arrival.payload)
        if kind == "death":
            self._left.add(device)
            yield Heard(arrival.at, line.id, device, "offline", {}, retained=True, index=index)
        elif kind == "birth" or (kind == "state" and device not in self._left):
            yield Heard(arrival.at, line.id, device, kind, body, retained=True, index=index)

    def _hear_retained_counts(
        self, arrival: ReceivedPublish, line: LineFacts, device: str, index: int
    ) -> Iterator[Heard]:
        """Take retained counts only where their numbers show that they are newer than all that was heard live."""
        if arrival.number is None or device not in self._newest:
            return
        said = self._truth.said[arrival.number]
        position = self._positions[said.number]
        if position is not None and position > self._newest[device]:
            yield Heard(arrival.at, line.id, device, "counts", said.body, said, retained=True, index=index)

    def _hear_said(self, arrival: ReceivedPublish, said: TrueReport, line: LineFacts, index: int) -> Iterator[Heard]:
        if said.number in self._heard:
            return
        self._heard.add(said.number)
        self._live.add(said.device)
        position = self._positions[said.number]
        newest = self._newest.get(said.device, (-1, -1))
        late = position is not None and position < newest
        connected = position is not None and position == (newest[0], newest[1] + 1)
        if position is not None and not late:
            self._newest[said.device] = position
        self._note_boot(said, arrival.at, late=late)
        cut_off = position is not None and not late and not connected
        if said.kind == "death":
            if not late:
                yield Heard(arrival.at, line.id, said.device, "offline", {}, said, index=index)
            return
        if late and said.kind not in LATE_HAS_EFFECT:
            return
        yield Heard(
            arrival.at, line.id, said.device, said.kind, said.body, said, late, False, connected, cut_off, index
        )

    def _note_boot(self, said: TrueReport, at: int, *, late: bool) -> None:
        """Take a boot that was never heard for the current one, unless its successor did; domain.md, «Reports»."""
        name, boots = said.device, self._boots.setdefault(said.device, set())
        current = said.boot_id == self._boot.get(name)
        silent = at - self._spoke_at.get(name, at) >= SILENT_BOOT_MS
        unheard = said.boot_id not in boots and (silent or not self._is_overtaken(said))
        if unheard or current or (not late and (silent or said.kind == "birth")):
            self._boot[name], self._spoke_at[name] = said.boot_id, at
        boots.add(said.boot_id)

    def _is_overtaken(self, said: TrueReport) -> bool:
        """Whether ids that have always grown show this boot to be the one before the current one."""
        known = self._boots[said.device]
        numbers = sorted(seq for seq in known if isinstance(seq, int))
        if not isinstance(said.boot_id, int) or len(numbers) < max(len(known), 2):
            return False
        return numbers[-1] == self._boot.get(said.device) and numbers[-2] < said.boot_id < numbers[-1]

    def _hear_death(self, arrival: ReceivedPublish, line: LineFacts, device: str, index: int) -> Iterator[Heard]:
        """Take a Will for the end of the connection it was left with, or of a later one that was never heard of."""
        boot = json.loads(arrival.payload).get("boot_id")
        key = f"_/{line.id}" if device == "_" else device
        if boot is not None and boot != self._boot.get(key) and not self._is_later(boot, key):
            return
        yield Heard(arrival.at, line.id, None if device == "_" else device, "offline", {}, index=index)

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

    def _position(self, said: TrueReport) -> Position | None:
        if said.boot_id is None or said.position is None:
            return None
        births, numbers = self._births[said.device], self._birth_numbers[said.device]
        before = bisect_right(numbers, said.number) - 1
        taken = (said.device, (before, said.position)) in self._taken  # by a boot of the same id
        if before >= 0 and births[before].boot_id == said.boot_id and not taken:
            return (before, said.position)
        for later in range(before + 1, len(births)):  # it waited for a connection
            if births[later].boot_id == said.boot_id:
                return (later, said.position)
        for earlier in range(before, -1, -1):
            if births[earlier].boot_id == said.boot_id:
                return (earlier, said.position)
        raise AssertionError(f"report {said.number} of {said.device} belongs to no boot")
