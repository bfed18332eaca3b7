"""Promise P6: received = applied + suppressed + quarantined + in flight, for each kind, at every scrape."""

import asyncio
import json
import re
import signal
from collections import Counter
from pathlib import Path

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until

BURST = 100
SAMPLE = re.compile(r'floor_pipeline_(\w+?)(?:_total)?\{kind="([^"]+)"(?:,reason="[^"]*")?\} ([\d.]+)')
PLACE = "floor/v1/report/plant1/packing/L1/Bagger-1"


class MetricsScrape(Counter[tuple[str, str]]):
    """One scrape: (column, kind) -> count."""

    def off(self) -> dict[str, int]:
        """Return by kind how far received is from what became of it."""
        kinds = {kind for _, kind in self}
        settled = ("applied", "suppressed", "quarantined", "in_flight")
        off = {kind: self["received", kind] - sum(self[column, kind] for column in settled) for kind in kinds}
        return {kind: count for kind, count in off.items() if count or self["unaccounted", kind]}

    def received(self) -> int:
        return sum(count for (column, _), count in self.items() if column == "received")

    def in_flight(self) -> int:
        return sum(count for (column, _), count in self.items() if column == "in_flight")


def scrape(bridge: BridgeProcess) -> MetricsScrape:
    sample = MetricsScrape()
    for column, kind, count in SAMPLE.findall(bridge.metrics()):
        sample[column, kind] += int(float(count))
    return sample


async def burst(link: BrokerLink, start: int) -> None:
    """Publish reports that are applied, resent, invalid, and of an unknown place."""
    for number in range(start, start + BURST):
        total = json.dumps({"total": number, "boot_id": 1, "seq": number}).encode()
        reports = [
            Publication(f"{PLACE}/counts", total),
            Publication(f"{PLACE}/counts", total),
            Publication(f"{PLACE}/state", b'{"state": 1}'),
            Publication("floor/v1/report/nowhere/at/all/x/state", b'{"state": "running"}'),
        ]
        await link.publish_many(reports)


async def test_the_accounting_balances_at_every_scrape_across_kills_and_stops(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    probing = {"FLOOR_BROKER__PROBE": "open", "FLOOR_BROKER__PROBE_SECONDS": "5"}
    async with bridge_process(tmp_path, mosquitto, environment=probing) as bridge, bridge.device() as link:
        scrapes: list[MetricsScrape] = []
        for turn, end in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
            speaking = asyncio.create_task(burst(link, turn * BURST))
            before = len(scrapes)
            while len(scrapes) < before + 20 or (len(scrapes) < before + 200 and not speaking.done()):
                scrapes.append(await asyncio.to_thread(scrape, bridge))
            await bridge.stop(end)  # in the middle of it, or with what is left in the broker's queue
            await speaking
            await bridge.start()
        expected = 3 * 4 * BURST

        def settled() -> bool:
            scrapes.append(scrape(bridge))
            received = scrapes[-1].received() - scrapes[-1]["received", "probe"]
            return received >= expected and not scrapes[-1].in_flight()

        await until(settled, seconds=30, what="all of it")
        assert [sample.off() for sample in scrapes if sample.off()] == []
        last = scrapes[-1]
        assert last["applied", "counts"] == 3 * BURST, "each once"
        assert last["suppressed", "counts"] >= 3 * BURST, "redeliveries after a kill count as received again"
        assert last["suppressed", "probe"] >= 4 * 2, "a report and a command, by each start"
        assert (last["applied", "probe"], last["quarantined", "probe"]) == (0, 0)
        assert "accounting_mismatch" not in bridge.log()
        assert "replay_differs" not in bridge.log()
