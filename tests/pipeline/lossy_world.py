"""A pipeline behind a broker, a network and devices that lose and repeat messages."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridge.domain import plant
from bridge.domain.line.device.state import MAX_PAST_BOOTS
from bridge.domain.messages import IncomingMessage
from bridge.domain.records import JournalEntry
from bridge.domain.reports import APPLIED
from bridge.domain.utc_time import Millis
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch
from tests.support.driven_intake import driven_intake
from tests.support.packing_line import T0

WINDOW = 4  # what the broker sends unacknowledged

DOUBT_MS = 6_000

DEBOUNCE_MS = 2_000

KEEPALIVES_MS = 1_000  # so long a dead connection is not noticed: well within the doubt

PLANT = plant.Plant(
    name="test",
    areas=(plant.AreaConfig(id="pack", site="north"),),
    lines=(
        plant.LineConfig(
            id="L1",
            area="pack",
            equipment=(
                plant.EquipmentConfig(id="bagger"),
                plant.EquipmentConfig(id="desk", kind="station"),
                plant.EquipmentConfig(id="button", kind="station"),
            ),
            limits=(plant.MeasurementLimit(parameter="weight", unit="g", upper=1e9),),
        ),
    ),
)

MessageKind = Literal["sequence", "dated", "press", "bare"]

TOPIC: dict[MessageKind, str] = {
    "sequence": "report/north/pack/L1/desk/andon",
    "dated": "report/north/pack/L1/bagger/measurement",
    "press": "report/north/pack/L1/button/andon",
    "bare": "report/north/pack/L1/bagger/measurement",
}


@dataclass(eq=False)
class SentMessage:
    """One MQTT message; `action` is the sender's action: a resend and a copy belong to the same one."""

    kind: MessageKind
    payload: bytes
    action: int
    packet_id: int | None = None  # once it was sent to the bridge
    seen: int = 0  # the connection it was last sent on


@dataclass
class LossyNetwork:
    folder: Path
    now: Millis = T0
    generation: int = 1
    dead_connection: bool = False  # the connection is dead, and the broker does not know
    queue: list[SentMessage] = field(default_factory=list)  # in the broker, not acknowledged
    inbox: list[tuple[SentMessage, bool]] = field(default_factory=list)  # arrived, not taken: with the link
    pending: list[tuple[JournalEntry, SentMessage, int]] = field(default_factory=list)
    unacknowledged: list[tuple[SentMessage, int, int]] = field(default_factory=list)  # committed, not acknowledged
    acks_in_flight: list[SentMessage] = field(default_factory=list)
    durable: list[tuple[JournalEntry, SentMessage]] = field(default_factory=list)
    actions: dict[int, MessageKind] = field(default_factory=dict)
    sent: dict[MessageKind, list[SentMessage]] = field(default_factory=lambda: {"sequence": [], "dated": []})
    boot: int = 1
    seq: int = 0
    packet_ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.open()
        for _ in range(3):  # a clock that was seen to tick
            self.report("dated", 1)
            self.deliver()
            self.commit(False)
            self.acknowledge()
            self.arrive()

    # -- the bridge ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.journal = SqliteJournal.open(self.folder / "journal.db", stream="main")
        restored = restore_floor(PLANT, self.journal, decode=decode)
        assert restored.differences == 0, restored.first_differences
        self.intake = driven_intake(restored.floor, self.journal, doubt_ms=DOUBT_MS)

    def kill(self) -> None:
        """Kill the process: only the journal remains, and acknowledgements in flight may be lost."""
        self.journal.close()
        self.pending.clear()
        self.unacknowledged.clear()
        self.cut()
        self.generation = 1
        for message in self.queue:
            message.seen = 0  # on no connection of the next process
        self.open()

    def take(self, message: SentMessage, *, redelivered: bool) -> None:
        incoming = IncomingMessage(
            TOPIC[message.kind],
            message.payload,
            redelivered=redelivered,
            generation=self.generation,
            packet_id=message.packet_id,
        )
        decoded = self.intake.receive(incoming, now=self.now)
        self.pending.append((self.intake.apply(decoded, earlier_result=None), message, self.generation))

    def commit(self, checkpoint: bool) -> None:  # noqa: FBT001 - a step of a schedule
        settled = self.intake.dedup.advance_acked(self.now, generation=self.generation, caught_up=not self.inbox)
        floor = self.intake.floor
        self.journal.commit(
            Batch(
                entries=[entry for entry, _, _ in self.pending],
                checkpoints={line: floor.checkpoint(line) for line in floor.changed_lines()} if checkpoint else {},
                acked_up_to=settled,
            )
        )
        self.durable += [(entry, message) for entry, message, _ in self.pending]
        self.unacknowledged += [
            (message, entry.input.number, generation) for entry, message, generation in self.pending
        ]
        self.pending.clear()

    def acknowledge(self) -> None:
        """Let acknowledgements leave; those of an earlier connection are void."""
        self.arrive()
        if self.unacknowledged:
            self.intake.dedup.record_acks(self.unacknowledged[-1][1], self.now)
        self.acks_in_flight += [
            message for message, _, generation in self.unacknowledged if generation == self.generation
        ]
        self.unacknowledged.clear()

    # -- the broker ---------------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        if self.dead_connection:
            return
        self.queue = [message for message in self.queue if message not in self.acks_in_flight]
        self.acks_in_flight.clear()

    def send(self, most: int = WINDOW) -> None:
        """Send what the window allows and was not sent on this connection; on a dead one it is lost."""
        for message in [message for message in self.queue[:WINDOW] if message.seen != self.generation][:most]:
            redelivered = message.packet_id is not None
            message.packet_id = message.packet_id or next(self.packet_ids)
            message.seen = self.generation
            if not self.dead_connection:
                self.inbox.append((message, redelivered))

    def deliver(self) -> None:
        """Let the bridge take the next message that has arrived."""
        if not self.inbox:
            self.send(1)
        if self.inbox:
            message, redelivered = self.inbox.pop(0)
            self.take(message, redelivered=redelivered)

    def miss(self) -> None:
        """Kill the connection unnoticed: all that the broker sends from now on is lost."""
        self.dead_connection = True
        self.send(1)

    def cut(self) -> None:
        """Cut the connection and lose the messages in flight."""
        self.acks_in_flight.clear()
        self.inbox.clear()
        self.generation += 1
        self.dead_connection = False

    # -- the floor ----------------------------------------------------------------------------------------------------

    def report(self, kind: MessageKind, copies: int) -> None:
        action = len(self.actions)
        self.actions[action] = kind
        body: dict[str, object]
        if kind == "sequence":
            body = {"action": "raise", "andon_type": "safety", "boot_id": self.boot, "seq": self.seq}
            self.seq += 1
        elif kind == "press":
            body = {"action": "raise", "andon_type": "material"}
        else:
            body = {"parameter": "weight", "value": 1, "unit": "g"} | (
                {"ts": T0 + action + 1} if kind == "dated" else {}
            )
        payload = json.dumps(body).encode()
        self.publish([SentMessage(kind, payload, action) for _ in range(copies)])

    def publish(self, copies: list[SentMessage]) -> None:
        self.queue += copies
        if copies[0].kind in self.sent:
            self.sent[copies[0].kind].append(copies[0])

    def resend(self, kind: MessageKind, back: int) -> None:
        """Send content again as a new message, as a device does that had no acknowledgement."""
        sent = self.sent[kind]
        if sent:
            earlier = sent[-1 - back % len(sent)]
            self.publish([SentMessage(kind, earlier.payload, earlier.action)])

    def restart_device(self) -> None:
        if self.boot <= MAX_PAST_BOOTS:  # reports of more boots than that are not distinguished
            self.boot, self.seq = self.boot + 1, 0

    def wait(self, ms: int) -> None:
        self.arrive()
        self.send()
        if self.dead_connection and ms > KEEPALIVES_MS:
            self.cut()  # noticed: an acknowledgement is not mistaken for settled on a connection that is dead
        self.now += ms

    # -- the oracle ---------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Let all that is left go its way."""
        while self.queue:
            before = len(self.queue)
            for _ in range(WINDOW):
                self.deliver()
            self.commit(False)
            self.acknowledge()
            self.arrive()
            assert len(self.queue) < before, "the broker gets its acknowledgements"

    def check(self, seed: int) -> None:
        effects = Counter(message.action for entry, message in self.durable if entry.disposition == APPLIED)
        for action, kind in self.actions.items():
            if kind != "press":
                assert effects[action] == 1, (seed, action, kind)
        assert [
            entry.input.number for entry, message in self.durable if message.kind == "press" and applied(entry)
        ] == [entry.input.number for entry in first_presses(self.durable)]
        assert self.intake.floor.gaps_by_line() == {}, "nothing was lost, so nothing is missing"


def applied(entry: JournalEntry) -> bool:
    return entry.disposition == APPLIED


def first_presses(durable: Sequence[tuple[JournalEntry, SentMessage]]) -> list[JournalEntry]:
    """The presses that count: each message once, and within 2 s of one that counted none."""
    seen_ids: set[int] = set()
    counted: list[JournalEntry] = []
    for entry, message in durable:
        if message.kind != "press" or id(message) in seen_ids:
            continue
        seen_ids.add(id(message))
        if not counted or entry.input.received_at - counted[-1].input.received_at > DEBOUNCE_MS:
            counted.append(entry)
    return counted


STEPS: tuple[tuple[int, str, tuple[object, ...]], ...] = (
    (12, "report", ("sequence", 1)),
    (2, "report", ("sequence", 2)),
    (8, "report", ("dated", 1)),
    (2, "report", ("dated", 2)),
    (8, "report", ("press", 1)),
    (2, "report", ("press", 2)),
    (8, "report", ("bare", 1)),
    (3, "resend", ("sequence",)),
    (2, "resend", ("dated",)),
    (4, "restart_device", ()),
    (45, "deliver", ()),
    (12, "commit", (False,)),
    (6, "commit", (True,)),
    (12, "acknowledge", ()),
    (8, "arrive", ()),
    (4, "wait", (500,)),
    (8, "wait", (2_500,)),
    (1, "wait", (DOUBT_MS,)),
    (5, "miss", ()),
    (6, "cut", ()),
    (4, "kill", ()),
)

"""Weight, step, values."""
