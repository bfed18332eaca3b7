"""The pipeline side of a process: reports in, events out, and the broker links for both."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from typing import Final

from bridge.adapters.clock import FloorClock
from bridge.domain.line.floor import Floor
from bridge.domain.messages import Publication
from bridge.domain.stream_status import StreamOwner, will_publication
from bridge.ingest.decoders import DecoderTable
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.pipeline.pipeline import CoreCrashed, Pipeline
from bridge.ports.broker import BrokerClient
from bridge.ports.clock import wall_ms
from bridge.ports.journal import Journal
from bridge.ports.metrics import Metric, MetricSample
from bridge.publisher.broker_drops import DROPPED_TOPIC, BrokerDrops
from bridge.publisher.publisher import Publisher
from bridge.publisher.stream_ownership import StreamInUse, StreamOwnership, ownership_subscriptions
from bridge.settings.settings import Settings
from bridge.wiring.broker_monitor import BrokerMonitor
from bridge.wiring.link_watch import LinkWatch
from bridge.wiring.pipeline_samples import counter_samples, gap_samples, ineffective_samples, pipeline_samples

INTAKE_SECONDS: Final = 3.0  # a stop waits this long for the last commit, of 10 s in all: the disk may not answer
DRAIN_SECONDS: Final = 4.0  # and this long for the publisher
ACK_DOUBT_KEEPALIVES: Final = 3.0  # a half-open connection is detected after two
BEHIND_SECONDS: Final = 60.0  # host's clock behind floor time; beyond that, floor time is not the plant's


class PipelineSide:
    """Intake, pipeline and publisher of one stream, wired. It owns the journal.

    `make_client` makes the broker links, from what `BrokerLink` takes.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        journal: Journal,
        floor: Floor,
        decode: DecoderTable,
        clock: FloorClock,
        make_client: Callable[..., BrokerClient] = BrokerLink,
    ) -> None:
        simulated = settings.time.scale != 1
        broker, root, stream = settings.broker, settings.root, settings.stream
        owner = StreamOwner(secrets.token_hex(8), wall_ms())
        self._clock = clock
        self._intake = make_client(
            broker,
            client_id=f"floor-{stream}",
            durable=True,
            subscriptions=[(f"{root}/{text}", 1) for text in decode.subscriptions],
        )
        self._monitor = BrokerMonitor(settings, intake=self._intake, places=floor.places())
        self._publisher_link = make_client(
            broker,
            client_id=f"floor-{stream}-publisher",
            durable=False,
            optional=[(DROPPED_TOPIC, 0)],  # not every broker allows $SYS; events are published regardless
            will=will_publication(journal.position(), root=root, simulated=simulated, owner=owner),
            last_publication=self._last_publication,
        )
        self._drops = BrokerDrops()  # Mosquitto retains it for only a minute, and publishes it again when it changes
        self._status_channel = make_client(
            broker,
            client_id=f"floor-{stream}-ownership-{owner.id}",
            durable=False,
            optional=ownership_subscriptions(root, stream, owner),
        )
        self._link_watch = LinkWatch(
            [("intake", self._intake), ("publisher", self._publisher_link)],
            witness=self._status_channel,
            keepalive_seconds=broker.keepalive_seconds,
        )
        self._ownership = StreamOwnership(self._status_channel, root=root, stream=stream, owner=owner)
        self.publisher = Publisher(
            self._publisher_link,
            RetainedReader(broker, client_id=f"floor-{stream}-retained"),
            journal,
            clock,
            root=root,
            lines=floor.line_places(),
            simulated=simulated,
            owner=owner,
            ready=lambda: self._readiness(self.clock_fault() or self.intake_fault())[0],
            on_refused=self._monitor.wake,
        )
        self.pipeline = Pipeline(
            self._intake,
            journal,
            floor,
            clock,
            decode=decode,
            root=root,
            # half of what the broker may send unacknowledged: the other half arrives while this one commits
            commit_max_inputs=min(settings.journal.commit_max_inputs, max(1, broker.receive_maximum // 2)),
            commit_max_ms=settings.journal.commit_max_ms,
            checkpoint_seconds=settings.journal.checkpoint_seconds,
            keep=settings.journal.keep,
            ack_doubt_seconds=ACK_DOUBT_KEEPALIVES * broker.keepalive_seconds,
            listeners=[self.publisher.on_committed, self._monitor.on_committed],
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_connected(self) -> bool:
        """Return whether reports can arrive: the intake's link is up."""
        return self._intake.status.connected

    def readiness(self) -> tuple[bool, str]:
        """Return whether reports are journalled now and nothing is wrong with the broker's rules; the reason if not."""
        return self._readiness(self.fault())

    def _readiness(self, fault: str | None) -> tuple[bool, str]:
        status = self.pipeline.status()
        if not self.is_connected:
            refused = str(self._intake.status.reason).startswith("refused: ")
            return False, f"no connection to the broker{': it refuses a subscription' if refused else ''}"
        if fault is not None:
            return False, fault
        return status.ready, status.reason or "ready"

    def fault(self) -> str | None:
        """Return what is wrong with the host's clock or the broker, None if nothing is."""
        return self.clock_fault() or self._link_watch.fault() or self._monitor.fault()

    def intake_fault(self) -> str | None:
        """Return why reports or commands may not arrive although the broker is connected; None if they do."""
        return self._link_watch.fault() or self._monitor.intake_fault()

    def clock_fault(self) -> str | None:
        """Return what is wrong with the host's clock, None if nothing is."""
        behind = self._clock.wall_offset_seconds()
        return f"the host's clock is {behind:.0f} s behind the journal" if behind > BEHIND_SECONDS else None

    def explains(self, error: Exception) -> bool:
        """Return whether the text of an error that ends this side needs no traceback, or was logged with one."""
        return isinstance(error, CoreCrashed | StreamInUse)

    async def claim(self, tasks: asyncio.TaskGroup) -> None:
        """Claim the stream, and keep watching in this group for another publisher of it. Call it before `start`.

        Raise `StreamInUse`; the watching task raises it too.
        """
        self._tasks.append(tasks.create_task(self._status_channel.run(), name="broker-ownership"))
        await self._ownership.claim()
        self._tasks.append(tasks.create_task(self._ownership.watch(), name="ownership"))

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start the tasks in this group; `stop_intake`, `drain` and `cancel` end them in this order."""
        links = [
            tasks.create_task(link.run(), name=f"broker-{name}")
            for name, link in self._links()
            if link is not self._status_channel
        ]
        self._running = tasks.create_task(self.pipeline.run(), name="pipeline")
        self._publishing = tasks.create_task(self.publisher.run(), name="publisher")
        drops = tasks.create_task(self._drops.watch(self._publisher_link), name="drops")
        monitor = tasks.create_task(self._monitor.run(), name="broker-monitor")
        watch = tasks.create_task(self._link_watch.run(), name="link-watch")
        self._tasks += [monitor, watch, drops, self._publishing, *links]

    async def stop_intake(self) -> None:
        """Stop receiving, and wait until everything received is committed and acknowledged: `INTAKE_SECONDS` at most.

        What is not committed by then is not acknowledged, so the broker sends it again.
        """
        self.pipeline.stop()
        await asyncio.wait([self._running], timeout=INTAKE_SECONDS)
        self.publisher.stop()

    async def drain(self) -> None:
        """Wait until everything committed is published, for `DRAIN_SECONDS` at most."""
        await asyncio.wait([self._publishing], timeout=DRAIN_SECONDS)

    def cancel(self) -> None:
        """Cancel every task; the links disconnect."""
        for task in self._tasks:
            task.cancel()

    def final_offsets(self) -> dict[str, int]:
        """Return the last committed and the last published offset, for the log."""
        return {"offset": self.pipeline.status().offset, "published": self.publisher.published}

    def samples(self) -> Iterator[MetricSample]:
        """Yield this side's metrics."""
        yield from pipeline_samples(self.pipeline.status())
        yield from gap_samples(self.pipeline.gaps())
        yield from counter_samples(self.pipeline.counter_fits())
        yield from ineffective_samples(self.pipeline.device_monitor.ineffective_by_line())
        yield MetricSample(Metric.PUBLISHED_OFFSET, self.publisher.published)
        yield MetricSample(Metric.PUBLICATIONS_REFUSED, self.publisher.refused)
        yield MetricSample(Metric.STALE_RETAINED_CLEARED, self.publisher.stale_cleared)
        yield MetricSample(Metric.REPORTS_WAITING, self._intake.queued)
        yield MetricSample(Metric.BROKER_DROPPED_MESSAGES, self._drops.total)
        yield MetricSample(Metric.CLOCK_HELD, float(self._clock.is_ahead_of_wall()))
        yield MetricSample(Metric.CLOCK_OFFSET_SECONDS, self._clock.wall_offset_seconds())
        yield from self._monitor.samples()
        yield from self._link_watch.samples()
        for name, link in self._links():
            yield MetricSample(Metric.BROKER_CONNECTED, float(link.status.connected), {"link": name})

    def _last_publication(self) -> Publication | None:
        """Return the status of a regular stop, None if another process owns the stream."""
        return None if self._ownership.lost else self.publisher.status(online=False)

    def _links(self) -> Iterator[tuple[str, BrokerClient]]:
        yield "intake", self._intake
        yield "publisher", self._publisher_link
        yield "ownership", self._status_channel
