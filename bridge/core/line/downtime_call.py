"""The automatic Andon call of a downtime: when it is due, and what it says. Source: DOMAIN, «Downtime».

An unclassified downtime calls after `auto_call_unclassified_seconds`, a classified one after the minutes of its reason.
The time counts from the stop, or from when it became something to call for.
"""

from dataclasses import dataclass

from bridge.core import plant
from bridge.core.events import Millis
from bridge.core.line.call_for_help import CallForHelp
from bridge.core.line.downtime_record import DowntimeRecord, OwedCall, reason_to_call


@dataclass(frozen=True, slots=True)
class CallRule:
    reasons: plant.Plant
    unclassified_ms: Millis

    def due(self, record: DowntimeRecord, *, now: Millis) -> Millis | None:
        """Return when the downtime calls; None where nobody is called for such a one."""
        return self._after(self.wait(record), record, now)

    def due_as_breakdown(self, record: DowntimeRecord, *, now: Millis) -> Millis | None:
        """Return when the downtime's fault calls, whatever else the downtime is."""
        return self._after(self._wait_for_breakdown(record), record, now)

    def wait(self, record: DowntimeRecord) -> Millis | None:
        """Return how long a downtime lasts before it calls; None where nobody is called for such a one."""
        found, reason = record.found, reason_to_call(record, self.reasons)
        if reason is not None and reason.category != "unplanned":
            return None
        if record.classified is None or reason is None:  # what a person said goes before what is seen
            if found.worked_on or (record.changeover and found.changing):
                return None
            if reason is None and found.expected and not found.breakdown:
                return None
        return self._wait_for_breakdown(record)

    def of(self, record: DowntimeRecord, *, due: Millis) -> OwedCall:
        return OwedCall(
            downtime_id=record.downtime_id,
            since=record.started_at,
            due=due,
            equipment=record.found.to_call_for,
            reason_code=record.classified or record.found.reason_now,
        )

    def help(self, call: OwedCall, *, stopped: str | None, now: Millis) -> CallForHelp:
        reason = self.reasons.reason(call.reason_code)
        andon_type = "equipment" if reason is None else reason.andon_type
        minutes = (now - call.since) // 60_000
        return CallForHelp(
            equipment=call.equipment,
            stopped=stopped,
            andon_type=andon_type,
            priority=self.reasons.call_priority[andon_type] if reason is None else reason.priority,
            description=f"{'Unclassified stop' if reason is None else reason.text}, {minutes} min",
            downtime_id=call.downtime_id,
            since=call.since,
        )

    def _wait_for_breakdown(self, record: DowntimeRecord) -> Millis | None:
        reason = reason_to_call(record, self.reasons)
        if reason is None:
            return self.unclassified_ms
        return None if reason.call_after_minutes is None else round(reason.call_after_minutes * 60_000)

    def _after(self, wait_ms: Millis | None, record: DowntimeRecord, now: Millis) -> Millis | None:
        if wait_ms is None:
            return None
        return max(record.counted_from + wait_ms, now)
