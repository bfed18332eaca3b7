"""What a real fsync of every batch costs the intake: its rate with and without, through a real Mosquitto."""

import asyncio
import time
from pathlib import Path
from typing import Literal

import pytest
from typing_extensions import override

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.settings import JournalSettings
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import PIPELINE, PLACE, ROOT, device, in_process
from tests.support.journal_samples import open_connected

pytestmark = pytest.mark.bench

REPORTS = 5_000
WINDOW = 250  # publications under way at once
ROUNDS = 3
AT_LEAST = 0.5  # of the rate without an fsync; it is about 1, and machines are shared

Disk = Literal["no fsync", "fsync", "slow fsync"]
DISKS: tuple[Disk, ...] = ("no fsync", "fsync", "slow fsync")
SLOW_SECONDS = 0.02  # more for every commit: two turns of a disk without a cache


class SlowJournal(SqliteJournal):
    @override
    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        time.sleep(SLOW_SECONDS)


async def publish(port: int, first: int) -> None:
    """Leave reports in the queue of the pipeline's session."""
    async with device(port) as client:
        client.pending_calls_threshold = WINDOW  # or it warns
        for start in range(first, first + REPORTS, WINDOW):
            payloads = (b'{"total":%d,"boot_id":7,"seq":%d}' % (n, n) for n in range(start, start + WINDOW))
            topic = f"{ROOT}/report/{PLACE}/bagger/counts"
            await asyncio.gather(*(client.publish(topic, payload, qos=1) for payload in payloads))


async def drain(
    broker: RunningBroker, path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, *, reports: int
) -> float:
    """Run a pipeline with the default settings until it has committed so many; returns reports a second."""
    defaults = JournalSettings()
    if disk == "no fsync":
        journal, connection = open_connected(path, monkeypatch)
        connection.execute("PRAGMA synchronous=OFF")
    else:
        journal = (SlowJournal if disk == "slow fsync" else SqliteJournal).open(path, stream="main")
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
    if not times:
        return 0.0
    return (reports - times[0][1]) / (times[-1][0] - times[0][0])


async def test_an_fsync_of_every_batch_costs_the_intake_little(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    rates: dict[Disk, float] = dict.fromkeys(DISKS, 0.0)
    await drain(mosquitto, path, "no fsync", monkeypatch, reports=0)  # from now on the broker keeps what comes
    for number in range(ROUNDS * len(DISKS)):
        disk = DISKS[number % len(DISKS)]
        await publish(mosquitto.port, number * REPORTS)
        rates[disk] = max(rates[disk], await drain(mosquitto, path, disk, monkeypatch, reports=REPORTS))
    for disk, rate in rates.items():
        print(f"\nintake, {disk:10}: {rate:6,.0f} reports/s, {rate / rates['no fsync']:.2f}", end="")  # noqa: T201
    assert min(rates.values()) > AT_LEAST * rates["no fsync"]
