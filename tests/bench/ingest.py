"""Reports through a pipeline process: received, decoded, applied, committed, acknowledged, and their events published.

A compiled publisher sends native reports at QoS 1 through a real Mosquitto. Reports per CPU-second of the pipeline are
what it does on one core; the rate is that only if neither publisher nor broker was the limit.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

from tests.bench.judgement import BUSY, BUSY_MACHINE, COMPLETE, Judgement, judge, percentiles
from tests.bench.large_journal import LINES_OF_AN_AREA
from tests.bench.processes import Talking, compile_program, cpu_seconds, talking, waiting_seconds, write_records
from tests.bench.rows import END_TO_END, FigureRow
from tests.support.brokers import RunningBroker, mosquitto_broker, running

ROOT: Final = "floor/v1"  # the settings' default
LINES: Final = 250
STOP_EVERY: Final = 32  # reports of a line
FIRST_SECONDS: Final = 1.5  # not measured: every line starts, and the session gets going
WINDOW: Final = 2_000  # reports that the broker has not acknowledged
DRAIN_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 0.05

Reader = Literal["one-pass", "paho"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLoad:
    """Reports of so many lines, `rate` a second for some seconds, of which the first `FIRST_SECONDS` are not measured.

    A rate above what the pipeline can do measures that; the broker queues the rest, which may be 100,000. The default
    is measured for 10 s, in which all that a line does periodically has its turn.
    """

    rate: int = 9_000
    seconds: int = 12
    lines: int = LINES


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRow:
    """What a pipeline did in `seconds`, while reports were published.

    `cores` has the processor time of each process in parts of that time; `waited`: the part of it in which the
    pipeline was able to run and had no processor. Of the commits: inputs of one, and ms.
    """

    durable: bool
    reader: Reader
    load: IngestLoad
    seconds: float
    reports: int
    events: int
    cpu_seconds: float
    cores: Mapping[str, float]
    waited: float
    inputs_per_commit: float
    commits: Mapping[str, float]  # percentiles of their time
    publisher_late_ms: float
    published_all_after: float  # seconds after the last report was sent

    @property
    def per_second(self) -> float:
        """Return reports per second, acknowledged after their commit."""
        return self.reports / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Return reports per second of the pipeline's processor time, in all its threads."""
        return self.reports / self.cpu_seconds

    @property
    def judgement(self) -> Judgement:
        """Return whether another process was the limit, so that `per_second` is not the pipeline's."""
        return judge(self.cores, ["pipeline"], waited=self.waited)

    @property
    def limit(self) -> str:
        """Return what the rate was limited by."""
        if self.judgement.invalid:
            return self.judgement.invalid
        if self.per_second > COMPLETE * self.load.rate:
            return "the offered rate"
        if self.cores["pipeline"] > BUSY:
            return "the pipeline"
        return f"the machine: {self.waited:.0%} without a processor" if self.waited > BUSY_MACHINE else "waits"

    def as_figures(self) -> FigureRow:
        """Return the row for the report."""
        disk = "durable" if self.durable else "sync off"
        figures = {
            "reports_per_second": self.per_second,
            "reports_per_cpu_second": self.per_cpu_second,
            "events_per_report": self.events / self.reports,
            "inputs_per_commit": self.inputs_per_commit,
            **({} if self.judgement.invalid else self.commits),
            **{f"{part}_cores": cores for part, cores in self.cores.items()},
            "waited": self.waited,
        }
        name = f"{disk}, {self.reader}; limit: {self.limit}"
        return FigureRow(name=name, figures=figures, fed_by=END_TO_END, judgement=self.judgement)

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), **asdict(self.as_figures())}


def ingest_reports(lines: int) -> Iterator[tuple[str, bytes]]:
    """Yield the reports of a machine on each line, line after line, without end: topics are relative to the root.

    A fast shop floor: a report for each piece, and nearly all are counts. Of `STOP_EVERY` reports one says that the
    machine stopped, the next that it runs again: four events, as the line follows its machine. All other events come
    from timers, of production each second and of OEE every ten seconds, for the machine and for its line. So events per
    report depend on the rate: 250 lines make one of 4 reports at about 5,000 reports a second.
    """
    for number in count():
        for line in range(lines):
            place = f"report/S1/A{line // LINES_OF_AN_AREA}/L{line}/M1"
            turn = (number + line) % STOP_EVERY
            if turn < 2:
                word = b"running" if turn else b"stopped"
                yield f"{place}/state", b'{"state":"%s","boot_id":7,"seq":%d}' % (word, number)
            else:
                body = b'{"total":%d,"good":%d,"boot_id":7,"seq":%d}'
                yield f"{place}/counts", body % (number, number - number // 50, number)


async def measure_ingest(
    folder: Path, load: IngestLoad, *, durable: bool = True, reader: Reader = "one-pass"
) -> IngestRow:
    """Run a broker, a pipeline and a publisher in `folder`; raise AssertionError if a report or an event is missing."""
    total = load.rate * load.seconds
    records = write_records(folder / "reports", (part for message in _messages(load.lines, total) for part in message))
    program = compile_program("publish", folder)
    with running(mosquitto_broker(folder)) as broker:
        options = {
            "broker_port": broker.port, "path": str(folder / "journal.db"), "lines": load.lines, "durable": durable,
            "reader": reader,
        }  # fmt: skip
        command = (sys.executable, "-m", "tests.bench.servers.pipeline", json.dumps(options))
        async with talking(*command) as pipeline:
            assert await pipeline.answer() == "connected"
            start = time.monotonic_ns() + 200_000_000
            numbers = map(str, (load.rate, WINDOW, start))
            async with talking(program, str(broker.port), records, *numbers) as publisher:
                pids = {"pipeline": pipeline.pid, "broker": _pid(broker), "publisher": publisher.pid}
                await _sleep_until(start + int(FIRST_SECONDS * 1e9))
                waited = waiting_seconds(pipeline.pid)
                cpu = {part: cpu_seconds(pid) for part, pid in pids.items()}
                before = await pipeline.ask("progress")
                await _sleep_until(
                    start + load.seconds * 10**9 - 100_000_000
                )  # the publisher may end before a pid is read
                cpu = {part: cpu_seconds(pid) - cpu[part] for part, pid in pids.items()}
                waited = waiting_seconds(pipeline.pid) - waited
                after = await pipeline.ask("progress")
                published = await publisher.answer()
            ended = time.monotonic()
            last = await _drained(pipeline, total)
    assert published["messages"] == last["reports"] == total, (published, last)
    seconds = (after["at"] - before["at"]) / 1e9
    reports, commits = after["reports"] - before["reports"], after["commit_ms"]
    return IngestRow(
        durable=durable,
        reader=reader,
        load=load,
        seconds=seconds,
        reports=reports,
        events=after["events"] - before["events"],
        cpu_seconds=after["cpu_seconds"] - before["cpu_seconds"],
        cores={part: taken / seconds for part, taken in cpu.items()},
        waited=waited / seconds,
        inputs_per_commit=reports / len(commits),
        commits=percentiles("commit", commits),
        publisher_late_ms=published["late_ms"],
        published_all_after=time.monotonic() - ended,
    )


def _messages(lines: int, total: int) -> Iterator[tuple[bytes, bytes]]:
    for _, (topic, payload) in zip(range(total), ingest_reports(lines), strict=False):
        yield f"{ROOT}/{topic}".encode(), payload


async def _drained(pipeline: Talking, total: int) -> Any:
    """Wait until all reports are committed and all events published; return the progress."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        progress = await pipeline.ask("progress")
        if progress["reports"] >= total and progress["published"] == progress["events"]:
            return progress
        assert time.monotonic() < deadline, progress
        await asyncio.sleep(PATIENCE_SECONDS)


def _pid(broker: RunningBroker) -> int:
    assert broker.process is not None
    return broker.process.pid


async def _sleep_until(due: int) -> None:
    await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
