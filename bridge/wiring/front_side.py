"""The front side of a process: dashboards, the broker link for their commands, and the end of revoked access."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterator
from functools import partial

import structlog

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.command_admission import PlantPlaces
from bridge.domain.plant import Plant
from bridge.domain.stream_status import status_topic
from bridge.domain.topic_tree import TopicBranch
from bridge.front.front import Front
from bridge.front.metric_samples import front_samples
from bridge.front.replica import Replica
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerClient
from bridge.ports.clock import FrontClock
from bridge.ports.journal import ReadableJournal
from bridge.ports.metrics import Metric, MetricSample
from bridge.settings.settings import Settings
from bridge.wiring.access_files import AccessFile
from bridge.wiring.stores import open_replica

log = structlog.get_logger(__name__)


class FrontSide:
    """The front of one stream, wired. It holds no durable state.

    With a `journal`, the pipeline in this process feeds it. Without one, it follows the journal of another process.
    `make_client` makes the broker link, from what `BrokerLink` takes.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        journal: ReadableJournal | None,
        plant: Plant,
        authenticator: TokenAuthenticator,
        clock: FrontClock,
        make_client: Callable[..., BrokerClient] = BrokerLink,
    ) -> None:
        root, stream = settings.root, settings.stream
        hints = [(TopicBranch.EVENT.topic_filter(root), 1), (status_topic(root, stream), 1)]
        self._broker_link = make_client(
            settings.broker.as_front(),
            client_id=f"floor-{stream}-front-{secrets.token_hex(4)}",  # several fronts may serve one stream
            durable=False,
            subscriptions=[] if journal else hints,
        )
        self.front = Front(
            settings=settings.web,
            journal=journal,
            authenticator=authenticator,
            clock=clock,
            publish=lambda topic, payload: self._broker_link.publish(f"{root}/{topic}", payload),
            places=PlantPlaces.of(plant),
            simulated=settings.time.scale != 1,
        )
        self._replica: Replica | None = None
        if journal is None:
            opening = partial(open_replica, settings.journal.path, stream=stream)
            self._replica = Replica(self._broker_link, self.front, opening, root=root, stream=stream)
        self._revoked = self._redecided = 0
        self._policy_changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start the tasks in this group; `cancel` ends them."""
        self._tasks = [
            tasks.create_task(self._broker_link.run(), name="broker-front"),
            tasks.create_task(self.front.run(), name="front"),
            tasks.create_task(self._follow_policy(), name="policy"),
        ]
        if self._replica is not None:
            self._tasks.append(tasks.create_task(self._replica.run(), name="replica"))

    def drain(self) -> None:
        """Close every dashboard's connection, with a time to reconnect."""
        self.front.shutdown()

    def cancel(self) -> None:
        """Cancel every task."""
        for task in self._tasks:
            task.cancel()

    def samples(self) -> Iterator[MetricSample]:
        """Yield this side's metrics."""
        yield from front_samples(self.front)
        yield MetricSample(Metric.BROKER_CONNECTED, float(self._broker_link.status.connected), {"link": "front"})
        yield MetricSample(Metric.DASHBOARD_REVOKED, self._revoked)
        yield MetricSample(Metric.DASHBOARD_REDECIDED, self._redecided)
        if self._replica is not None:
            yield MetricSample(Metric.REPLICA_OFFSET, self.front.position.offset)
            yield MetricSample(Metric.REPLICA_HINTS, self._replica.hints)
            yield MetricSample(Metric.REPLICA_READS, self._replica.reads)
            yield MetricSample(Metric.REPLICA_JOURNAL_SWITCHES, self._replica.switches)

    async def follow_access(self, changed: Collection[AccessFile]) -> None:
        """End the dashboards that are revoked, and have all others decided about again, without waiting for that."""
        if AccessFile.REVOCATIONS in changed:
            count = await self.front.close_revoked()
            self._revoked += count
            log.info("access.revoked", connections=count)
        if AccessFile.POLICY in changed:
            self._policy_changed.set()

    async def _follow_policy(self) -> None:
        """Decide again about all dashboards after each change of the policy.

        A change meanwhile holds at once for those that are still to be decided, and for the others in another round.
        """
        while True:
            await self._policy_changed.wait()
            self._policy_changed.clear()
            count = await self.front.redecide()
            self._redecided += count
            log.info("access.redecided", connections=count)
