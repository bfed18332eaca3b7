"""Definitions of all metrics: name, type, and the help text of `/metrics`. docs/operations.md has the same table."""

from typing import Final, Literal, NamedTuple


class MetricDefinition(NamedTuple):
    """Type and help text. A `counter` never falls while the process runs; a `gauge` is current."""

    kind: Literal["counter", "gauge"]
    help: str


def _gauge(text: str) -> MetricDefinition:
    return MetricDefinition("gauge", text)


def _counter(text: str) -> MetricDefinition:
    return MetricDefinition("counter", text)


METRICS: Final = {
    "ready": _gauge("1 if /health/ready answers 200."),
    "broker_connected": _gauge("1 while this connection to the broker is up."),
    "broker_dropped_messages": _counter("Messages that the broker reports to have dropped, of all its clients."),
    "clock_offset_seconds": _gauge("Seconds by which floor time is ahead of the host's clock; 0 in a simulation."),
    "clock_held": _gauge("1 while the host's clock is more than 5 s behind floor time, which continues by itself."),
    "reports_waiting": _gauge("Reports that are received and wait to be processed."),
    "pipeline_ready": _gauge("1 while commits succeed."),
    "pipeline_offset": _gauge("Offset of the last event in the journal."),
    "pipeline_received": _counter("Inputs received, over the journal's whole life."),
    "pipeline_applied": _counter("Inputs applied."),
    "pipeline_suppressed": _counter("Inputs that are valid and have no effect, on purpose."),
    "pipeline_quarantined": _counter("Inputs that are not understood, and are quarantined."),
    "pipeline_in_flight": _gauge("Inputs that are received and not committed yet."),
    "pipeline_unaccounted": _gauge("Inputs with an unknown outcome: anything but 0 is a fault of the bridge."),
    "pipeline_unknown_fields": _counter("Unknown fields in reports."),
    "missing_reports": _counter("Reports that are missing in the sequence of their device."),
    "missing_reports_filled_late": _counter("Missing reports that arrived late."),
    "pieces_held": _gauge("Pieces that a counter shows and the next report confirms or refutes."),
    "pieces_released": _counter("Held pieces that were confirmed, and counted."),
    "pieces_refused": _counter("Held pieces that were refuted, and never counted: a difference of registers."),
    "max_rate_too_low": _gauge("1 if a machine was faster than its max_rate_per_minute."),
    "unplaced_reports": _counter("Reports that were applied without a known place in the sequence of their device."),
    "devices_ineffective": _gauge("Devices whose reports arrive and have had no effect for a minute."),
    "published_offset": _gauge("Offset up to which all events are published on MQTT."),
    "publications_refused": _counter("Publications that the broker refused."),
    "stale_retained_cleared": _counter("Retained topics without a current event in the journal that were cleared."),
    "dashboard_connections": _gauge("Open connections."),
    "dashboard_authenticated": _gauge("Authenticated connections."),
    "dashboard_users": _gauge("Different users with a connection."),
    "dashboard_subscriptions": _gauge("Subscriptions of all connections."),
    "dashboard_routes": _gauge("Filters that route events, and dashboards that get their own assignments."),
    "dashboard_waiting_events": _gauge("Events that wait in all outboxes."),
    "dashboard_waiting_bytes": _gauge("Bytes that wait in all outboxes."),
    "dashboard_catching_up": _gauge("Dashboards that read the journal to catch up."),
    "dashboard_snapshot_builds": _counter("Snapshots built; dashboards with equal subscriptions share one."),
    "dashboard_events": _counter("Events for dashboards; matched = the other outcomes + dashboard_events_pending."),
    "dashboard_events_pending": _gauge("Events for dashboards that have no outcome yet."),
    "dashboard_balanced": _gauge("1 while the outcomes of all events add up: 0 is a fault of the bridge."),
    "replica_offset": _gauge("Offset up to which a separate front has read the journal."),
    "replica_hints": _counter("MQTT events that a separate front received as hints."),
    "replica_reads": _counter("Reads of the journal by a separate front."),
    "replica_journal_switches": _counter("Journals that a separate front opened: at its start, after each restore."),
}  # fmt: skip
