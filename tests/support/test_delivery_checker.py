"""The checker of a dashboard's state against the journal, where an event amends the past."""

import json

import pytest

from bridge.domain.event_data import Changeover
from bridge.domain.events import DataQuality, Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.utc_time import rfc3339
from tests.support.checked_dashboard import CheckedDashboard
from tests.support.delivery_checker import PromiseBroken
from tests.support.memory_journal import MemoryJournal
from tests.support.random_histories import NOON, RequestedSubscription, grants_of, token
from tests.support.reference_subscription import Frame

AT = rfc3339(NOON)


def oee(standing: Standing = Standing.CURRENT) -> Event:
    """An event of a type of which only the latest must come; what is in it does not matter here."""
    return Event(
        type=EventType.OEE_UPDATE,
        place=Place("S1", "A1", "L1"),
        subject="hour",
        priority=Priority.LOW,
        revision=1,
        timestamp=NOON,
        data=Changeover(changeover_id="c", to_product="p", started_at=AT, signalled_at=AT),
        standing=standing,
        quality=DataQuality(clock="receive", estimated=False, historical=standing is Standing.HISTORY),
    )


class Dashboard:
    """A checked dashboard with one subscription, whose snapshot is of the journal's end."""

    def __init__(self, *committed: Event) -> None:
        self.journal = MemoryJournal()
        self.journal.append([oee()])
        self.checked = CheckedDashboard("eva", self.journal, grants_of)
        self.checked.connect(token("eva", ("#",)))
        self.take({"type": "auth_ok", "user_id": "eva", "roles": []})
        self.checked.subscribe(RequestedSubscription({"id": "a"}, "#", "eva"))
        self.take(
            {"type": "subscription_confirmed", "id": "a", "effective": ["#"]},
            {"type": "snapshot_begin", "id": "a", "positions": self._mark(1)},
            self.event(1),
            {"type": "snapshot_end", "id": "a", "count": 1},
        )
        self.journal.append(committed)

    def _mark(self, offset: int) -> Frame:
        return {"main": {"epoch": self.journal.epoch, "offset": offset}}

    def event(self, offset: int) -> Frame:
        frame: Frame = json.loads(self.journal.history[offset - 1].body)
        return frame

    def take(self, *frames: Frame) -> None:
        for frame in frames:
            self.checked.receive(json.dumps(frame))

    def finish(self) -> None:
        self.take({"type": "position", "streams": self._mark(self.journal.end)})
        self.checked.checker.finish()


def test_an_event_that_amends_the_past_after_a_snapshot_is_due_and_no_state() -> None:
    dashboard = Dashboard(oee(Standing.HISTORY))
    dashboard.take(dashboard.event(2))
    dashboard.finish()


@pytest.mark.parametrize("sent", [(2,), (3,)])
def test_neither_replaces_the_other(sent: tuple[int, ...]) -> None:
    dashboard = Dashboard(oee(), oee(Standing.HISTORY))
    dashboard.take(*map(dashboard.event, sent))
    with pytest.raises(PromiseBroken, match="never reached"):
        dashboard.finish()


def test_a_state_is_replaced_by_a_later_one() -> None:
    dashboard = Dashboard(oee(), oee())
    dashboard.take(dashboard.event(3))
    dashboard.finish()
