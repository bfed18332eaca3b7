"""A front over a real journal, with dashboards that talk to it in memory.

For tests of the front without its web server, at exact moments; `tests/support/front_server.py` has real sockets.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.viewer import Viewer
from bridge.domain.envelope import position_event
from bridge.domain.event_data import Andon, EventData, Job, LineStatus, Person, Status
from bridge.domain.events import Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.domain.records import CommandRecord, CommittedEvent, Input, JournalEntry
from bridge.domain.reports import APPLIED
from bridge.domain.steps import complete
from bridge.domain.utc_time import Millis, rfc3339
from bridge.front.front import Front
from bridge.front.journal_queries import CurrentState, HistoryPage
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.ports.metrics import Metric
from bridge.settings.token import TokenSettings
from bridge.settings.web import WebSettings
from bridge.wiring.front_side import FrontSide
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.in_process import front_side, settings_with
from tests.support.memory_dashboard import MemoryDashboard
from tests.support.tokens import SECRET, token

NOON = 1_767_700_800_000
TOKENS = TokenSettings(secret=SecretStr(SECRET), trust_grants_claim=True)
AREAS = {"L1": "A1", "L2": "A1", "L3": "A2", "L4": "A2"}
PLANT = Plant(
    name="test",
    areas=tuple(AreaConfig(id=area, site="S1") for area in ("A1", "A2")),
    lines=tuple(
        LineConfig(id=line, area=area, equipment=(EquipmentConfig(id="E1"), EquipmentConfig(id="E2")))
        for line, area in AREAS.items()
    ),
)


class ManualClock:
    """A floor clock that stands at noon, and a wall clock that runs and may be moved by a test."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> Millis:
        return NOON

    def wall_now(self) -> Millis:
        return time.time_ns() // 1_000_000 + self.ahead_ms


@dataclass
class MemoryFront:
    """The front, its journal, and its published messages."""

    side: FrontSide
    authenticator: TokenAuthenticator
    journal: SqliteJournal
    clock: ManualClock
    group: asyncio.TaskGroup
    link: FakeLink
    follows: bool  # the journal, as a front alone does: nothing is offered to it
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    boards: list[MemoryDashboard] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], CommandRecord | None] = lambda *_: None

    @property
    def core(self) -> Front:
        return self.side.front

    def authenticate(self, proof: str) -> Viewer:
        return complete(self.core.authenticate(proof))

    def metric(self, metric: Metric) -> float:
        return next(sample.value for sample in self.side.samples() if sample.metric is metric)

    def connect(self, *, offered_token: str | None = None) -> MemoryDashboard:
        board = MemoryDashboard()
        self.boards.append(board)
        peer = f"test:{len(self.boards)}"
        board.socket.attach(self.core.serve(board.socket, handshake_token=offered_token, peer=peer))
        return board

    async def join(self, **claims: Any) -> MemoryDashboard:
        """Connect and authenticate."""
        board = self.connect()
        await board.ask("auth", "auth_ok", token=token(**claims))
        return board

    def positioned(self, *events: Event) -> list[CommittedEvent]:
        at = self.journal.position()
        return [
            position_event(event, stream=at.stream, epoch=at.epoch, offset=at.offset + number)
            for number, event in enumerate(events, start=1)
        ]

    def commit(self, *events: Event, offer: bool = True, command: CommandRecord | None = None) -> list[JournalEntry]:
        """Commit as the pipeline does, one input, then offer."""
        number, _ = self.journal.last_input()
        message = Input(number=number + 1, topic="report/S1/A1/L1/E1/state", payload=b"{}", received_at=NOON)
        entry = JournalEntry(
            input=message, disposition=APPLIED, events=tuple(self.positioned(*events)), command=command
        )
        self.journal.commit(Batch(entries=[entry]))
        if offer and not self.follows:
            self.core.on_committed([entry])
        elif offer:
            for committed in entry.events:
                self.link.deliver(f"event/{committed.topic}", committed.body)
        return [entry]

    async def publish(self, topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        self.commands.append((topic, body))
        record = self.answer(topic, body)
        if record is not None:
            self.commit(command=record)


@asynccontextmanager
async def memory_front(
    folder: Path, *, follows: bool = False, authenticator: TokenAuthenticator | None = None, **settings: Any
) -> AsyncIterator[MemoryFront]:
    """A front with this test's settings; at the end every connection is over and every task is done.

    With `follows` it follows the journal as a front alone does.
    """
    path = folder / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    clock = ManualClock()
    made: list[MemoryFront] = []

    async def publish(topic: str, payload: bytes) -> None:
        await made[0].publish(topic, payload)

    link = FakeLink(publish)
    authenticator = authenticator or TokenAuthenticator.from_settings(settings_with(token=TOKENS))
    side = front_side(
        path,
        journal=None if follows else journal,
        plant=PLANT,
        clock=clock,
        link=link,
        authenticator=authenticator,
        web=WebSettings(**settings),
    )
    try:
        async with asyncio.TaskGroup() as group:
            made.append(MemoryFront(side, authenticator, journal, clock, group, link, follows))
            side.start(group)
            if follows:
                await until(lambda: side.front.position == journal.position(), what="followed")
            yield made[0]
            for board in made[0].boards:
                await board.disconnect()
            side.drain()
            side.cancel()
    finally:
        made[0].journal.close()
    front = side.front
    statistics = front.statistics()
    assert statistics["connections"] == 0
    assert (statistics["routes"], statistics["cohorts"]) == (0, 0)


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


def status(line: str = "L1", *, state: Status = "running") -> Event:
    data = LineStatus(scope="line", status=state, previous_status=None, since=rfc3339(NOON), scheduled=True)
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
        place=Place("S1", AREAS[line], line),
        subject=subject,
        priority=priority,
        revision=1,
        timestamp=NOON,
        data=data,
        standing=standing,
    )


def data_of(found: HistoryPage | CurrentState) -> Any:
    """Return what an answer over HTTP holds."""
    return json.loads(b"".join(complete(found.answer()).parts()))
