"""A monitor of the broker: probes its rules while the bridge runs, and follows each canary report into the journal."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from bridge.domain.place import Place
from bridge.domain.records import JournalEntry
from bridge.mqtt.probe import probe_broker
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult, ProbeUnfinished
from bridge.ports.broker import BrokerClient, LinkStatus
from bridge.ports.metrics import Metric, MetricSample
from bridge.settings.settings import Settings
from bridge.wiring.canaries import Canaries
from bridge.wiring.probe_places import ProbePlaces

WAKE_SECONDS: Final = 5.0  # at least between two probes, whatever asks for one
MAX_UNFINISHED: Final = 3  # in a row
BEING_PROBED: Final = "the broker is being probed"
UNFINISHED: Final = "the probe of the broker cannot finish"
REASONS: Final[Mapping[ProbeCheck, str]] = {
    ProbeCheck.CONNECT: "the broker refuses the bridge or its front",
    ProbeCheck.SUBSCRIBE: "the broker refuses the bridge or its front",
    ProbeCheck.OWN_RIGHTS: "the broker's rules withhold a right of the bridge",
    ProbeCheck.COMMAND: "the broker's rules withhold a right of the bridge",
    ProbeCheck.REPORT: "the broker does not deliver reports",
    ProbeCheck.OVER_RIGHTS: "the broker's rules let the bridge publish reports or commands",
    ProbeCheck.STRANGER_PUBLISH: "the broker's rules let strangers publish",
    ProbeCheck.STRANGER_READ: "the broker's rules let strangers read",
    ProbeCheck.CANARY: "whether reports arrive is not tested: broker.canary_username is not set, or refused",
}
"""Reasons of a failed check, for anyone: `/health/ready` is open. Users, hosts and topics are in the log."""

INTAKE_CHECKS: Final = (
    *(ProbeCheck.CONNECT, ProbeCheck.SUBSCRIBE, ProbeCheck.OWN_RIGHTS, ProbeCheck.COMMAND, ProbeCheck.REPORT),
)
"""Checks without which reports or commands may not arrive. The others show no such thing."""

Probe = Callable[..., Awaitable[Sequence[ProbeResult]]]

log = structlog.get_logger(__name__)


class BrokerMonitor:
    """Probes the broker when the intake has connected, at intervals, and when asked to. `run` is its one task."""

    def __init__(
        self, settings: Settings, *, intake: BrokerClient, places: Iterable[Place], probe: Probe = probe_broker
    ) -> None:
        """Probe with `probe`, which takes what `probe_broker` takes, at some of these places of the plant each time."""
        self._broker = settings.broker
        self._root, self._stream = settings.root, settings.stream
        self._intake = intake
        self._probe = probe
        self._places = ProbePlaces(places)
        self._canaries = Canaries(settings.stream)
        self._woken = asyncio.Event()
        self._verdict: Mapping[ProbeCheck, bool] | None = None  # whether it passed; without the untested ones
        self._failed: Sequence[ProbeResult] = ()  # what was logged
        self._unfinished = 0
        self._outcomes = Counter[str]()

    @property
    def is_enabled(self) -> bool:
        return self._broker.probe != "off"

    def wake(self) -> None:
        """Probe again soon: something shows that the rules may have changed."""
        self._woken.set()

    def on_committed(self, entries: Sequence[JournalEntry]) -> None:
        """Look for canaries in committed entries."""
        lost = self._canaries.on_committed(entries)
        if lost:
            log.warning("broker.canary_lost", lost=lost, total=self._canaries.lost)

    async def run(self) -> None:
        """Probe until cancelled."""
        if not self.is_enabled:
            return
        if self._broker.probe == "open":
            log.warning("broker.open", reason="broker.probe is open: anyone may publish reports and commands")
        generation = 0
        while True:
            link = await self._connected()
            if link.generation != generation and not link.session_present:
                self._canaries.forget()
            generation = link.generation
            self._woken.clear()
            await self._probe_once(link)
            await self._pause(link)

    async def _connected(self) -> LinkStatus:
        while not (link := self._intake.status).connected:
            await self._intake.wait_status_change(link)
        return link

    async def _probe_once(self, link: LinkStatus) -> None:
        try:
            results = await self._probe(
                self._broker.model_copy(update={"protocol": link.protocol}),
                root=self._root,
                stream=self._stream,
                new_canary=self._new_canary,
                places=self._places.next(),
            )
        except ProbeUnfinished as unfinished:
            self._outcomes["unfinished"] += 1
            self._unfinished += 1
            log.info("broker.probe_unfinished", reason=str(unfinished))
            return
        self._unfinished = 0
        failed = [result for result in results if result.outcome is Outcome.FAILED]
        self._places.keep(place for result in failed for place in result.places)
        tested = {result.check for result in results if result.outcome is not Outcome.UNTESTED}
        self._verdict = {check: all(check is not result.check for result in failed) for check in tested}
        if self._verdict.get(ProbeCheck.REPORT):
            self._canaries.set_delivered()
        self._outcomes["failed" if failed else "passed"] += 1
        self._log(failed)

    def _new_canary(self) -> bytes:
        payload = secrets.token_hex(8).encode()
        self._canaries.add(payload)
        return payload

    def _log(self, failed: Sequence[ProbeResult]) -> None:
        """Log each failure when it is new, and the first probe that passes."""
        former = {(result.check, result.text) for result in self._failed}
        for result in failed:
            if (result.check, result.text) not in former:
                log.warning("broker.probe_failed", check=result.check.value, text=result.text)
        if not failed and (self._failed or self._outcomes["passed"] == 1):
            log.info("broker.probe_passed")
        self._failed = failed

    async def _pause(self, link: LinkStatus) -> None:
        """Wait for the next probe: for its time, for the next connection, or to be woken."""
        seconds = float(self._broker.probe_seconds)
        if self._unfinished:
            seconds = random.uniform(WAKE_SECONDS, 2 * WAKE_SECONDS)  # noqa: S311 - spreads processes, guards nothing
        changed = asyncio.create_task(self._intake.wait_status_change(link), name="broker-monitor-link")
        woken = asyncio.create_task(self._woken.wait(), name="broker-monitor-woken")
        try:
            await asyncio.sleep(WAKE_SECONDS)
            await asyncio.wait({changed, woken}, timeout=seconds - WAKE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            woken.cancel()

    def intake_fault(self) -> str | None:
        """Return why reports or commands may not arrive; None if they do, as far as is known."""
        if not self.is_enabled:
            return None
        if self._verdict is None:
            return BEING_PROBED if self._unfinished < MAX_UNFINISHED else UNFINISHED
        for check in INTAKE_CHECKS:
            if not self._verdict.get(check, True):
                return REASONS[check]
        overdue = self._canaries.overdue_seconds()
        return None if overdue is None else f"reports are late: a canary of {overdue:.0f} s ago has not arrived"

    def fault(self) -> str | None:
        """Return why the broker does not do what it must, None if nothing shows it: also what only strangers may."""
        fault = self.intake_fault()
        if fault is not None or not self.is_enabled:
            return fault
        assert self._verdict is not None, "that is a fault of the intake"
        for check in ProbeCheck:
            if not self._verdict.get(check, True):
                return REASONS[check]
        return UNFINISHED if self._unfinished >= MAX_UNFINISHED else None

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of the probe; none if it is off."""
        if not self.is_enabled:
            return
        for check, passed in sorted((self._verdict or {}).items()):
            yield MetricSample(Metric.BROKER_PROBE, float(passed), {"check": check.value})
        for outcome in ("passed", "failed", "unfinished"):
            yield MetricSample(Metric.BROKER_PROBES, self._outcomes[outcome], {"outcome": outcome})
        if self._canaries.seconds is not None:
            yield MetricSample(Metric.BROKER_CANARY_SECONDS, self._canaries.seconds)
        yield MetricSample(Metric.BROKER_CANARIES_LOST, self._canaries.lost)
