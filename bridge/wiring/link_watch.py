"""A watch for other clients with the bridge's client ids: they take over its connections repeatedly.

A broker need not tell why it closes a connection; MQTT 5 has a reason code for it, which Mosquitto 2.0 does not send.
But if it closes one of them and keeps the others, it is neither the broker nor the network that has failed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from bridge.ports.broker import BrokerClient
from bridge.ports.metrics import Metric, MetricSample

CONTEST_SECONDS: Final = 300.0
"""Two losses within this time are a contest, which ends after the same time without a loss."""

CONTESTED: Final = "another client uses a client id of the bridge"
OWN_REASONS: Final = ("no answer", "malformed packet", "no memory")  # for which the bridge itself closes a connection

log = structlog.get_logger(__name__)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class LinkWatch:
    """Watches links for losses that no other link shares."""

    def __init__(
        self,
        links: Sequence[tuple[str, BrokerClient]],
        *,
        witness: BrokerClient,
        keepalive_seconds: float,
        now: Callable[[], float] = _loop_time,
    ) -> None:
        """Watch these links by their names. `witness` has a client id of its own that nobody can take over.

        `now` returns seconds on the clock of `LinkStatus.since`.
        """
        self._links = links
        self._witness = witness
        self._now = now
        # a connection that fails for all is noticed on each within two keepalives
        self._window = 2 * keepalive_seconds + 1
        self._memory = max(CONTEST_SECONDS, 3 * self._window)  # two losses are a window apart, or more
        self._lost = Counter[str]()
        self._latest = dict[str, float]()
        self._contested_until = float("-inf")

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, link in self._links:
                tasks.create_task(self._watch(name, link), name=f"link-watch-{name}")

    async def _watch(self, name: str, link: BrokerClient) -> None:
        while True:
            while not (up := link.status).connected:
                await link.wait_status_change(up)
            down = await link.wait_status_change(up)
            if down.taken_over:
                self._count(name, link, down.reason, is_proof=True)
                continue
            witness = self._witness.status
            has_lasted = witness.connected and self._now() - witness.since >= self._window
            await asyncio.sleep(self._window)
            if has_lasted and self._witness.status is witness:
                self._count(name, link, down.reason)

    def _count(self, name: str, link: BrokerClient, reason: str | None, *, is_proof: bool = False) -> None:
        """Count a loss; with `is_proof`, the broker has named the reason itself."""
        self._lost[name] += 1
        log.warning(
            "broker.link_lost_alone",
            link=name,
            reason=reason,
            total=self._lost[name],
            session_present=link.status.session_present,
        )
        if str(reason).startswith(OWN_REASONS):
            return
        now = self._now()
        if is_proof or now - self._latest.get(name, float("-inf")) < self._memory:
            self._contested_until = now + self._memory
        self._latest[name] = now

    def fault(self) -> str | None:
        """Return a reason while another client seems to use one of the client ids, None after a time without losses."""
        return CONTESTED if self._now() < self._contested_until else None

    def samples(self) -> Iterator[MetricSample]:
        """Yield how often each link was lost alone."""
        for name, _ in self._links:
            yield MetricSample(Metric.BROKER_LINK_LOST_ALONE, self._lost[name], {"link": name})
