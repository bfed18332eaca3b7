"""The publisher alone, with a real journal and a real broker; the test commits events in the place of a pipeline."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.adapters.clock import FloorClock
from bridge.domain.events import Event
from bridge.domain.line.floor import Floor
from bridge.domain.stream_status import StreamOwner
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.publisher.publisher import Publisher
from tests.support.brokers import until
from tests.support.in_process import PLANT, ROOT, settings_with
from tests.support.journal_samples import follow

STOP_SECONDS: Final = 10.0


@dataclass(slots=True)
class PublisherRun:
    journal: SqliteJournal
    publisher: Publisher
    link: BrokerLink
    task: asyncio.Task[None]

    def commit(self, events: Sequence[Event]) -> int:
        """Commit them, an input for each; return the last offset."""
        batch = follow(self.journal, *([event] for event in events))
        self.journal.commit(batch)
        self.publisher.on_committed(batch.entries)
        return self.journal.position().offset

    async def marked(self, offset: int) -> None:
        """Wait until the journal has it that events up to this one are published."""
        await until(lambda: self.journal.published_offset() == offset, seconds=60, what=f"marked up to {offset}")


@contextlib.asynccontextmanager
async def run_publisher(port: int, path: Path) -> AsyncIterator[PublisherRun]:
    """Run a publisher until the block ends, with the broker at this port; then stop it."""
    broker = settings_with(broker__port=port).broker
    with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
        link = BrokerLink(broker, client_id="publisher", durable=False)
        publisher = Publisher(
            link,
            RetainedReader(broker, client_id="reader"),
            journal,
            FloorClock(not_before=journal.last_input()[1]),
            root=ROOT,
            lines=Floor(PLANT).line_places(),
            simulated=False,
            owner=StreamOwner("own", 1),
            ready=lambda: True,
        )
        linking = asyncio.create_task(link.run())
        task = asyncio.create_task(publisher.run(), name="publisher")
        try:
            yield PublisherRun(journal, publisher, link, task)
        finally:
            publisher.stop()
            await asyncio.wait([task], timeout=STOP_SECONDS)
            for running in (linking, task):
                running.cancel()
            await asyncio.wait([linking, task])
    if not task.cancelled():
        await task
