"""Metric samples of the front."""

from collections.abc import Iterator
from typing import Final

from bridge.front.front import Front
from bridge.ports.metrics import MetricSample


def front_samples(front: Front) -> Iterator[MetricSample]:
    """Yield the front's statistics as samples, which name no user and no topic."""
    statistics, ledger = front.statistics(), front.ledger()
    for name in (*_FRONT_GAUGES, "snapshot_builds"):
        yield MetricSample(f"dashboard_{name}", float(statistics[name]))
    for subscription_type, count in statistics["subscriptions"].items():
        yield MetricSample("dashboard_subscriptions", count, {"subscription_type": subscription_type})
    for outcome, counts in ledger.totals().items():
        for event_type, count in sorted(counts.items()):
            yield MetricSample("dashboard_events", count, {"outcome": outcome, "type": event_type.value})
    for event_type, count in sorted(ledger.pending.items()):
        yield MetricSample("dashboard_events_pending", count, {"type": event_type.value})


_FRONT_GAUGES: Final = (
    "connections",
    "authenticated",
    "users",
    "routes",
    "waiting_events",
    "waiting_bytes",
    "catching_up",
    "balanced",
)
