"""A front over a real journal, with dashboards that talk to it in memory."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bridge.adapters.authenticator import Authenticator
from bridge.adapters.policy_file import load as load_policy
from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenIssuer, TokenVerifier
from bridge.domain.event_data import Andon, EventData, Job, LineStatus, Person, Status
from bridge.domain.events import Event, EventType, Millis, Place, Priority, Standing, rfc3339
from bridge.domain.records import CommandRecord, CommittedEvent, Input, JournalEntry, position_event
from bridge.domain.reports import APPLIED
from bridge.front.front import Disconnected, Front
from bridge.front.replica import Replica
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.settings import TokenSettings, WebSettings
from tests.front.fake_link import Hints
from tests.support.brokers import until

NOON = 1_767_700_800_000
PATIENCE = 5.0  # seconds until a condition that doesn't come fails the test
TOKENS = TokenSettings(secret=SecretStr("a secret of thirty-two bytes or more"))
PLACES = {line: Place("S1", "A1" if line < "L3" else "A2", line) for line in ("L1", "L2", "L3", "L4")}
EQUIPMENT = frozenset({"E1", "E2"})
Frame = dict[str, Any]


def directory(line_id: str, equipment_code: str | None) -> Place | None:
    place = PLACES.get(line_id)
    if place is None or equipment_code is None:
        return place
    return place.with_equipment(equipment_code) if equipment_code in EQUIPMENT else None


class ManualClock:
    """Floor time stands at noon; real time runs, and a test may move it."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> Millis:
        return NOON

    def wall_now(self) -> Millis:
        return time.time_ns() // 1_000_000 + self.ahead_ms


class MemorySocket:
    """A WebSocket in memory: both ends. The client's end reads all it gets unless it is told to stop."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.texts: list[str] = []
        self.closed: tuple[int, str] | None = None
        self._inbound: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self._last = ""  # the type of the last frame that it reads
        self._news = asyncio.Condition()
        self.gone = False

    # The server's end.

    async def receive(self) -> str | bytes:
        message = await self._inbound.get()
        if message is None:
            raise Disconnected
        return message

    async def send(self, text: str) -> None:
        await self._reading.wait()
        if self.gone or self.closed is not None:
            raise Disconnected
        self.texts.append(text)
        decoded = json.loads(text)
        self.frames.extend(decoded if isinstance(decoded, list) else [decoded])
        if self.frames[-1]["type"] == self._last:
            self.stop_reading()
        await self._tell()

    async def close(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123
        self.closed = (int(code), reason)
        await self._tell()

    # The client's end.

    def stop_reading(self, *, after: str | None = None) -> None:
        """From now on, or `after` a frame of this type."""
        self._last = after or ""
        if after is None:
            self._reading.clear()

    def read_on(self) -> None:
        self._reading.set()

    def say(self, frame: Frame | str | bytes) -> None:
        self._inbound.put_nowait(json.dumps(frame) if isinstance(frame, dict) else frame)

    def leave(self) -> None:
        self.gone = True
        self._reading.set()
        self._inbound.put_nowait(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def hears(self, kind: str, *, count: int = 1, **fields: Any) -> Frame:
        """Wait for the `count`th frame of this type with these fields."""

        def found() -> list[Frame]:
            return [each for each in self.frames if each["type"] == kind and fields.items() <= each.items()]

        try:
            await self.until(lambda: len(found()) >= count)
        except TimeoutError:
            heard = [each["type"] for each in self.frames]
            raise AssertionError(f"never heard {kind} {fields}; heard {heard}, closed {self.closed}") from None
        return found()[count - 1]

    async def ends(self) -> tuple[int, str]:
        await self.until(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed

    def events(self) -> list[int]:
        """Offsets of all events, in the order they came, those of snapshots included."""
        return [each["offset"] for each in self.frames if "offset" in each]

    def live(self) -> list[int]:
        """Offsets of the events outside of snapshots."""
        found, inside = [], False
        for each in self.frames:
            inside = each["type"] == "snapshot_begin" or (inside and each["type"] != "snapshot_end")
            if "offset" in each and not inside:
                found.append(each["offset"])
        return found

    def last_link(self) -> Frame:
        return [each for each in self.frames if each["type"] == "link"][-1]

    def types(self) -> list[str]:
        return [each["type"] for each in self.frames if each["type"] not in ("position", "link")]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@dataclass
class Floor:
    """The front, its journal, and what was published for it."""

    front: Front
    journal: SqliteJournal
    clock: ManualClock
    group: asyncio.TaskGroup
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sockets: list[MemorySocket] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], CommandRecord | None] = lambda *_: None
    follower: Replica | None = None
    hints: Hints | None = None  # given: the front follows the journal, and nothing is offered to it

    def token(self, *, user: str = "eva", roles: Sequence[str] = ("admin",), ttl: int = 3_600, **claims: Any) -> str:
        now = self.clock.wall_now()
        return TokenIssuer(TOKENS).issue(subject=user, roles=list(roles), now=now, ttl_seconds=ttl, **claims)

    def connect(self, *, offered_token: str | None = None) -> MemorySocket:
        socket = MemorySocket()
        self.sockets.append(socket)
        work = self.front.serve(socket, handshake_token=offered_token, peer=f"test:{len(self.sockets)}")
        self.group.create_task(work, name=f"test serve {len(self.sockets)}")
        return socket

    async def join(self, *, token: str | None = None, **claims: Any) -> MemorySocket:
        """Connect and authenticate."""
        socket = self.connect()
        socket.say({"type": "auth", "token": token or self.token(**claims)})
        await socket.hears("auth_ok")
        return socket

    def positioned(self, *events: Event) -> list[CommittedEvent]:
        at = self.journal.position()
        return [
            position_event(each, stream=at.stream, epoch=at.epoch, offset=at.offset + number)
            for number, each in enumerate(events, start=1)
        ]

    def commit(self, *events: Event, offer: bool = True, command: CommandRecord | None = None) -> list[JournalEntry]:
        """Commit as the pipeline does, one input, then offer."""
        number, _ = self.journal.last_input()
        message = Input(number=number + 1, topic="report/S1/A1/L1/E1/state", payload=b"{}", received_at=NOON)
        entry = JournalEntry(
            input=message, disposition=APPLIED, events=tuple(self.positioned(*events)), command=command
        )
        self.journal.commit(Batch(entries=[entry]))
        if offer and self.hints is None:
            self.front.on_committed([entry])
        elif offer and self.hints is not None:
            for each in entry.events:
                self.hints.say(f"event/{each.topic}", each.body)
        return [entry]

    async def publish(self, topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        self.commands.append((topic, body))
        record = self.answer(topic, body)
        if record is not None:
            self.commit(command=record)


@asynccontextmanager
async def floor(folder: Path, *, hints: Hints | None = None, **settings: Any) -> AsyncIterator[Floor]:
    """A front with this test's settings; at the end every connection is over and every task is done.

    With `hints` it follows the journal as a front alone does.
    """
    path = folder / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    clock = ManualClock()
    authenticator = Authenticator(
        tokens=TokenVerifier(TOKENS),
        revocations=RevocationFile(None),
        policy=load_policy(None),
        trust_grants=True,
    )
    made: list[Floor] = []
    try:
        async with asyncio.TaskGroup() as group:

            async def publish(topic: str, payload: bytes) -> None:
                await made[0].publish(topic, payload)

            front = Front(
                settings=WebSettings(**settings),
                journal=journal if hints is None else None,
                authenticator=authenticator,
                clock=clock,
                publish=publish,
                find_place=directory,
            )
            made.append(Floor(front, journal, clock, group, hints=hints))
            tasks = [group.create_task(front.run(), name="front run")]
            if hints is not None:
                follower = Replica(
                    hints, front, partial(SqliteReader.open, path, stream="main"), root="floor/v1", stream="main"
                )
                tasks.append(group.create_task(follower.run(), name="follower"))
                made[0].follower = follower
                await until(lambda: front.position == journal.position(), what="followed")
            yield made[0]
            for socket in made[0].sockets:
                socket.leave()
            await front.shutdown()
            for task in tasks:
                task.cancel()
    finally:
        made[0].journal.close()
    books = front.statistics()
    assert books["connections"] == 0
    assert books["balanced"]
    assert books["ledger"]["pending"] == {}
    assert len(front._context.router) == 0
    assert front._context.router._assignees == {}


def call(
    subject: str = "C1", *, line: str = "L1", status: str = "open", standing: Standing = Standing.CURRENT
) -> Event:
    data = Andon(
        call_id=subject,
        andon_type="quality",
        priority="high",
        status=status,  # type: ignore[arg-type]
        raised_at=rfc3339(NOON),
        raised_by=None,
        escalation_level=0,
        repeat=0,
        auto_generated=False,
    )
    return event(EventType.ANDON_EVENT, data, line=line, subject=subject, standing=standing, priority=Priority.HIGH)


def status(line: str = "L1", *, word: Status = "running") -> Event:
    data = LineStatus(scope="line", status=word, previous_status=None, since=rfc3339(NOON), scheduled=True)
    return event(EventType.LINE_STATUS_UPDATE, data, line=line, subject="_")


def assignment(job: str = "J1", *, line: str = "L1", to: str = "eva") -> Event:
    data = Job(job_id=job, product="P", status="assigned", target_quantity=5, assigned_to=Person(to))
    return event(EventType.JOB_ASSIGNED, data, line=line, subject=job)


def event(
    kind: EventType,
    data: EventData,
    *,
    line: str,
    subject: str,
    standing: Standing = Standing.CURRENT,
    priority: Priority = Priority.MEDIUM,
) -> Event:
    return Event(
        type=kind,
        place=PLACES[line],
        subject=subject,
        priority=priority,
        revision=1,
        timestamp=NOON,
        data=data,
        standing=standing,
    )
