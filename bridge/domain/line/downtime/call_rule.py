"""Rule for a downtime's automatic Andon call: its due time and its content. Source: domain.md, «Downtime».

An unclassified downtime raises its call after `auto_call_unclassified_seconds`, a classified one after the minutes of
its reason. The time counts from the stop, or from when the stop first required a call.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.domain import plant
from bridge.domain.line.andon.call_matching import CallRequest
from bridge.domain.line.downtime.record import DowntimeRecord, ScheduledCall, call_reason_of
from bridge.domain.utc_time import Millis


@dataclass(frozen=True, slots=True)
class AutoCallRule:
    """Rule that decides when a downtime raises its call, and which one."""

    plant_config: plant.Plant
    unclassified_ms: Millis

    def due_at(self, record: DowntimeRecord, *, now: Millis) -> Millis | None:
        """Return when the downtime's call is due; None if it needs no call."""
        return self._due_after_wait(self.wait_ms(record), record, now)

    def breakdown_due_at(self, record: DowntimeRecord, *, now: Millis) -> Millis | None:
        """Return when the call for the downtime's fault is due, ignoring what suppresses the downtime's call."""
        return self._due_after_wait(self._wait_for_breakdown(record), record, now)

    def wait_ms(self, record: DowntimeRecord) -> Millis | None:
        """Return how long a downtime lasts before its call is due; None if it needs no call."""
        findings, reason = record.findings, call_reason_of(record, self.plant_config)
        if reason is not None and reason.category != "unplanned":
            return None
        if record.current_classification is None or reason is None:  # a person's classification overrides findings
            if findings.worked_on or (record.changeover and findings.changing):
                return None
            if reason is None and findings.expected and not findings.is_breakdown:
                return None
        return self._wait_for_breakdown(record)

    def next_deadline(self, record: DowntimeRecord) -> Millis | None:
        """Return when `fire` has something to do."""
        if record.deferred:
            return None
        interrupted_at = None if record.interrupted_call is None else record.interrupted_call.due
        return min((at for at in (record.call_at, interrupted_at) if at is not None), default=None)

    def fire(self, record: DowntimeRecord, call: Callable[[CallRequest], bool], *, now: Millis) -> None:
        """Raise the call that is due; postpone it if another call has to end first."""
        due, interrupted = self.next_deadline(record), record.interrupted_call
        if due is None or due > now:
            return
        is_interrupted_due = interrupted is not None and interrupted.due <= now
        scheduled = (
            interrupted if interrupted is not None and is_interrupted_due else self.scheduled_call(record, due=now)
        )
        record.deferred = not call(self.make_request(scheduled, stopped=record.findings.equipment, now=now))
        if record.deferred:
            return
        if is_interrupted_due:
            record.interrupted_call = None
        else:
            record.call_at, record.called, record.called_for = None, True, record.findings.call_target

    def scheduled_call(self, record: DowntimeRecord, *, due: Millis) -> ScheduledCall:
        return ScheduledCall(
            downtime_id=record.downtime_id,
            since=record.started_at,
            due=due,
            equipment=record.findings.call_target,
            reason_code=record.call_reason_code,
        )

    def make_request(self, call: ScheduledCall, *, stopped: str | None, now: Millis) -> CallRequest:
        reason = self.plant_config.find_reason(call.reason_code)
        andon_type = "equipment" if reason is None else reason.andon_type
        minutes = (now - call.since) // 60_000
        return CallRequest(
            equipment=call.equipment,
            stopped=stopped,
            andon_type=andon_type,
            priority=self.plant_config.call_priority[andon_type] if reason is None else reason.priority,
            description=f"{'Unclassified stop' if reason is None else reason.text}, {minutes} min",
            downtime_id=call.downtime_id,
            since=call.since,
        )

    def _wait_for_breakdown(self, record: DowntimeRecord) -> Millis | None:
        reason = call_reason_of(record, self.plant_config)
        if reason is None:
            return self.unclassified_ms
        return None if reason.call_after_minutes is None else round(reason.call_after_minutes * 60_000)

    def _due_after_wait(self, wait_ms: Millis | None, record: DowntimeRecord, now: Millis) -> Millis | None:
        if wait_ms is None:
            return None
        return max(record.counted_from + wait_ms, now)
