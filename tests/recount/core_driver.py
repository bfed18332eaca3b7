"""The bridge's pure core under a rehearsal: read, applied and ticked as the pipeline does it, in virtual time."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bridge.adapters import plant_file
from bridge.domain.dedup import Deduplicator
from bridge.domain.intake import Intake
from bridge.domain.internal_inputs import BridgeAbsence, plant_from_json, plant_to_json
from bridge.domain.line.floor import Floor
from bridge.domain.messages import IncomingMessage
from bridge.domain.plant import Plant
from bridge.domain.records import DedupWindow, JournalEntry, MessageDigest, Position
from bridge.ingest.native import decode
from device_sim.simulated_network.broker_session import ReceivedPublish
from device_sim.truth.truth import BridgeOutage

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "bridge" / "demo" / "plant.toml"
LINK_LOST_MS: Final = 5_000  # a link lost for this long is an absence
UNWATCHED_MS: Final = 10_000  # and so does a restart that took this long
WATCHED_MS: Final = 5_000  # between two presence marks in the journal
DOUBT_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Unwatched:
    """The bridge's own input for its absence since `since`; entered at `at`."""

    at: int
    since: int


Fed = ReceivedPublish | Unwatched


@dataclass(slots=True)
class DrivenRun:
    """Inputs of the bridge in order, and its events and dispositions in their JSON form."""

    fed: list[Fed] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[tuple[int, str, str | None]] = field(default_factory=list)  # (index in `fed`, effect, reason)


def drive(
    happenings: Iterable[ReceivedPublish | BridgeOutage], *, start: int, until: int, plant: Plant | None = None
) -> DrivenRun:
    """Run the bridge over the happenings and let its time pass until the end; `plant`: else the demo's."""
    bridge = _CoreDriver(plant_file.load(DEMO) if plant is None else plant, start)
    for happening in happenings:
        if isinstance(happening, BridgeOutage):
            bridge.leave(happening)
        else:
            bridge.take(happening)
    bridge.pass_time(until)
    return bridge.driven


class _CoreDriver:
    def __init__(self, plant: Plant, start: int) -> None:
        self.driven = DrivenRun()
        self._plant = plant
        self._generation = 1
        self._away: BridgeOutage | None = None
        self._resends: deque[tuple[int, MessageDigest]] = deque()
        self._settle_at = start
        self._intake = self._start(Floor(plant), number=0, latest=0, offset=0, settled=0)
        self._keep(self._intake.enter_plant(plant_to_json(plant), start))

    def _start(self, floor: Floor, *, number: int, latest: int, offset: int, settled: int) -> Intake:
        window = DedupWindow(tuple(self._resends), settled)
        return Intake(
            floor,
            decode=decode,
            position=Position("recount", "1", offset),
            last_input=(number, latest),
            dedup=Deduplicator(window, doubt_ms=DOUBT_MS),
            crash_digests=(),
        )

    def take(self, arrival: ReceivedPublish) -> None:
        """Apply a message as the pipeline does: deadlines before it are a separate input."""
        self.pass_time(arrival.at)
        self.driven.fed.append(arrival)
        message = IncomingMessage(
            arrival.topic,
            arrival.payload,
            retained=arrival.retained,
            redelivered=arrival.redelivered,
            generation=self._generation,
            packet_id=arrival.packet_id or None,
        )
        decoded = self._intake.receive(message, now=arrival.at)
        entry = self._intake.apply(decoded, earlier_result=None)
        disposition = entry.disposition
        self.driven.outcomes.append((len(self.driven.fed) - 1, disposition.effect.value, disposition.reason))
        self._keep(entry)

    def leave(self, away: BridgeOutage) -> None:
        """Be without a connection, as a process that runs on or as one that starts again from its journal."""
        self.pass_time(away.since)
        if away.reason == "link":
            if away.until - away.since >= LINK_LOST_MS:
                self.pass_time(away.since + LINK_LOST_MS)
                self._unwatch(away.since + LINK_LOST_MS, since=away.since + LINK_LOST_MS, reason="link")
        else:
            self._restart(away)
        self._generation += 1

    def _restart(self, away: BridgeOutage) -> None:
        intake = self._intake
        watched = away.since if away.reason == "stop" else away.since // WATCHED_MS * WATCHED_MS
        latest = max(intake.latest_time, watched)
        checkpoints = {line.id: intake.floor.checkpoint(line.id) for line in self._plant.lines}
        floor = Floor.restore(plant_from_json(plant_to_json(self._plant)), checkpoints)
        self._intake = self._start(
            floor, number=intake.number, latest=latest, offset=intake.offset, settled=intake.dedup.acked_up_to
        )
        if away.until - latest >= UNWATCHED_MS:
            self._unwatch(away.until, since=latest, reason="restart")

    def _unwatch(self, at: int, *, since: int, reason: Literal["restart", "link"]) -> None:
        self.driven.fed.append(Unwatched(at, since))
        self._keep(self._intake.enter_absence(BridgeAbsence(since=since, reason=reason), at))

    def pass_time(self, until: int) -> None:
        """Fire every deadline at its own moment."""
        while (deadline := self._intake.floor.next_deadline()) is not None and deadline <= until:
            entry = self._intake.tick(deadline)
            if entry is not None:
                self._keep(entry)
        if until >= self._settle_at:
            self._settle_at = until + 10_000
            self._intake.dedup.record_acks(self._intake.number, until)
            self._intake.dedup.advance_acked(until, generation=self._generation)

    def _keep(self, entry: JournalEntry) -> None:
        self.driven.events += [msgspec.json.decode(event.body) for event in entry.events]
        if entry.message_digest is not None:
            self._resends.append((entry.input.number, entry.message_digest))
