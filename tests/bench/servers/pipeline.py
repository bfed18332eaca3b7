"""The pipeline side, wired as `floor run --role pipeline` does it, on a journal in a file.

    python -m tests.bench.servers.pipeline OPTIONS

OPTIONS is a JSON object: `broker_port`, `path` of the journal, `lines`, `durable` (false: SQLite does not wait for the
disk) and `reader` (of the broker). It says when it is connected, and answers each line on stdin with what it has done.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from bridge.adapters import logs
from bridge.adapters.clock import FloorClock
from bridge.ingest.decoders import build_decoders
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch
from bridge.ports.metrics import Metric
from bridge.settings.settings import Settings
from bridge.wiring import runtime
from bridge.wiring.pipeline_side import PipelineSide
from tests.bench.large_journal import plant
from tests.bench.servers.served import answer
from tests.support.tokens import SECRET

LOOK_SECONDS: Final = 0.01


class TimedJournal(SqliteJournal):
    """A journal that times its commits."""

    def begin(self, *, durable: bool) -> None:
        """Begin to time; unless `durable`, commits do not wait for the disk from now on."""
        self.commit_ms: list[float] = []
        if not durable:
            self._writer.execute("PRAGMA synchronous = OFF")

    @override
    def commit(self, batch: Batch) -> None:
        began = time.perf_counter()
        super().commit(batch)
        self.commit_ms.append((time.perf_counter() - began) * 1_000)


async def run(*, broker_port: int, path: str, lines: int, durable: bool, reader: str) -> None:
    broker = {"port": broker_port, "reader": reader, "probe": "off"}
    settings = Settings.model_validate({"broker": broker, "token": {"secret": SECRET}})
    journal = TimedJournal.open(Path(path), stream="main")
    journal.begin(durable=durable)
    decode = build_decoders(max_bytes=settings.broker.max_payload_bytes)
    side = PipelineSide(
        settings,
        journal=journal,
        floor=restore_floor(plant(lines), journal, decode=decode).floor,
        decode=decode,
        clock=FloorClock(not_before=journal.last_input()[1]),
    )
    async with asyncio.TaskGroup() as tasks:
        await side.claim(tasks)
        side.start(tasks)
        await _obey(side, journal)
        await side.stop_intake()
        await side.drain()
        side.cancel()
    journal.close()


async def _obey(side: PipelineSide, journal: TimedJournal) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while not all(sample.value for sample in side.samples() if sample.metric is Metric.BROKER_CONNECTED):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)  # three links, each with a status of its own
    answer("connected")
    while await commands.readline():
        answer(_progress(side, journal))
        journal.commit_ms = []


def _progress(side: PipelineSide, journal: TimedJournal) -> dict[str, Any]:
    """Return what is done so far, and the commits since the last call."""
    status = side.pipeline.status()
    applied = sum(count for (kind, effect, _), count in status.counters.items() if kind and effect == "applied")
    return {
        "at": time.monotonic_ns(),
        "cpu_seconds": time.process_time(),
        "reports": applied - status.counters.get(("tick", "applied", ""), 0),
        "events": status.offset,
        "published": side.publisher.published,
        "commit_ms": journal.commit_ms,
    }


if __name__ == "__main__":
    logs.configure(level="critical", log_format="console")
    runtime.run(run(**json.loads(sys.argv[1])))
