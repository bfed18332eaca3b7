"""The port to the metrics: each side of the bridge yields samples, and its web server renders them.

docs/operations.md has the table of all metrics.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Literal, NamedTuple


class MetricDefinition(NamedTuple):
    """Type, help text and labels. A `counter` never falls while the process runs; a `gauge` is current."""

    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


def _gauge(text: str, *labels: str) -> MetricDefinition:
    return MetricDefinition("gauge", text, labels)


def _counter(text: str, *labels: str) -> MetricDefinition:
    return MetricDefinition("counter", text, labels)


@unique
class Metric(Enum):
    """All metrics; `/metrics` exports `READY` as `floor_ready`, and a counter with the suffix `_total`."""

    READY = _gauge("1 if /health/ready answers 200.")
    BROKER_CONNECTED = _gauge("1 while this connection to the broker is up.", "link")
    BROKER_DROPPED_MESSAGES = _counter("Messages that the broker reports to have dropped, of all its clients.")
    BROKER_LINK_LOST_ALONE = _counter("Times that this connection was lost while the others were not.", "link")
    BROKER_PROBE = _gauge("1 if this check of the broker's rules passed at the last probe.", "check")
    BROKER_PROBES = _counter("Probes of the broker's rules.", "outcome")
    BROKER_CANARY_SECONDS = _gauge("Seconds from the probe's latest canary report to its commit.")
    BROKER_CANARIES_LOST = _counter("Canary reports that the broker dropped from the queue of the intake.")
    ACCESS_FILE_VALID = _gauge("1 if the latest reading of this file was valid, or there is none to read.", "file")
    ACCESS_REVOCATIONS = _gauge("Revocations in force.")
    CLOCK_OFFSET_SECONDS = _gauge("Seconds by which floor time is ahead of the host's clock; 0 in a simulation.")
    CLOCK_HELD = _gauge("1 while the host's clock is more than 5 s behind floor time, which continues by itself.")
    REPORTS_WAITING = _gauge("Reports that are received and wait to be processed.")
    PIPELINE_READY = _gauge("1 while commits succeed.")
    PIPELINE_OFFSET = _gauge("Offset of the last event in the journal.")
    PIPELINE_RECEIVED = _counter("Inputs received, over the journal's whole life.", "kind")
    PIPELINE_APPLIED = _counter("Inputs applied.", "kind")
    PIPELINE_SUPPRESSED = _counter("Inputs that are valid and have no effect, on purpose.", "kind", "reason")
    PIPELINE_QUARANTINED = _counter("Inputs that are not understood, and are quarantined.", "kind", "reason")
    PIPELINE_IN_FLIGHT = _gauge("Inputs that are received and not committed yet.", "kind")
    PIPELINE_UNACCOUNTED = _gauge("Inputs with an unknown outcome: anything but 0 is a fault of the bridge.", "kind")
    PIPELINE_UNKNOWN_FIELDS = _counter("Unknown fields in reports.")
    MISSING_REPORTS = _counter("Reports that are missing in the sequence of their device.", "line")
    MISSING_REPORTS_FILLED_LATE = _counter("Missing reports that arrived late.", "line")
    PIECES_HELD = _gauge("Pieces that a counter shows and the next report confirms or refutes.", "line", "equipment")
    PIECES_RELEASED = _counter("Held pieces that were confirmed, and counted.", "line", "equipment")
    PIECES_REFUSED = _counter(
        "Held pieces that were refuted, and never counted: a difference of registers.", "line", "equipment"
    )
    MAX_RATE_TOO_LOW = _gauge("1 if a machine was faster than its max_rate_per_minute.", "line", "equipment")
    UNPLACED_REPORTS = _counter(
        "Reports that were applied without a known place in the sequence of their device.", "line"
    )
    DEVICES_INEFFECTIVE = _gauge("Devices whose reports arrive and have had no effect for a minute.", "line")
    PUBLISHED_OFFSET = _gauge("Offset up to which all events are published on MQTT.")
    PUBLICATIONS_REFUSED = _counter("Publications that the broker refused.")
    STALE_RETAINED_CLEARED = _counter("Retained topics without a current event in the journal that were cleared.")
    DASHBOARD_CONNECTIONS = _gauge("Open connections.")
    DASHBOARD_AUTHENTICATED = _gauge("Authenticated connections.")
    DASHBOARD_USERS = _gauge("Different users with a connection.")
    DASHBOARD_SUBSCRIPTIONS = _gauge("Subscriptions of all connections.", "subscription_type")
    DASHBOARD_ROUTES = _gauge(
        "Filters that route events, those of equal subscriptions once, and dashboards that get their own assignments."
    )
    DASHBOARD_COHORTS = _gauge("Cohorts: groups of up-to-date dashboards that want the same.")
    DASHBOARD_CATCHING_UP = _gauge("Dashboards that are sent what others have already got.")
    DASHBOARD_EVENTS_BEHIND = _gauge("Events by which all dashboards together are behind.")
    DASHBOARD_SNAPSHOT_BUILDS = _counter("Snapshots built; dashboards with equal subscriptions share one.")
    DASHBOARD_FAULTS = _counter("Faults of the bridge, each of which has closed one dashboard.")
    DASHBOARD_REVOKED = _counter("Dashboards closed because their user or token was revoked.")
    DASHBOARD_REDECIDED = _counter("Dashboards whose grants a changed policy has changed.")
    DASHBOARD_EVENTS = _counter(
        "Events that dashboards selected: sent, conflated, or matched, which is both.", "outcome", "type"
    )
    WEB_UNAUTHENTICATED = _gauge("Connections that belong to no user, whatever they are.")
    WEB_REFUSED = _counter("Users who were refused because of a bound.", "bound")
    WEB_CLOSED = _counter("WebSockets that the server closed.", "code")
    WEB_REFUSED_REQUESTS = _counter("HTTP requests that were refused, handshakes of WebSockets included.", "status")
    WEB_ENDED = _counter("Connections that the server ended without a request of theirs.", "reason")
    WEB_FAULTS = _counter("Faults of the bridge, each of which has ended a request or a connection.")
    WEB_DELAYED = _counter("Times that a client was read later, because a budget was used up.", "budget")
    WEB_LONG_TURNS = _counter("Turns of the event loop in which clients' work took more than 5 ms.")
    REPLICA_OFFSET = _gauge("Offset up to which a separate front has read the journal.")
    REPLICA_HINTS = _counter("MQTT events that a separate front received as hints.")
    REPLICA_READS = _counter("Reads of the journal by a separate front.")
    REPLICA_JOURNAL_SWITCHES = _counter("Journals that a separate front opened: at its start, after each restore.")


@dataclass(frozen=True, slots=True)
class MetricSample:
    """The current value of a metric, for one value of each of its labels; raise `ValueError` for other labels."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.keys() != set(self.metric.value.labels):
            raise ValueError(f"{self.metric.name} with the labels {sorted(self.labels)}")


SampleSource = Callable[[], Iterable[MetricSample]]
"""Called at every scrape, on the event loop."""
