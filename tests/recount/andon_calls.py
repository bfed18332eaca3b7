"""Andon calls and their ladders. Source: domain.md, «Andon and escalation»; docs/devices.md, «andon»."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.recount.andon_call import DueCall, ExpectedCall, Relation, same_family
from tests.recount.fact import Fact
from tests.recount.plant_facts import LADDER, MINUTE, PRIORITY, TOP, LineFacts

ORDER: Final = ("low", "medium", "high", "critical")
DEBOUNCE: Final = 2_000


class CallTracker:
    def __init__(self, line: LineFacts, note: Callable[[Fact], None]) -> None:
        self._line = line
        self._note = note
        self.open: dict[str, ExpectedCall] = {}
        self._level: dict[str, bool] = {}
        self._pressed: dict[str, int] = {}
        self.presses: list[tuple[int, int, bool]] = []  # (report's number, at, whether it had an effect)

    # People

    def receive(self, device: str, body: dict[str, Any], at: int, *, dated: bool) -> bool:
        """Apply what somebody did at a station or panel; return whether it has an effect."""
        action, andon_type = body.get("action"), body["andon_type"]
        if action is None:
            return self._input(device, andon_type, level=body["input"], at=at)
        if action == "raise":
            if not dated:
                before = self._pressed.get(f"{device}/{andon_type}")
                if before is not None and abs(at - before) <= DEBOUNCE:
                    return False
                self._pressed[f"{device}/{andon_type}"] = at
            self._press(device, andon_type, at)
            return True
        return self._act(device, action, andon_type, at)

    def _input(self, device: str, andon_type: str, *, level: bool, at: int) -> bool:
        key = f"{device}/{andon_type}"
        before, self._level[key] = self._level.get(key), level
        if not level:
            return before is not False
        station = self._line.stations[device]
        if station.input == "latching" and key not in self.open:
            is_press = not before  # else it has not been put back since its call ended
        else:
            is_bounce = key in self.open and abs(at - self._pressed.get(key, -DEBOUNCE - 1)) <= DEBOUNCE
            is_press = before is False and not is_bounce
            if before is False and is_bounce and station.input == "momentary":
                self._level[key] = False  # as if it had not been seen
        if not is_press:
            return False
        self._pressed[key] = at
        self._press(device, andon_type, at)
        return True

    def _press(self, device: str, andon_type: str, at: int) -> None:
        call = self.open.get(f"{device}/{andon_type}")
        if call is not None:
            call.repeat += 1
            call.answered_at = max(call.answered_at, call.raised_at)
            if call.paused:
                self._call_again(call, at, downtime=call.downtime, answered=False)
                call.repeat -= 1
                self._note(Fact("call", self._line.id, call.key, at, ("called again", call.repeat)))
                return
            self._note(Fact("call", self._line.id, call.key, at, ("repeat", call.repeat)))
            return
        own = device in self._line.stations
        automatic = max(
            (
                open_call
                for open_call in self.open.values()
                if open_call.automatic and not open_call.past and same_family(open_call.type, andon_type)
                and (own or device == open_call.place)
            ),
            key=lambda open_call: open_call.raised_at,
            default=None,
        )  # fmt: skip
        call = ExpectedCall(device, andon_type, PRIORITY[andon_type], at, answered_at=at)
        self.open[call.key] = call
        call.begin_ladder(at)
        if automatic is not None:
            self._take_over(call, automatic)
        self._note(Fact("call", self._line.id, call.key, at, ("raised", call.priority, call.status, False)))
        if automatic is not None:
            self._end(automatic, "cancelled", at)
            self._catch_up(call, at)

    def _take_over(self, call: ExpectedCall, other: ExpectedCall) -> None:
        """The person's call has the automatic one's trouble, its answers, and its place on the ladder."""
        call.priority = max(call.priority, other.priority, key=ORDER.index)
        call.begin_ladder(other.basis)
        climbs = other.level < TOP
        call.steps = [(at, kind) for at, kind in call.steps if at > other.passed or (climbs and kind == "ack_timeout")]
        call.status, call.level = other.status, other.level
        call.downtime, call.culprit = other.downtime, other.culprit
        call.acknowledged, call.arrived = other.acknowledged, other.arrived

    def _catch_up(self, call: ExpectedCall, at: int) -> None:
        """Apply overdue deadlines at the raise: each level without an acknowledgement, else one step."""
        overdue = [kind for due, kind in self._ahead(call) if due <= at]
        call.steps, call.passed = [step for step in call.steps if step[0] > at], at
        cause = "ack_timeout" if "ack_timeout" in overdue else "resolve_timeout"
        rises = min(overdue.count(cause), TOP - call.level, TOP if cause == "ack_timeout" else 1)
        for _ in range(rises):
            call.level += 1
            self._note(Fact("ladder", self._line.id, call.key, at, ("level", call.level, cause)))
        if overdue and not rises:
            self._note(Fact("ladder", self._line.id, call.key, at, ("reminder", call.level)))

    def _act(self, device: str, action: str, andon_type: str, at: int) -> bool:
        call = self._meant(device, andon_type)
        if call is None:
            return False
        if action == "cancel" and call.place != device:
            return False
        if action == "acknowledge":
            if call.status != "open":
                return False
            call.status, call.acknowledged, call.answered_at = "acknowledged", True, at
            self._note(Fact("call", self._line.id, call.key, at, ("acknowledged", call.repeat)))
        elif action == "arrive":
            if call.arrived:
                return False
            call.arrived, call.answered_at = True, at
            self._note(Fact("call", self._line.id, call.key, at, ("arrived", call.repeat)))
        else:
            self._end(call, {"resolve": "resolved", "cancel": "cancelled"}[action], at)
        return True

    def _meant(self, device: str, andon_type: str) -> ExpectedCall | None:
        """Find the call that an answer without an id is for; none where two could be meant."""
        own = self.open.get(f"{device}/{andon_type}")
        if own is not None:
            return own
        alike = [call for call in self.open.values() if same_family(call.type, andon_type)]
        if device not in self._line.stations:
            alike = [call for call in alike if call.culprit == device]
        exact = [call for call in alike if call.type == andon_type]
        if device in self._line.stations or exact:
            alike = exact
        return alike[0] if len(alike) == 1 else None

    def _end(self, call: ExpectedCall, status: str, at: int) -> None:
        call.status = status
        del self.open[call.key]
        self._note(Fact("call", self._line.id, call.key, at, (status, call.repeat)))

    # The line itself

    def call_for(self, due_call: DueCall, at: int) -> None:
        """One trouble has one call: link the open one, call again where the trouble came back, or raise a new one."""
        relation, call = self._closest(due_call)
        if call is None:
            call = ExpectedCall(
                due_call.place, due_call.type, due_call.priority, at, automatic=True, downtime=due_call.downtime
            )
            call.culprit = due_call.place
            self.open[call.key] = call
            call.begin_ladder(at)
            self._note(Fact("call", self._line.id, call.key, at, ("raised", call.priority, call.status, True)))
            return
        if relation is Relation.LINKED:
            return
        call.culprit = due_call.place
        if relation is Relation.SAME:
            call.downtime, call.past = due_call.downtime, False
        else:
            self._call_again(call, at, downtime=due_call.downtime, answered=relation is Relation.ANSWERED)
            self._note(Fact("call", self._line.id, call.key, at, ("called again", call.repeat)))

    def must_wait(self, due_call: DueCall) -> bool:
        """Return whether people are still called to another machine of the same downtime."""
        return self._closest(due_call)[0] is Relation.ELSEWHERE

    def _closest(self, due_call: DueCall) -> tuple[Relation, ExpectedCall | None]:
        candidates = sorted(
            ((its, -call.raised_at, call) for call in self.open.values() if (its := self._relation(call, due_call))),
            key=lambda candidate: candidate[:2],
        )
        return (candidates[0][0], candidates[0][2]) if candidates else (Relation.OTHER, None)

    def _relation(self, call: ExpectedCall, due_call: DueCall) -> Relation:
        if not same_family(call.type, due_call.type):
            return Relation.OTHER
        if call.downtime == due_call.downtime:
            return Relation.LINKED if call.culprit == due_call.place else Relation.ELSEWHERE
        near = call.place in self._line.stations or call.place in (due_call.place, due_call.stopped)
        if call.downtime is None and call.raised_at >= due_call.since and near:
            return Relation.SAME
        if due_call.place not in (call.place, call.culprit):
            return Relation.OTHER
        if call.status == "open" and any(self._ahead(call)):
            return Relation.SAME  # its ladder still calls people
        return Relation.ANSWERED if call.answered_at >= due_call.since else Relation.RECURRED

    def _call_again(self, call: ExpectedCall, at: int, *, downtime: int | None, answered: bool) -> None:
        call.repeat += 1
        call.past = call.past and call.downtime == downtime
        call.level, call.paused, call.downtime = 0, False, downtime
        call.answered_at = max(call.answered_at, at)
        if not answered:
            call.status, call.acknowledged, call.arrived = "open", False, False
        call.begin_ladder(at)

    def downtime_over(self) -> None:
        """The line runs again: a call for what stopped it stays open, and climbs no further."""
        for call in self.open.values():
            if call.downtime is not None:
                call.past = True
                call.paused = call.paused or call.priority != "critical"

    # Ladders

    def due(self) -> int | None:
        return min((at for call in self.open.values() for at, _ in self._ahead(call)), default=None)

    def fire(self, at: int) -> None:
        for call in list(self.open.values()):
            kinds = [kind for due, kind in self._ahead(call) if due == at]
            call.steps = [step for step in call.steps if step[0] > at]
            call.passed = max(call.passed, at) if kinds else call.passed
            limits = [kind for kind in kinds if kind in ("ack_timeout", "resolve_timeout")]
            if limits and call.level < TOP:
                call.level += 1
                self._note(Fact("ladder", self._line.id, call.key, at, ("level", call.level, limits[0])))
            elif kinds:
                self._note(Fact("ladder", self._line.id, call.key, at, ("reminder", call.level)))

    def _ahead(self, call: ExpectedCall) -> Iterator[tuple[int, str]]:
        if call.paused:
            return
        for at, kind in call.steps:
            if call.acknowledged and kind in ("ack_timeout", "before_ack"):
                continue
            if kind == "ack_timeout" and not self._counts(call, at):
                continue
            yield at, kind

    def _counts(self, call: ExpectedCall, at: int) -> bool:
        """A missed acknowledgement raises to a level that was reached already by another way: no event."""
        acknowledge, _, step = (minutes * MINUTE for minutes in LADDER[call.priority])
        return call.level >= TOP or (at - call.basis - acknowledge) // step >= call.level
