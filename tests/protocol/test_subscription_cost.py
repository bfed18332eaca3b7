"""Work of a table of many subscriptions, in calls of functions of the bridge: it is bounded by cost, not by count."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest

from bridge.protocol.event_selectors import ActiveSubscription, AssignmentSubscription
from bridge.protocol.subscription_table import NO_OFFSET_YET, SubscriptionTable
from tests.protocol.delivery.samples import admitted, event, viewer

FEW, MANY = 50, 500


def calls(work: Callable[[], object]) -> int:
    """Return how many functions of the bridge the work calls."""
    count = 0

    def on_event(frame: FrameType, kind: str, _argument: object) -> None:
        nonlocal count
        count += kind == "call" and "/bridge/" in frame.f_code.co_filename

    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


class Dashboard:
    """A table of so many subscriptions to the calls, all sent up to the cursor."""

    def __init__(self, size: int) -> None:
        self.table = SubscriptionTable(Counter())
        self.table.assignments = AssignmentSubscription(viewer("all"), 0)
        self.names = [f"calls {number}" for number in range(size)]
        for name in self.names:
            self.add(name)
        self.cursor = 0

    def add(self, name: str, *, after: int = 0) -> ActiveSubscription:
        subscription = admitted(name, "calls", "all")
        assert subscription is not None
        return self.table.add(subscription, after=after, cursor=0, offset=0)

    def grant(self, grants: str) -> None:
        self.cursor += 1
        granted = {name: admitted(name, "calls", grants) for name in self.names}
        self.table.update_grants(viewer(grants), granted, cursor=self.cursor)

    def resume(self, size: int) -> None:
        self.cursor += 1
        resumed = [self.add(name, after=NO_OFFSET_YET) for name in self.names[:size]]
        self.table.resume(resumed, since=0, cursor=self.cursor)


def used(size: int) -> Dashboard:
    """Return a dashboard that has something of everything: former grants, a past, and a replay."""
    dashboard = Dashboard(size)
    dashboard.grant("line 1")
    dashboard.grant("all")
    dashboard.resume(size // 2)
    return dashboard


def grant(dashboard: Dashboard) -> None:
    dashboard.grant("line 1")


def resume(dashboard: Dashboard) -> None:
    dashboard.resume(len(dashboard.names) // 2)


@pytest.mark.parametrize("change", [grant, resume])
def test_a_change_costs_in_proportion_to_the_subscriptions(change: Callable[[Dashboard], None]) -> None:
    few, many = used(FEW), used(MANY)
    assert calls(lambda: change(many)) < 12 * calls(lambda: change(few))


@pytest.mark.parametrize("kind", ["state", "my job"])
def test_an_event_that_few_match_costs_the_same_beside_many(kind: str) -> None:
    def select(dashboard: Dashboard) -> None:
        dashboard.table.selects(event(2, kind))
        dashboard.table.may_select(event(2, kind))

    few, many = used(FEW), used(MANY)
    select(few)  # builds the index
    select(many)
    assert calls(lambda: select(many)) < 2 * calls(lambda: select(few))


def test_an_event_costs_the_same_beside_many_that_were_replaced() -> None:
    def select(dashboard: Dashboard) -> None:
        dashboard.table.selects(event(1, "state"))
        dashboard.table.may_select(event(1, "state"))

    few, many = replaced(FEW), replaced(MANY)
    select(few)  # builds the index
    select(many)
    assert calls(lambda: select(many)) < 2 * calls(lambda: select(few))


def test_what_was_replaced_is_not_sent_any_more_after_the_end_of_its_subscription() -> None:
    table = replaced(FEW).table
    replace(table, "all", times=FEW)
    assert table.selects(event(1, "state"))
    table.end("all")
    assert len(table.replaced) == FEW
    assert not table.selects(event(1, "state"))
    assert table.selects(event(1, "call"))


def replaced(times: int) -> Dashboard:
    """Return a dashboard whose subscription to the calls was replaced so often, before its first event was sent."""
    dashboard = Dashboard(1)
    replace(dashboard.table, "calls", times=times)
    return dashboard


def replace(table: SubscriptionTable, request: str, *, times: int) -> None:
    for _ in range(times + 1):
        subscription = admitted(request, request, "all")
        assert subscription is not None
        table.add(subscription, after=0, cursor=0, offset=1)
    table.by_id[request].after = NO_OFFSET_YET
