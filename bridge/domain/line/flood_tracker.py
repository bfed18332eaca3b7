"""Call limits of one area: how many automatic calls its lines may raise, and which ones are held.

Source: domain.md, «Andon and escalation», after ISA-18.2 and EEMUA 191. A flood begins with the call that would exceed
`calls` in `minutes`, and ends when fewer than `below` became due in as long. Held calls are released afterwards, never
more than `calls` in `minutes`. Calls raised by people and critical calls are not limited.

All of it follows from the lines' own checkpointed states; the area itself keeps none.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from bridge.domain.escalation_policy import MAX_CALLS, FloodRule
from bridge.domain.line.andon.call_matching import CallRequest
from bridge.domain.utc_time import Millis

MAX_INSTANTS: Final = MAX_CALLS  # instants kept of one line: no decision looks further back


class HeldCall(Struct, kw_only=True, rename={"request": "help"}):
    """An automatic call that is held back during a flood, and when it was requested."""

    request: CallRequest
    at: Millis
    listed: bool = False  # in the summary call


class FloodState(Struct):
    """One line's part of its area's flood control; checkpointed with its calls."""

    due: list[Millis] = field(default_factory=list)  # automatic calls, raised or held
    called: list[Millis] = field(default_factory=list)  # those raised, or raised again
    held: HeldCall | None = None
    flooding: bool = False  # the current flood began on this line


class FloodTracker:
    """Times of the automatic calls of an area's lines, in order. Lines are in the order of the plant file."""

    def __init__(self, rule: FloodRule, states: Mapping[str, FloodState]) -> None:
        self._rule = rule
        self._window_ms = round(rule.minutes * 60_000)
        self._states = states
        self._due = sorted(at for state in states.values() for at in state.due)
        self._called = sorted(at for state in states.values() for at in state.called)
        self.active = any(state.flooding for state in states.values())
        self.changed = True  # since the last `next_deadline`

    def admit(self, line_id: str, *, at: Millis) -> bool:
        """Record an automatic call that is due; return whether it may be raised now."""
        state = self._states[line_id]
        _append_instant(state.due, at)
        self._due = self._recent(self._due, at)
        insort(self._due, at)
        if not self.active and self.has_room(at):
            self.record_raised(line_id, at=at)
            return True
        if not self.active:
            self.active = state.flooding = True
        self.changed = True
        return False

    def record_raised(self, line_id: str, *, at: Millis) -> None:
        _append_instant(self._states[line_id].called, at)
        self._called = self._recent(self._called, at)
        insort(self._called, at)

    def has_room(self, at: Millis) -> bool:
        return self._count(self._called, at) < self._rule.calls

    def held_calls(self) -> list[tuple[str, HeldCall]]:
        """Return (line id, held call), the oldest first."""
        held = [(line_id, state.held) for line_id, state in self._states.items() if state.held is not None]
        return sorted(held, key=lambda item: item[1].at)

    def is_over(self, at: Millis) -> bool:
        return self.active and self._count(self._due, at) < self._rule.below

    def end(self) -> None:
        self.active = False
        for state in self._states.values():
            state.flooding = False

    def set_forward(self, by: Millis) -> None:
        """Shift all times by a forward jump of the host's clock: the skipped time is no time without calls."""
        for state in self._states.values():
            state.due, state.called = ([at + by for at in instants] for instants in (state.due, state.called))
            if state.held is not None:
                state.held.at += by
        self._due, self._called = ([at + by for at in instants] for instants in (self._due, self._called))
        self.changed = True

    def next_deadline(self) -> Millis | None:
        """Return when a held call is to be listed or released, or the flood ends."""
        self.changed = False
        held = self.held_calls()
        unlisted = [call.at for _, call in held if not call.listed]
        if self.active:
            return min([*unlisted, self._ends_at()])
        if not held:
            return None
        full = len(self._called) >= self._rule.calls
        room_at = self._called[-self._rule.calls] + self._window_ms if full else held[0][1].at
        return min([*unlisted, room_at])

    def _ends_at(self) -> Millis:
        if len(self._due) < self._rule.below:  # only another plant file takes lines, and their calls, out of an area
            return self._due[-1] if self._due else 0
        return self._due[-self._rule.below] + self._window_ms

    def _count(self, instants: list[Millis], at: Millis) -> int:
        # A device clock ahead moves its line's time ahead: an instant may lie after this one, and counts.
        return len(instants) - bisect_right(instants, at - self._window_ms)

    def _recent(self, instants: list[Millis], at: Millis) -> list[Millis]:
        """Drop instants that no decision depends on; twice the window leaves room for lines that are ahead."""
        return instants[bisect_right(instants, at - 2 * self._window_ms) :]


def _append_instant(instants: list[Millis], at: Millis) -> None:
    instants.append(at)
    del instants[:-MAX_INSTANTS]
