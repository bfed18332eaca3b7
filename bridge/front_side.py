"""The front's side of a process: dashboards, their commands' link to the broker, and the end of revoked access."""

import asyncio
from collections.abc import Iterator
from typing import Final

import structlog

from bridge.adapters.broker import BrokerLink
from bridge.adapters.clock import FloorClock
from bridge.adapters.web_status import Number
from bridge.core.dashboard.commands import directory_of
from bridge.core.plant import Plant
from bridge.core.records import Journal
from bridge.front.front import Front
from bridge.gate import Gate
from bridge.settings import Settings

REVOCATION_LOOK_SECONDS: Final = 0.5  # revoked access ends within a second

log = structlog.get_logger(__name__)


class FrontSide:
    """The front of one stream, wired. It owns nothing that is worth keeping."""

    def __init__(self, settings: Settings, *, journal: Journal, plant: Plant, gate: Gate, clock: FloorClock) -> None:
        broker, root = settings.broker, settings.root
        own_user = broker.front_username is not None
        self._gate = gate
        self._desk = BrokerLink(
            broker,
            client_id=f"floor-{settings.stream}-front",
            durable=False,
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
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run in this group until `leave`."""
        self._tasks = [
            tasks.create_task(self._desk.run(), name="broker-desk"),
            tasks.create_task(self.front.run(), name="front"),
            tasks.create_task(self._end_revoked(), name="revocations"),
        ]

    async def say_goodbye(self) -> None:
        """Close every dashboard; each is told when to come back."""
        await self.front.shutdown()

    def leave(self) -> None:
        """End every task."""
        for task in self._tasks:
            task.cancel()

    def numbers(self) -> Iterator[Number]:
        """What the metrics show of this side beside the front's own statistics."""
        yield Number("broker_connected", float(self._desk.status.connected), {"link": "broker-desk"})

    async def _end_revoked(self) -> None:
        """End what goes on with a token that was good when it came."""
        known = self._gate.revoked()
        while True:
            await asyncio.sleep(REVOCATION_LOOK_SECONDS)
            if self._gate.revoked() is not known:
                known = self._gate.revoked()
                log.info("access.ended", connections=self.front.end_access(known))
