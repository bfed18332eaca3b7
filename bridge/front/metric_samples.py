"""Metric samples of the front."""

from collections.abc import Iterator
from typing import Final

from bridge.front.front import Front
from bridge.ports.metrics import Metric, MetricSample


def front_samples(front: Front) -> Iterator[MetricSample]:
    """Yield the front's statistics as samples, which name no user and no topic."""
    statistics = front.statistics()
    for metric, name in _STATISTICS.items():
        yield MetricSample(metric, float(statistics[name]))
    for bound, count in front.refused.items():
        yield MetricSample(Metric.WEB_REFUSED, count, {"bound": bound})
    for subscription_type, count in statistics["subscriptions"].items():
        yield MetricSample(Metric.DASHBOARD_SUBSCRIPTIONS, count, {"subscription_type": subscription_type})
    for outcome, counts in statistics["ledger"].items():
        for event_type, count in counts.items():
            yield MetricSample(Metric.DASHBOARD_EVENTS, count, {"outcome": outcome, "type": event_type})


_STATISTICS: Final = {
    Metric.DASHBOARD_CONNECTIONS: "connections",
    Metric.DASHBOARD_AUTHENTICATED: "authenticated",
    Metric.DASHBOARD_USERS: "users",
    Metric.DASHBOARD_ROUTES: "routes",
    Metric.DASHBOARD_COHORTS: "cohorts",
    Metric.DASHBOARD_CATCHING_UP: "catching_up",
    Metric.DASHBOARD_EVENTS_BEHIND: "events_behind",
    Metric.DASHBOARD_SNAPSHOT_BUILDS: "snapshot_builds",
    Metric.DASHBOARD_FAULTS: "faults",
}
