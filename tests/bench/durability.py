"""Cost of a real fsync for every batch: the intake rate with and without it, through a real Mosquitto."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final, Literal

import pytest
from typing_extensions import override

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.settings import JournalSettings
from tests.bench.rows import FigureRow
from tests.support.brokers import RunningBroker, mosquitto_broker, running, until
from tests.support.in_process import PIPELINE, PLACE, ROOT, device, in_process
from tests.support.journal_samples import open_connected

REPORTS: Final = 5_000
WINDOW: Final = 250  # publications under way at once
SLOW_SECONDS: Final = 0.02  # more for every commit: two turns of a disk without a cache

Disk = Literal["no fsync", "fsync", "slow fsync"]
DISKS: Final[tuple[Disk, ...]] = ("no fsync", "fsync", "slow fsync")


class SlowJournal(SqliteJournal):
    @override
    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        time.sleep(SLOW_SECONDS)


async def measure_durability(*, rounds: int) -> list[FigureRow]:
    """Return for each disk the best rate of so many rounds, with the default settings of the commits."""
    rates: dict[Disk, float] = dict.fromkeys(DISKS, 0.0)
    with tempfile.TemporaryDirectory() as folder, running(mosquitto_broker(Path(folder))) as broker:
        path = Path(folder) / "journal.db"
        await _drain(broker, path, "no fsync", reports=0)  # from now on the broker keeps what comes
        for number in range(rounds * len(DISKS)):
            disk = DISKS[number % len(DISKS)]
            await _publish(broker.port, number * REPORTS)
            rates[disk] = max(rates[disk], await _drain(broker, path, disk, reports=REPORTS))
    return [
        FigureRow(name=disk, figures={"reports_per_second": rate, "of_no_fsync": rate / rates["no fsync"]})
        for disk, rate in rates.items()
    ]


async def _publish(port: int, first: int) -> None:
    """Leave reports in the queue of the pipeline's session."""
    async with device(port) as client:
        client.pending_calls_threshold = WINDOW  # or it warns
        for start in range(first, first + REPORTS, WINDOW):
            payloads = (b'{"total":%d,"boot_id":7,"seq":%d}' % (n, n) for n in range(start, start + WINDOW))
            topic = f"{ROOT}/report/{PLACE}/bagger/counts"
            await asyncio.gather(*(client.publish(topic, payload, qos=1) for payload in payloads))


def _open(path: Path, disk: Disk) -> SqliteJournal:
    if disk == "no fsync":
        with pytest.MonkeyPatch.context() as patch:
            journal, connection = open_connected(path, patch)
        connection.execute("PRAGMA synchronous=OFF")
        return journal
    return (SlowJournal if disk == "slow fsync" else SqliteJournal).open(path, stream="main")


async def _drain(broker: RunningBroker, path: Path, disk: Disk, *, reports: int) -> float:
    """Run a pipeline until it has committed so many; returns reports a second."""
    defaults, journal = JournalSettings(), _open(path, disk)
    first = journal.last_input()[0]
    times: list[tuple[float, int]] = []
    async with in_process(
        broker.port,
        path,
        parts=[PIPELINE],
        journal=journal,
        journal__commit_max_inputs=defaults.commit_max_inputs,
        journal__commit_max_ms=defaults.commit_max_ms,
    ) as bridge:
        bridge.core.add_listener(
            lambda entries: times.append((time.perf_counter(), sum(1 for entry in entries if entry.input.topic)))
        )
        await until(lambda: bridge.connected, what="a connection")
        await until(lambda: sum(count for _, count in times) >= reports, seconds=120, what="the last report")
    assert journal.last_input()[0] >= first + reports
    journal.close()
    return (reports - times[0][1]) / (times[-1][0] - times[0][0]) if times else 0.0
