"""The front's side of a process: dashboards, their commands' link to the broker, and the end of revoked access."""

import asyncio
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Final

import structlog

from bridge.adapters.broker import BrokerLink
from bridge.adapters.clock import FloorClock
from bridge.adapters.journal.reading import SqliteReader
from bridge.adapters.journal.writing import SqliteJournal
from bridge.adapters.web_status import Number
from bridge.core.dashboard.commands import directory_of
from bridge.core.plant import Plant
from bridge.core.stream_status import status_topic
from bridge.front.follower import Follower
from bridge.front.front import Front
from bridge.gate import Gate
from bridge.settings import Settings

REVOCATION_LOOK_SECONDS: Final = 0.5  # revoked access ends within a second

log = structlog.get_logger(__name__)


class FrontSide:
    """The front of one stream, wired. It owns nothing that is worth keeping.

    With a `journal` it is fed by whoever commits to that. Without one it follows another process's.
    """

    def __init__(
        self, settings: Settings, *, journal: SqliteJournal | None, plant: Plant, gate: Gate, clock: FloorClock
    ) -> None:
        broker, root, stream = settings.broker, settings.root, settings.stream
        own_user = broker.front_username is not None
        self._gate = gate
        self._desk = BrokerLink(
            broker,
            client_id=f"floor-{stream}-front-{secrets.token_hex(4)}",  # several fronts may serve one stream
            durable=False,
            subscriptions=[] if journal else [(f"{root}/event/#", 1), (status_topic(root, stream), 1)],
            username=broker.front_username if own_user else broker.username,
            password=broker.front_password if own_user else broker.password,
        )
        self.front = Front(
            settings=settings.web,
            journal=journal,
            verify=gate.verify,
            policy=gate.policy,
            trust_grants=gate.trust_grants,
            clock=clock,
            publish=lambda topic, payload: self._desk.publish(f"{root}/{topic}", payload),
            directory=directory_of(plant),
            simulated=settings.time.scale != 1,
        )
        self._follower: Follower | None = None
        if journal is None:
            opening = partial(SqliteReader.open, settings.journal.path, stream=stream)
            self._follower = Follower(self._desk, self.front, opening, root=root, stream=stream)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run in this group until `leave`."""
        self._tasks = [
            tasks.create_task(self._desk.run(), name="broker-desk"),
            tasks.create_task(self.front.run(), name="front"),
            tasks.create_task(self._end_revoked(), name="revocations"),
        ]
        if self._follower is not None:
            self._tasks.append(tasks.create_task(self._follower.run(), name="follower"))

    async def drain(self) -> None:
        """Close every dashboard; each is told when to come back."""
        await self.front.shutdown()

    def leave(self) -> None:
        """End every task."""
        for task in self._tasks:
            task.cancel()

    def numbers(self) -> Iterator[Number]:
        """What the metrics show of this side beside the front's own statistics."""
        yield Number("broker_connected", float(self._desk.status.connected), {"link": "broker-desk"})
        if self._follower is not None:
            yield Number("follower_offset", self.front.position.offset)
            yield Number("follower_hints", self._follower.hints)
            yield Number("follower_reads", self._follower.reads)
            yield Number("follower_turns", self._follower.turns)

    async def _end_revoked(self) -> None:
        """End what goes on with a token that was good when it came."""
        known = self._gate.revoked()
        while True:
            await asyncio.sleep(REVOCATION_LOOK_SECONDS)
            if self._gate.revoked() is not known:
                known = self._gate.revoked()
                log.info("access.ended", connections=self.front.end_access(known))
