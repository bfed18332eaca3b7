"""The automatic Andon calls of one line: raised for a downtime, linked, held in a flood, paused after the restart.

Source: DOMAIN, «Andon and escalation». One trouble has one call: where one is open for it, it is linked, or called
again where the trouble came back.
"""

from typing import Final

from bridge.core.line.andon_call import SUMMARY_KEY, Call
from bridge.core.line.call_book import CallBook
from bridge.core.line.call_for_help import CallForHelp, Relation, find_call
from bridge.core.line.flood import AreaFlood, FloodState, HeldCall
from bridge.core.reports import Moment

FLOOD_OVER: Final = "the flood is over: what still stands calls for itself"


class AutomaticCalls:
    """Works on the line's calls; the area's flood control, where the line has joined one, may hold a call back."""

    def __init__(self, book: CallBook, *, line_id: str) -> None:
        self._book = book
        self._state = book.state
        self._line = line_id
        self._area: AreaFlood | None = None

    @property
    def flood(self) -> FloodState:
        return self._state.flood

    @property
    def summary(self) -> Call | None:
        """The open call that stands for those held in the area's flood, if this line has it."""
        return self._state.open.get(SUMMARY_KEY)

    def join(self, area: AreaFlood) -> None:
        self._area = area

    def call(self, help_: CallForHelp, *, moment: Moment) -> bool:
        """Call for a downtime: by the open call of the same trouble, by a new one, or not yet in a flood.

        False where nothing is done, as a call for another machine of the downtime is open still.
        """
        found = find_call(self._state.open.values(), help_, is_calling=self._book.is_calling)
        if found is not None and found[0] is not Relation.BEFORE:
            return self._join(*found, help_, moment)
        before = None if found is None else found[1]
        priority = help_.priority if before is None else before.priority
        if self._area is None or priority == "critical" or self._area.admit(self._line, at=moment.at):
            self._raise(help_, before, moment)
        else:
            self.flood.held = HeldCall(help=help_, at=moment.at)
        return True

    def release(self, moment: Moment, *, wanted: bool) -> None:
        """Raise the call that was held, if its trouble still wants one."""
        held, self.flood.held = self.flood.held, None
        if held is None or not wanted:
            return
        found = find_call(self._state.open.values(), held.help, is_calling=self._book.is_calling)
        if found is not None and found[0] is not Relation.BEFORE:
            self._join(*found, held.help, moment)
            return
        if self._area is not None:
            self._area.raised(self._line, at=moment.at)
        self._raise(held.help, None if found is None else found[1], moment)

    def stop_over(self, *, runs: bool, moment: Moment) -> None:
        """End what the downtime that just closed still owes; pause its calls where the line runs again."""
        if self.flood.held is not None and self._area is not None:
            self.flood.held, self._area.changed = None, True
        if not runs:
            return  # the shift is over, and the trouble is not
        for call in self._state.open.values():
            if call.downtime_id is None:
                continue
            call.over = True
            if call.priority != "critical" and not call.paused:
                self._book.pause(call, moment=moment)

    def summarize(self, description: str, *, moment: Moment) -> None:
        """Raise the summary call of the area's flood, or revise what it lists."""
        call, held = self.summary, self.flood.held
        if call is not None:
            self._book.describe(call, description, moment=moment)
            return
        assert held is not None, "a summary begins on a line whose call is held"
        call = self._book.open(
            None, held.help.andon_type, held.help.priority, moment=moment, auto_generated=True, summary=True
        )
        call.description = description
        self._book.emit_raised(call, moment)

    def end_flood(self, *, moment: Moment) -> None:
        if self.summary is not None:
            self._book.withdraw(self.summary, FLOOD_OVER, moment)

    def _join(self, relation: Relation, call: Call, help_: CallForHelp, moment: Moment) -> bool:
        """Let an open call be that of this trouble; return whether it is."""
        match relation:
            case Relation.SAME:
                call.stopped = help_.stopped
                self._book.link(call, help_.downtime_id, culprit=help_.equipment, moment=moment)
            case Relation.ANSWERED:
                call.stopped, call.culprit = help_.stopped, help_.equipment
                self._book.call_again(call, downtime_id=help_.downtime_id, answered=True, moment=moment)
            case Relation.KNOWN | Relation.OTHER | Relation.BEFORE:
                pass
        return relation is not Relation.OTHER

    def _raise(self, help_: CallForHelp, before: Call | None, moment: Moment) -> None:
        if before is not None:
            if before.auto_generated:
                before.description = help_.description
            before.stopped, before.culprit = help_.stopped, help_.equipment
            self._book.call_again(before, downtime_id=help_.downtime_id, answered=False, moment=moment)
            return
        call = self._book.open(help_.equipment, help_.andon_type, help_.priority, moment=moment, auto_generated=True)
        call.description, call.downtime_id, call.stopped = help_.description, help_.downtime_id, help_.stopped
        call.culprit = help_.equipment
        self._book.emit_raised(call, moment)
