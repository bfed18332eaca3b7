"""The front, wired as `floor run` does it, on a real port: fed with committed batches in process.

The journal is in memory and holds what was offered: what a commit costs is measured elsewhere.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from bridge.adapters import logs
from bridge.adapters.clock import FloorClock
from bridge.domain.event_topic import StateKey
from bridge.domain.events import Standing
from bridge.domain.records import CommittedEvent, JournalEntry
from bridge.front.web.app import make_front_app
from bridge.http.listener import listen
from bridge.http.load import ServerLoad
from bridge.http.server import serve
from bridge.journal.sqlite.reader import SqliteReader
from bridge.settings.web import WebSettings
from bridge.wiring import runtime
from tests.bench.load import StampedBatch, plant
from tests.bench.servers.served import obey
from tests.support.fake_link import FakeLink
from tests.support.in_process import ROOT, front_side
from tests.support.journal_samples import NOON, applied
from tests.support.memory_journal import MemoryJournal

MAX_DASHBOARDS: Final = 10_000


class FedJournal(MemoryJournal):
    """The journal of what was offered. A snapshot continues from the one before: it is as quick as a store's."""

    def __init__(self) -> None:
        super().__init__()
        self._current: dict[StateKey, CommittedEvent] = {}
        self._current_at = 0

    @override
    def current_at(self, offset: int) -> dict[StateKey, CommittedEvent]:
        """Return the current events at an offset that is not below that of the call before."""
        for event in islice(self.history, self._current_at, offset):
            if event.standing is not Standing.HISTORY:
                self._current.pop(event.state_key, None)
            if event.standing is Standing.CURRENT:
                self._current[event.state_key] = event
        self._current_at = offset
        return self._current


def prepare(batches: Sequence[StampedBatch]) -> list[tuple[int, list[JournalEntry]]]:
    """Return the entries of each batch, one for each event."""
    return [(batch.due, [applied(event.offset, [event]) for event in batch.events]) for batch in batches]


async def run(journal_path: str, settings: dict[str, Any]) -> None:
    """Serve an empty journal in memory, or without being fed the one at this path."""
    memory = FedJournal()
    journal = SqliteReader.open(Path(journal_path), stream="main") if journal_path else memory
    web = WebSettings(**{"max_connections": MAX_DASHBOARDS, **settings})
    listener = listen("127.0.0.1", 0)
    side = front_side(
        Path("unused.db"), journal=journal, plant=plant(), clock=FloorClock(), link=FakeLink(), web=web
    )  # fmt: skip
    side.front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)

    async def send(entries: Sequence[JournalEntry]) -> None:
        memory.history += (event for entry in entries for event in entry.events)
        side.front.on_committed(entries)

    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(
            serve(make_front_app(side.front, web, root=ROOT), ServerLoad(web), listener=listener, started=started)
        )
        side.start(tasks)
        await started.wait()
        await obey(listener.getsockname()[1], prepare, send, side.front.statistics)
        serving.cancel()
        side.cancel()


if __name__ == "__main__":
    logs.configure(level="critical", log_format="console")
    runtime.run(run(sys.argv[1], json.loads(sys.argv[2])))
