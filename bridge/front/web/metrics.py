"""Definitions of all metrics: name, type, and the help text of `/metrics`. docs/operations.md has the same table."""

from typing import Final, Literal, NamedTuple


class MetricDefinition(NamedTuple):
    """Type and help text. A `counter` only grows, from the bridge's or the journal's start; a `gauge` is current."""

    kind: Literal["counter", "gauge"]
    help: str


def _gauge(text: str) -> MetricDefinition:
    return MetricDefinition("gauge", text)


def _counter(text: str) -> MetricDefinition:
    return MetricDefinition("counter", text)


METRICS: Final = {
    "ready": _gauge("1 where /health/ready says 200"),
    "broker_connected": _gauge("1 while this link to the broker is up"),
    "broker_dropped_messages": _gauge("messages the broker dropped since its own start, for whomever; 0 until it says"),
    "clock_offset_seconds": _gauge("Seconds by which the floor's time is ahead of the host's clock; 0 in a simulation"),
    "clock_held": _gauge("1 while the host's clock is more than 5 s behind the floor's time, which goes on by itself"),
    "reports_waiting": _gauge("reports that were received and are not yet taken up"),
    "pipeline_ready": _gauge("1 while commits succeed"),
    "pipeline_offset": _gauge("offset of the last event in the journal"),
    "pipeline_received": _counter("inputs handed over, by kind, over the journal's whole life"),
    "pipeline_applied": _counter("inputs that had their effect"),
    "pipeline_suppressed": _counter("inputs that were understood and deliberately had none"),
    "pipeline_quarantined": _counter("inputs that were not understood, and are kept aside"),
    "pipeline_in_flight": _gauge("inputs that were received and are not yet committed"),
    "pipeline_unaccounted": _gauge("inputs of which nobody knows what became: 0, or a fault of the bridge"),
    "pipeline_unknown_fields": _counter("fields of reports that nobody knows, since the start"),
    "missing_reports": _counter("reports that a device's seq shows to be missing"),
    "missing_reports_filled_late": _counter("those of them that came late after all"),
    "pieces_held": _gauge("pieces that a counter shows and the next report confirms or refutes"),
    "pieces_released": _counter("pieces held that were confirmed, and counted"),
    "pieces_refused": _counter("pieces held that were refuted, and never counted: a difference of registers"),
    "max_rate_too_low": _gauge("1 where a machine was seen to be faster than its max_rate_per_minute"),
    "unplaced_reports": _counter("reports that were applied though their place in the device's sequence is not known"),
    "devices_ineffective": _gauge("devices whose reports arrive and have had no effect for a minute"),
    "published_offset": _gauge("offset up to which everything is published on MQTT"),
    "publications_refused": _counter("publications that the broker refused, since the start"),
    "ghosts_cleared": _counter("retained topics of which the journal knows nothing, cleared since the start"),
    "dashboard_connections": _gauge("open connections"),
    "dashboard_authenticated": _gauge("those that have proved who they are"),
    "dashboard_users": _gauge("different users among them"),
    "dashboard_subscriptions": _gauge("their subscriptions"),
    "dashboard_routes": _gauge("filters by which events are routed to them, and those that get their own assignments"),
    "dashboard_waiting_events": _gauge("events that wait in all outboxes"),
    "dashboard_waiting_bytes": _gauge("bytes that wait there"),
    "dashboard_catching_up": _gauge("dashboards that read the journal to catch up"),
    "dashboard_left_to_journal": _gauge("events left to be read from the journal instead, since the start"),
    "dashboard_snapshot_builds": _gauge("snapshots that were built, since the start; many dashboards share one"),
    "dashboard_events": _gauge("matched = sent + conflated + revoked + abandoned + pending, since the start"),
    "dashboard_balanced": _gauge("1 while these books balance: 0 is a fault of the bridge"),
    "follower_offset": _gauge("offset up to which a front apart has read the journal"),
    "follower_hints": _counter("hints it had by MQTT, since its start"),
    "follower_reads": _counter("how often it read the journal"),
    "follower_turns": _counter("how often it turned to another epoch: 1 at its start, and after a restore"),
}  # fmt: skip
