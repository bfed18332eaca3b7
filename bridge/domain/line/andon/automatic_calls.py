"""Automatic Andon calls of one line: raised for a downtime, linked, held in a flood, paused after the restart.

Source: domain.md, «Andon and escalation». One trouble has one call: an open call for it is linked to the downtime, or
raised again if the trouble came back.
"""

from typing import Final

from bridge.domain.line.andon.call import SUMMARY_KEY, AndonCall
from bridge.domain.line.andon.call_matching import CallRelation, CallRequest, find_related_call
from bridge.domain.line.andon.call_registry import CallRegistry
from bridge.domain.line.flood_tracker import FloodState, FloodTracker, HeldCall
from bridge.domain.reports import Moment

FLOOD_OVER_NOTE: Final = "the flood is over: what still stands calls for itself"


class AutomaticCalls:
    """Manages the line's automatic calls; the area's flood control, if the line has joined one, may hold one back."""

    def __init__(self, registry: CallRegistry, *, line_id: str) -> None:
        self._registry = registry
        self._state = registry.state
        self._line = line_id
        self._area: FloodTracker | None = None

    @property
    def flood(self) -> FloodState:
        return self._state.flood

    @property
    def summary_call(self) -> AndonCall | None:
        """The open summary call of the area's flood, if this line has it."""
        return self._state.open.get(SUMMARY_KEY)

    def join(self, area: FloodTracker) -> None:
        self._area = area

    def request_call(self, request: CallRequest, *, moment: Moment) -> bool:
        """Call for a downtime: use the open call for the same trouble, raise a new one, or hold it in a flood.

        Returns False, having done nothing, if a call for another machine of the downtime is still open.
        """
        related = self._find_related(request)
        if related is not None and related[0] is not CallRelation.RECURRENCE:
            return self._reuse_call(*related, request, moment)
        recurring = None if related is None else related[1]
        priority = request.priority if recurring is None else recurring.priority
        if self._area is None or priority == "critical" or self._area.admit(self._line, at=moment.at):
            self._raise(request, recurring, moment)
        else:
            self.flood.held = HeldCall(request=request, at=moment.at)
        return True

    def release_held(self, moment: Moment, *, wanted: bool) -> None:
        """Release the held call: raise it if it is still `wanted`, else drop it."""
        held, self.flood.held = self.flood.held, None
        if held is None or not wanted:
            return
        related = self._find_related(held.request)
        if related is not None and related[0] is not CallRelation.RECURRENCE:
            self._reuse_call(*related, held.request, moment)
            return
        if self._area is not None:
            self._area.record_raised(self._line, at=moment.at)
        self._raise(held.request, None if related is None else related[1], moment)

    def finish_downtime(self, *, line_runs: bool, moment: Moment) -> None:
        """Drop the held call of the downtime that just closed; pause the linked calls if the line runs again."""
        if self.flood.held is not None and self._area is not None:
            self.flood.held, self._area.changed = None, True
        if not line_runs:
            return  # the shift is over, but not the trouble
        for call in self._state.open.values():
            if call.downtime_id is None:
                continue
            call.line_ran_since = True
            if call.priority != "critical" and not call.paused:
                self._registry.pause(call, moment=moment)

    def summarize(self, description: str, *, moment: Moment) -> None:
        """Raise the summary call of the area's flood, or update its list."""
        call, held = self.summary_call, self.flood.held
        if call is not None:
            self._registry.describe(call, description, moment=moment)
            return
        assert held is not None, "a summary begins on a line whose call is held"
        call = self._registry.open(
            None, held.request.andon_type, held.request.priority, moment=moment, auto_generated=True, summary=True
        )
        call.description = description
        self._registry.emit_raised(call, moment)

    def end_flood(self, *, moment: Moment) -> None:
        if self.summary_call is not None:
            self._registry.withdraw(self.summary_call, FLOOD_OVER_NOTE, moment)

    def _find_related(self, request: CallRequest) -> tuple[CallRelation, AndonCall] | None:
        return find_related_call(self._state.open.values(), request, is_escalating=self._registry.is_escalating)

    def _reuse_call(self, relation: CallRelation, call: AndonCall, request: CallRequest, moment: Moment) -> bool:
        """Use an open call for this trouble; return False if it is for another machine."""
        match relation:
            case CallRelation.SAME_TROUBLE:
                call.stopped = request.stopped
                self._registry.link(call, request.downtime_id, culprit=request.equipment, moment=moment)
            case CallRelation.ANSWERED:
                call.stopped, call.culprit = request.stopped, request.equipment
                self._registry.call_again(call, downtime_id=request.downtime_id, answered=True, moment=moment)
            case CallRelation.LINKED | CallRelation.OTHER_MACHINE | CallRelation.RECURRENCE:
                pass
        return relation is not CallRelation.OTHER_MACHINE

    def _raise(self, request: CallRequest, recurring: AndonCall | None, moment: Moment) -> None:
        if recurring is not None:
            if recurring.auto_generated:
                recurring.description = request.description
            recurring.stopped, recurring.culprit = request.stopped, request.equipment
            self._registry.call_again(recurring, downtime_id=request.downtime_id, answered=False, moment=moment)
            return
        call = self._registry.open(
            request.equipment, request.andon_type, request.priority, moment=moment, auto_generated=True
        )
        call.description, call.downtime_id, call.stopped = request.description, request.downtime_id, request.stopped
        call.culprit = request.equipment
        self._registry.emit_raised(call, moment)
