"""Rows of many connections: memory and processor time of idle dashboards, and a storm in which all resume at once."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bridge.journal.sqlite.writer import SqliteJournal
from tests.bench.dashboards import EVERYTHING, front_handshake
from tests.bench.judgement import judge
from tests.bench.load import LINES, sample_events
from tests.bench.processes import Handshake, Meter, all_ready, python_server, resident_bytes, running_reader
from tests.bench.rows import JOURNAL, NOTHING, FigureRow
from tests.support.bytes_dashboard import UPGRADE, encoded
from tests.support.journal_samples import follow
from tests.support.tokens import token

DASHBOARDS: Final = 5_000
QUICK_DASHBOARDS: Final = 1_000
SETTLING_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 5.0
MISSED: Final = 1_000  # events, of the whole plant, by each dashboard of the storm


async def measure_idle(count: int, folder: Path) -> FigureRow:
    """Connect dashboards that want everything, and send nothing."""
    handshakes = [front_handshake(number, *EVERYTHING.filter_sets, coalescing_ms=0) for number in range(count)]
    async with python_server("front", "", "{}") as server:
        async with running_reader(folder, server.port, handshakes[:100]) as reader:  # once what only the first costs
            await all_ready(reader, 100)
        await asyncio.sleep(SETTLING_SECONDS)
        before = resident_bytes(server.pid)
        async with running_reader(folder, server.port, handshakes) as reader:
            await all_ready(reader, count)
            await asyncio.sleep(SETTLING_SECONDS)
            took = resident_bytes(server.pid) - before
            meter = Meter({"front": server.pid, "reader": reader.pid})
            await asyncio.sleep(IDLE_SECONDS)
            usage = meter.read()
    waited = usage.waited["front"]
    return FigureRow(
        name=f"{count:,} idle dashboards",
        figures={
            "dashboards": count,
            "kib_each": took / count / 1024,
            "cores": usage.cores["front"],
            "waited": waited,
        },
        fed_by=NOTHING,
        judgement=judge(usage.cores, ["front"], waited=waited),
    )


async def measure_storm(count: int, folder: Path) -> FigureRow:
    """Let dashboards, each of a user of its own, resume at once; each has a line, and missed 1,000 events of the plant.

    A dashboard is live when it has the last event of its line.
    """
    handshakes = list(_resuming(count, _make_journal(folder / "journal.db")))
    async with (
        python_server("front", str(folder / "journal.db"), "{}") as server,
        running_reader(folder, server.port, handshakes, opening=count, sampled=0) as reader,
    ):
        meter = Meter({"front": server.pid, "reader": reader.pid})
        counts = await all_ready(reader, count, seconds=120.0)
        usage = meter.read()
        statistics = await server.statistics()
    judgement = judge(usage.cores, ["front"], waited=usage.waited["front"])
    return FigureRow(
        name=f"{count:,} dashboards resume",
        figures={
            "dashboards": count,
            **({} if judgement.invalid else {"seconds_until_all_live": counts["ready_seconds"]}),
            "front_cpu_seconds": usage.cores["front"] * usage.seconds,
            "reader_cpu_seconds": usage.cores["reader"] * usage.seconds,
            "waited": usage.waited["front"],
            "events": counts["events"],
            "snapshot_builds": statistics["snapshot_builds"],
        },
        fed_by=JOURNAL,
        judgement=judgement,
    )


def _make_journal(path: Path) -> tuple[str, int]:
    """Commit one event of each state key, and return the epoch and the last offset."""
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        journal.commit(follow(journal, sample_events()))
        return journal.epoch, journal.position().offset


def _resuming(count: int, journal: tuple[str, int]) -> Iterator[Handshake]:
    epoch, last = journal
    since = {"main": {"epoch": epoch, "offset": last - MISSED}}
    for number in range(count):
        line = number % LINES
        body = {"id": "mine", "subscription_type": "line", "target_id": f"L{line}"}
        proof = token(user=f"user-{number}", roles=("operator",), lines=[f"L{line}"])
        frames: list[dict[str, Any]] = [
            {"type": "auth", "token": proof},
            {"type": "options", "batch": True, "batch_ms": 0},
            {"type": "resume", "subscriptions": [body], "since": since},
        ]
        yield Handshake(UPGRADE, encoded(*frames), f'"offset":{last - LINES + line + 1},'.encode())
