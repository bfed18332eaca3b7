"""The monitor of the broker: when it probes, which reason it gives, and what it makes of canaries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from bridge.domain.place import Place
from bridge.domain.records import Input, JournalEntry
from bridge.domain.reports import suppressed
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult, ProbeUnfinished
from bridge.ports.metrics import Metric
from bridge.settings.broker import BrokerSettings
from bridge.wiring import broker_monitor, canaries
from bridge.wiring.broker_monitor import BEING_PROBED, INTAKE_CHECKS, REASONS, UNFINISHED, BrokerMonitor
from bridge.wiring.probe_places import MAX_PLACES
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.in_process import settings_with

PLACES = [Place("S1", "A1", f"L{number}") for number in range(1, 101)]


def entry(payload: bytes, topic: str = "report/_canary/main") -> JournalEntry:
    return JournalEntry(
        input=Input(number=1, topic=topic, payload=payload, received_at=1), disposition=suppressed("canary")
    )


@dataclass
class FakeProbe:
    """A probe that fails the checks that the test names, and keeps the canaries that it sent."""

    failing: Sequence[ProbeCheck] = ()
    unfinished: bool = False
    runs: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    places: list[Sequence[Place]] = field(default_factory=list)
    failing_at: tuple[Place, ...] = ()

    async def __call__(
        self,
        settings: BrokerSettings,
        *,
        root: str,
        stream: str,
        new_canary: Callable[[], bytes],
        places: Sequence[Place],
    ) -> list[ProbeResult]:
        self.asked.append((settings.protocol, root, stream))
        self.places.append(places)
        self.sent.append(new_canary())
        self.runs += 1
        if self.unfinished:
            raise ProbeUnfinished("the test")
        return [
            ProbeResult(check, Outcome.FAILED, check.value, self.failing_at)
            if check in self.failing
            else ProbeResult(check, Outcome.PASSED, check.value)
            for check in ProbeCheck
        ]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the monitor probe again soon whenever it is woken."""
    monkeypatch.setattr(broker_monitor, "WAKE_SECONDS", 0.01)


@contextlib.asynccontextmanager
async def monitored(probe: FakeProbe, **settings: object) -> AsyncIterator[tuple[BrokerMonitor, FakeLink]]:
    link = FakeLink()
    values = {"broker__probe": "strict", **settings}
    monitor = BrokerMonitor(settings_with(**values), intake=link, places=PLACES, probe=probe)
    running = asyncio.create_task(monitor.run())
    try:
        yield monitor, link
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def again(monitor: BrokerMonitor, probe: FakeProbe) -> None:
    """Let it probe once more."""
    runs = probe.runs
    monitor.wake()
    await until(lambda: probe.runs > runs, what="another probe")
    await asyncio.sleep(0)


def values(monitor: BrokerMonitor, metric: Metric) -> list[float]:
    return [sample.value for sample in monitor.samples() if sample.metric is metric]


async def test_before_the_first_verdict_it_is_not_ready() -> None:
    probe = FakeProbe()
    monitor = BrokerMonitor(settings_with(broker__probe="strict"), intake=FakeLink(), places=PLACES, probe=probe)
    assert (monitor.fault(), monitor.intake_fault()) == (BEING_PROBED, BEING_PROBED)


async def test_off_is_no_probe_and_no_fault() -> None:
    probe = FakeProbe(failing=list(ProbeCheck))
    async with monitored(probe, broker__probe="off") as (monitor, _):
        await monitor.run()
        assert (monitor.fault(), monitor.intake_fault(), list(monitor.samples())) == (None, None, [])
    assert probe.runs == 0


@pytest.mark.parametrize("check", ProbeCheck)
async def test_a_failed_check_has_its_reason_and_ends_with_the_next_probe_that_passes(check: ProbeCheck) -> None:
    probe = FakeProbe(failing=[check])
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() != BEING_PROBED, what="a verdict")
        assert monitor.fault() == REASONS[check]
        assert monitor.intake_fault() == (REASONS[check] if check in INTAKE_CHECKS else None)
        probe.failing = []
        await again(monitor, probe)
        assert (monitor.fault(), monitor.intake_fault()) == (None, None)


async def test_a_right_too_few_comes_before_a_right_too_many() -> None:
    async with monitored(FakeProbe(failing=[ProbeCheck.STRANGER_READ, ProbeCheck.REPORT])) as (monitor, _):
        await until(lambda: monitor.fault() == REASONS[ProbeCheck.REPORT], what="a verdict")


async def test_an_unfinished_probe_keeps_the_verdict_until_the_third_in_a_row() -> None:
    probe = FakeProbe(failing=[ProbeCheck.COMMAND])
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() == REASONS[ProbeCheck.COMMAND], what="a verdict")
        probe.failing, probe.unfinished = [], True
        await again(monitor, probe)
        assert monitor.fault() == REASONS[ProbeCheck.COMMAND]
        probe.unfinished = False
        await again(monitor, probe)
        assert monitor.fault() is None
        probe.unfinished = True
        await again(monitor, probe)
        assert monitor.fault() is None
        await until(lambda: monitor.fault() == UNFINISHED, what="three in a row")
        assert monitor.intake_fault() is None, "reports arrived when it was last known"
        assert values(monitor, Metric.BROKER_PROBES)[:2] == [1, 1]


async def test_a_place_at_which_a_probe_failed_is_probed_until_it_passes() -> None:
    """Else the verdict would change with the choice of places."""
    probe = FakeProbe(failing=[ProbeCheck.STRANGER_READ])
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() == REASONS[ProbeCheck.STRANGER_READ], what="a verdict")
        place = probe.places[0][-1]  # its turn has just been
        probe.failing_at = (place, Place("of", "no", "plant"))
        await again(monitor, probe)
        await again(monitor, probe)
        probe.failing = []
        await again(monitor, probe)
        await again(monitor, probe)
    assert [place in places for places in probe.places] == [True, False, True, True, False]
    assert [len(set(places)) for places in probe.places] == [MAX_PLACES] * 5
    assert not set(probe.places[0]) & set(probe.places[4]), "others meanwhile"


async def test_each_connection_of_the_intake_is_probed_and_none_without_one() -> None:
    probe = FakeProbe()
    async with monitored(probe) as (monitor, link):
        await until(lambda: probe.runs == 1, what="the first")
        link.disconnect()
        monitor.wake()
        for _ in range(20):
            await asyncio.sleep(0.005)  # it would have probed by then
        assert probe.runs == 1
        link.reconnect()
        await until(lambda: probe.runs == 2, what="the second")
        assert probe.asked == [("5", "floor/v1", "main")] * 2, "with the protocol of the intake"


async def test_a_canary_that_is_committed_is_timed() -> None:
    probe = FakeProbe()
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() is None, what="a verdict")
        assert values(monitor, Metric.BROKER_CANARY_SECONDS) == []
        monitor.on_committed([entry(probe.sent[0], topic="report/_canary/other"), entry(b"else"), entry(probe.sent[0])])
        (seconds,) = values(monitor, Metric.BROKER_CANARY_SECONDS)
        assert seconds >= 0
        assert values(monitor, Metric.BROKER_CANARIES_LOST) == [0]


async def test_a_canary_that_a_later_one_overtakes_is_lost_once() -> None:
    probe = FakeProbe()
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() is None, what="a verdict")
        await again(monitor, probe)
        await again(monitor, probe)
        monitor.on_committed([entry(probe.sent[1])])
        assert values(monitor, Metric.BROKER_CANARIES_LOST) == [1]
        monitor.on_committed([entry(probe.sent[0]), entry(probe.sent[1])])  # sent again by the broker
        monitor.on_committed([entry(probe.sent[2])])
        assert values(monitor, Metric.BROKER_CANARIES_LOST) == [1]


async def test_a_canary_that_the_broker_never_delivered_is_not_lost() -> None:
    probe = FakeProbe(failing=[ProbeCheck.REPORT])
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() == REASONS[ProbeCheck.REPORT], what="a verdict")
        probe.failing = []
        await again(monitor, probe)
        monitor.on_committed([entry(probe.sent[1])])
        assert values(monitor, Metric.BROKER_CANARIES_LOST) == [0]


async def test_canaries_of_a_session_that_is_gone_are_not_lost() -> None:
    probe = FakeProbe()
    async with monitored(probe) as (monitor, link):
        await until(lambda: monitor.fault() is None, what="a verdict")
        link.disconnect()
        link.reconnect(session_present=False)
        await until(lambda: probe.runs == 2, what="the second")
        monitor.on_committed([entry(probe.sent[1])])
        assert values(monitor, Metric.BROKER_CANARIES_LOST) == [0]


async def test_a_canary_that_does_not_reach_the_journal_makes_reports_late(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = FakeProbe()
    async with monitored(probe) as (monitor, _):
        await until(lambda: monitor.fault() is None, what="a verdict")
        monkeypatch.setattr(canaries, "OVERDUE_SECONDS", 0.0)
        reason = monitor.intake_fault()
        assert reason is not None
        assert reason.startswith("reports are late: a canary of ")
        assert monitor.fault() is not None
        monitor.on_committed([entry(probe.sent[-1])])
        assert monitor.fault() is None
