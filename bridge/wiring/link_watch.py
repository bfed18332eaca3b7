"""A watch for other clients with the bridge's client ids: they take over its connections, again and again.

A broker need not tell why it closes a connection. But if it closes one of them and keeps the others, it is neither the
broker nor the network that has failed.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from bridge.ports.broker import BrokerClient
from bridge.ports.metrics import Metric, MetricSample

CONTEST_SECONDS: Final = 60.0
CONTESTED: Final = "another client uses a client id of the bridge"
OWN_REASONS: Final = ("no answer", "malformed packet", "no memory")  # of connections that the bridge itself gave up

log = structlog.get_logger(__name__)


class LinkWatch:
    """Watches links for losses that no other link shares."""

    def __init__(
        self, links: Sequence[tuple[str, BrokerClient]], *, witness: BrokerClient, keepalive_seconds: float
    ) -> None:
        """Watch these links by their names. `witness` has a client id of its own that nobody can take over."""
        self._links = links
        self._witness = witness
        # a connection that fails for all is noticed on each within two keepalives
        self._window = 2 * keepalive_seconds + 1
        self._lost = Counter[str]()
        self._latest = {name: deque[float](maxlen=2) for name, _ in links}

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
            witness = self._witness.status
            has_lasted = witness.connected and asyncio.get_running_loop().time() - witness.since >= self._window
            await asyncio.sleep(self._window)
            if not has_lasted or self._witness.status is not witness:
                continue
            self._lost[name] += 1
            if not str(down.reason).startswith(OWN_REASONS):
                self._latest[name].append(asyncio.get_running_loop().time())
            log.warning(
                "broker.link_lost_alone",
                link=name,
                reason=down.reason,
                total=self._lost[name],
                session_present=link.status.session_present,
            )

    def fault(self) -> str | None:
        """Return a reason while another client seems to use one of the client ids: two such losses in a minute."""
        now = asyncio.get_running_loop().time()
        contested = any(len(times) == 2 and now - times[0] < CONTEST_SECONDS for times in self._latest.values())
        return CONTESTED if contested else None

    def samples(self) -> Iterator[MetricSample]:
        """Yield how often each link was lost alone."""
        for name, _ in self._links:
            yield MetricSample(Metric.BROKER_LINK_LOST_ALONE, self._lost[name], {"link": name})
