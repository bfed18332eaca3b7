"""One line's escalations for tests, and an oracle of the ladder."""

from typing import TYPE_CHECKING, Final, Literal

from hypothesis import strategies as st

from bridge.domain.escalation_policy import EscalationPolicy
from bridge.domain.event_data import CallPriority, Escalation
from bridge.domain.plant import Plant
from bridge.domain.reports import AndonReport, Disposition, Moment
from bridge.domain.utc_time import Millis
from tests.domain.line.andon.andon_line import AndonLine
from tests.support.one_line_plant import one_line_plant

if TYPE_CHECKING:
    from bridge.domain.events import Event

START: Final = 1_750_000_000_000

MINUTE: Final = 60_000

HORIZON: Final = 300  # minutes: every ladder here has ended by then

ActionName = Literal["acknowledge", "escalate", "resolve", "cancel"]

ActionPlan = tuple[tuple[int, ActionName], ...]

"""A call's story: what is done half a minute after which minute, in order."""

LadderRow = tuple[int, int, int, int]  # minutes: acknowledge within, resolve within, step; and the top level

TABLE: Final[dict[CallPriority, LadderRow]] = {
    "low": (15, 60, 15, 2),
    "medium": (10, 45, 10, 2),
    "high": (5, 30, 5, 2),
    "critical": (2, 15, 2, 2),
}

RECIPIENTS: Final[dict[CallPriority, tuple[set[str], set[str], set[str]]]] = {
    "low": ({"maintenance"}, {"team_leader"}, {"shift_manager"}),
    "medium": ({"maintenance"}, {"team_leader", "shift_manager"}, {"production_manager"}),
    "high": ({"maintenance"}, {"shift_manager", "engineer"}, {"production_manager"}),
    "critical": ({"maintenance", "team_leader"}, {"shift_manager", "engineer"}, {"production_manager"}),
}


def plant_with(ladder: dict[CallPriority, EscalationPolicy] | None = None) -> Plant:
    return one_line_plant() if ladder is None else one_line_plant(ladder=ladder)


PLANT: Final = plant_with()


class EscalationLine(AndonLine):
    def __init__(self, plant: Plant = PLANT) -> None:
        self.events: list[Event] = []
        super().__init__(plant)

    def act(
        self,
        action: Literal["raise", "acknowledge", "arrive", "escalate", "resolve", "cancel"],
        *,
        minute: float = 0,
        priority: CallPriority | None = None,
    ) -> Disposition:
        body = AndonReport(action=action, andon_type="equipment", priority=priority, seq=0)
        answer = self.calls.apply(body, equipment="BAG1", moment=Moment(at=at_minute(minute)))
        self.events.extend(self.emitter.drain())
        return answer

    def run_to(self, minute: float) -> None:
        """Fire deadlines until then, as a line does before it applies a report."""
        while (due := self.registry.next_deadline()) is not None and due <= at_minute(minute):
            self.registry.fire(Moment(at=due))
            self.events.extend(self.emitter.drain())

    def escalations(self) -> list[tuple[float, Escalation]]:
        return [
            ((event.timestamp - START) / MINUTE, event.data)
            for event in self.events
            if isinstance(event.data, Escalation)
        ]

    def rungs(self) -> list[tuple[float, int, str | None]]:
        """Return (minute, level, cause) of each timed escalation: actions fall between whole minutes."""
        return [
            (minute, data.level, data.cause) for minute, data in self.escalations() if minute > 0 and minute % 1 == 0
        ]


def at_minute(minute: float) -> Millis:
    return START + round(minute * MINUTE)


def oracle(row: LadderRow, plot: ActionPlan) -> list[tuple[float, int, str | None]]:
    """Walk the table minute by minute; a action at minute m happens half a minute after it."""
    acknowledge, resolve, step, top = row
    level, acknowledged = 0, False
    reminded = [(acknowledge, 5), (resolve, 10)]
    missed = [{limit + step * number for number in range(top + 1)} for limit in (acknowledge, resolve)]
    rungs: list[tuple[float, int, str | None]] = []
    for minute in range(1, HORIZON):
        for when, action in plot:
            if when != minute - 1:
                continue
            if action in {"resolve", "cancel"}:
                return rungs
            if action == "escalate":
                level = min(top, level + 1)
            acknowledged = acknowledged or action == "acknowledge"
        wanted = 1 + (minute - acknowledge) // step if minute >= acknowledge else 0
        rung = minute >= resolve and (minute - resolve) % step == 0
        if not acknowledged and level < min(wanted, top):
            level += 1
            rungs.append((minute, level, "ack_timeout"))
        elif rung and level < top:
            level += 1
            rungs.append((minute, level, "resolve_timeout"))
        elif any(minute == limit - before and 2 * minute >= limit for limit, before in reminded[acknowledged:]) or (
            level == top and any(minute in minutes for minutes in missed[acknowledged:])
        ):
            rungs.append((minute, level, "reminder"))
    return rungs


def plots() -> st.SearchStrategy[ActionPlan]:
    names: list[ActionName] = ["acknowledge", "escalate", "escalate", "resolve", "cancel"]
    action = st.tuples(st.integers(0, 90), st.sampled_from(names))
    return st.lists(action, max_size=5).map(lambda actions: tuple(sorted(actions, key=lambda step: step[0])))


def play(
    line: EscalationLine, priority: CallPriority, plot: ActionPlan, *, restore_at: int | None = None, lazy: bool = False
) -> None:
    """Act the plot: firing each minute, or only when somebody acts; `restore_at` restarts from a checkpoint there."""
    line.act("raise", priority=priority)
    actions = dict.fromkeys(when for when, _ in plot)
    for minute in range(HORIZON):
        if not lazy or minute in actions or minute == HORIZON - 1:
            line.run_to(minute)
        if minute == restore_at:
            line.restore()
        for when, action in plot:
            if when == minute:
                line.act(action, minute=minute + 0.5)
