"""A front served over real sockets: a real journal, real tokens, the shipped policy. Commands are all applied."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websockets
from pydantic import SecretStr

from bridge.adapters import policy_file
from bridge.adapters.authenticator import Authenticator
from bridge.adapters.clock import FloorClock
from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenIssuer, TokenVerifier
from bridge.domain.event_data import Andon, LineStatus
from bridge.domain.events import DEFAULT_QUALITY, DataQuality, Event, EventType, Place, Priority, Standing, rfc3339
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.domain.records import CommandRecord, CommittedEvent
from bridge.domain.reports import Report
from bridge.front.front import Front
from bridge.front.web.app import make_front_app
from bridge.front.web.metric_samples import MetricSample
from bridge.front.web.server import listen, serve
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.protocol.commands import place_lookup
from bridge.settings import TokenSettings, WebSettings
from tests.support.journal_samples import NOON, applied, follow

DEADLINE = 10.0
Frame = dict[str, Any]
TOKENS = TokenSettings(secret=SecretStr("0123456789abcdef0123456789abcdef"))
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
class Served:
    front: Front
    journal: SqliteJournal
    issuer: TokenIssuer
    clock: FloorClock
    port: int
    published: list[str] = field(default_factory=list)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def token(self, *roles: str, ttl_seconds: int = 600, **claims: Any) -> str:
        return self.issuer.issue(
            subject="anna",
            roles=list(roles or ("admin",)),
            now=self.clock.wall_now(),
            ttl_seconds=ttl_seconds,
            **claims,
        )

    def bearer(self, *roles: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*roles, **claims)}"}

    def commit(self, *events: Event) -> tuple[CommittedEvent, ...]:
        batch = follow(self.journal, events)
        self.journal.commit(batch)
        self.front.on_committed(batch.entries)
        return batch.entries[0].events

    async def publish(self, topic: str, payload: bytes) -> None:
        """Stand for broker and pipeline: the command is applied, without events."""
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
) -> AsyncIterator[Served]:
    """Serve a front, on a free port unless one is given, until the end of the block.

    `send_buffer`: of the kernel, in bytes; small, a client that does not read is felt soon. 0: as the kernel likes.
    """
    settings = web or WebSettings()
    journal = SqliteJournal.open(folder / "journal.db", stream="main")
    clock = FloorClock()
    listener = listen("127.0.0.1", port)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)

    async def publish(topic: str, payload: bytes) -> None:
        await served.publish(topic, payload)

    front = Front(
        settings=settings, journal=journal, authenticator=Authenticator(
            tokens=TokenVerifier(TOKENS), revocations=RevocationFile(None), policy=policy_file.load(None),
            trust_grants=trust_grants,
        ),
        clock=clock, publish=publish,
        find_place=place_lookup(PLANT), simulated=simulated,
    )  # fmt: skip
    served = Served(front, journal, TokenIssuer(TOKENS), clock, listener.getsockname()[1])
    front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
    app = make_front_app(front, settings, root="floor/v1", samples=lambda: numbers)
    started = asyncio.Event()
    tasks = [
        asyncio.create_task(serve(app, settings, listener=listener, started=started)),
        asyncio.create_task(front.run()),
    ]
    try:
        await asyncio.wait_for(started.wait(), DEADLINE)
        yield served
    finally:
        await front.shutdown(spread_seconds=1.0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DEADLINE)
        journal.close()
        failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        assert not any(failures), failures


async def frame_of(client: websockets.ClientConnection, *types: str) -> Frame:
    """The next frame of one of these types; others are passed over."""
    async with asyncio.timeout(DEADLINE):
        while True:
            frame: Frame = json.loads(await client.recv())
            if frame["type"] in types:
                return frame


async def closed(client: websockets.ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes."""
    await asyncio.wait_for(client.wait_closed(), DEADLINE)
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""
