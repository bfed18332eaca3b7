"""A front served over real sockets: a real journal, real tokens, the shipped policy. Commands are all applied.

`tests/front/memory_front.py` has neither sockets nor HTTP; `front_process.py` serves this front in another process.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.clock import FloorClock
from bridge.domain.event_data import Andon, LineStatus
from bridge.domain.events import DEFAULT_QUALITY, DataQuality, Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.domain.records import CommandRecord, CommittedEvent
from bridge.domain.reports import Report
from bridge.domain.utc_time import rfc3339
from bridge.front.front import Front
from bridge.front.metric_samples import front_samples
from bridge.front.web.app import make_front_app
from bridge.http.listener import listen
from bridge.http.load import ServerLoad
from bridge.http.server import serve
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.ports.metrics import MetricSample
from bridge.settings.token import TokenSettings
from bridge.settings.web import WebSettings
from tests.support.fake_link import FakeLink
from tests.support.in_process import ROOT, front_side, settings_with
from tests.support.journal_samples import NOON, applied, follow
from tests.support.tokens import SECRET

DEADLINE = 10.0
TOKENS = TokenSettings(secret=SecretStr(SECRET))
PLANT = Plant(
    name="test",
    areas=(AreaConfig(id="pack", site="north"),),
    lines=tuple(
        LineConfig(id=name, area="pack", equipment=(EquipmentConfig(id=f"{name}-bagger"),)) for name in ("L1", "L2")
    ),
)


def call(call_id: str = "L1.call.1", *, line: str = "L1", description: str = "film torn", revision: int = 1) -> Event:
    """An open call of high priority."""
    andon = Andon(
        call_id=call_id, andon_type="equipment", priority="high", status="open", raised_at=rfc3339(NOON),
        raised_by=None, escalation_level=0, repeat=0, auto_generated=False, description=description,
    )  # fmt: skip
    return Event(
        type=EventType.ANDON_EVENT, place=Place("north", "pack", line), subject=call_id, priority=Priority.HIGH,
        revision=revision, timestamp=NOON, data=andon,
    )  # fmt: skip


def status(
    line: str = "L1", *, product: str = "P1", revision: int = 1, quality: DataQuality = DEFAULT_QUALITY
) -> Event:
    data = LineStatus(
        scope="line", status="running", previous_status=None, since=rfc3339(NOON), scheduled=True, product=product
    )
    return Event(
        type=EventType.LINE_STATUS_UPDATE, place=Place("north", "pack", line), subject="_", priority=Priority.MEDIUM,
        revision=revision, timestamp=NOON, data=data, standing=Standing.CURRENT, quality=quality,
    )  # fmt: skip


@dataclass
class ServedFront:
    front: Front
    authenticator: TokenAuthenticator
    journal: SqliteJournal
    clock: FloorClock
    port: int
    published: list[str] = field(default_factory=list)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def commit(self, *events: Event) -> tuple[CommittedEvent, ...]:
        batch = follow(self.journal, events)
        self.journal.commit(batch)
        self.front.on_committed(batch.entries)
        return batch.entries[0].events

    async def publish(self, topic: str, payload: bytes) -> None:
        """Replace broker and pipeline: apply the command, without events."""
        self.published.append(topic)
        report = decode(topic, payload, received_at=NOON, cause="", retained=False)
        assert isinstance(report, Report), report
        assert report.actor is not None
        assert report.command_id is not None
        record = CommandRecord(
            user=report.actor.id, command_id=report.command_id, outcome="applied", reason=None, event_ids=(), at=NOON
        )
        number = self.journal.last_input()[0] + 1
        batch = Batch(entries=[applied(number, topic=topic, payload=payload, command=record)])
        self.journal.commit(batch)
        self.front.on_committed(batch.entries)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(self.http + path, headers=headers)

    async def head(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.head(self.http + path, headers=headers)

    async def post(self, path: str, *, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.post(self.http + path, content=content, headers=headers)


@contextlib.asynccontextmanager
async def served_front(
    folder: Path,
    web: WebSettings | None = None,
    *,
    numbers: Sequence[MetricSample] = (),
    simulated: bool = False,
    port: int = 0,
    send_buffer: int = 0,
    trust_grants: bool = False,
    policy_file: Path | None = None,
    load: ServerLoad | None = None,
) -> AsyncIterator[ServedFront]:
    """Serve a front, on a free port unless one is given, until the end of the block.

    `send_buffer`: of the kernel, in bytes; small, a client that does not read is felt soon. 0: as the kernel likes.
    """
    settings = web or WebSettings()
    path = folder / "journal.db"
    clock = FloorClock()
    listener = listen("127.0.0.1", port)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)

    async def publish(topic: str, payload: bytes) -> None:
        await served.publish(topic, payload)

    token = TOKENS.model_copy(update={"trust_grants_claim": trust_grants})
    authenticator = TokenAuthenticator.from_settings(settings_with(token=token, policy_file=policy_file))
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        side = front_side(
            path,
            journal=journal,
            plant=PLANT,
            clock=clock,
            link=FakeLink(publish),
            authenticator=authenticator,
            web=settings,
            time__scale=2 if simulated else 1,
        )
        served = ServedFront(side.front, authenticator, journal, clock, listener.getsockname()[1])
        side.front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
        app = make_front_app(side.front, settings, root=ROOT, samples=lambda: (*front_samples(side.front), *numbers))
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve(app, load or ServerLoad(settings), listener=listener, started=started))
            side.start(tasks)
            try:
                await asyncio.wait_for(started.wait(), DEADLINE)
                yield served
            finally:
                side.front.shutdown(spread_seconds=1.0)
                serving.cancel()
                side.cancel()
