"""Counters never fall: not when dashboards leave and come back, nor when the front goes over to another journal."""

import itertools
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.brokers import until
from tests.support.front_server import ServedFront, call, served_front, status
from tests.support.socket_dashboard import connected
from tests.support.tokens import bearer

Series = tuple[str, frozenset[tuple[str, str]]]


async def read_counters(served: ServedFront) -> Mapping[Series, float]:
    families = text_string_to_metric_families((await served.get("/metrics", bearer())).text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        if family.type == "counter"
        for sample in family.samples
    }


def events(counters: Mapping[Series, float], outcome: str) -> float:
    name = "floor_dashboard_events_total"
    return sum(value for (of, labels), value in counters.items() if of == name and ("outcome", outcome) in labels)


async def test_counters_never_fall(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        readings: list[Mapping[Series, float]] = []
        for number in range(1, 4):
            async with connected(served.ws, additional_headers=bearer()) as client:
                await client.send({"type": "subscribe", "subscription_type": "line"})
                await client.receive("snapshot_end")
                served.commit(call(f"L1.call.{number}"), status(revision=number))
                await client.receive("andon_event")
                readings.append(await read_counters(served))
            await until(lambda: served.front.statistics()["connections"] == 0, what="closed")
            readings.append(await read_counters(served))
            served.front.switch_journal(served.journal, served.front.position)
            readings.append(await read_counters(served))
        for former, latter in itertools.pairwise(readings):
            assert all(value <= latter[series] for series, value in former.items())
        first, last = readings[0], readings[-1]
        assert (
            events(last, "matched") == events(last, "sent") + events(last, "abandoned") > events(first, "matched") > 0
        )
        built = ("floor_dashboard_snapshot_builds_total", frozenset[tuple[str, str]]())
        assert last[built] > first[built] > 0
