"""The table of a dashboard's subscriptions: what each selects, beside replays, replacements and new grants."""

from collections import Counter

from msgspec.structs import replace

from bridge.domain.events import EventType
from bridge.protocol.event_selectors import ActiveSubscription, AssignmentSubscription
from bridge.protocol.session import admit_body
from bridge.protocol.subscription_table import NO_OFFSET_YET, SubscriptionTable
from tests.protocol.delivery.samples import admitted, event, viewer
from tests.protocol.delivery.small_front import short_lived_viewer
from tests.support.committed_events import event as committed
from tests.support.viewers import viewer as role_viewer


class Dashboard:
    """A table, and the cursor up to which everything was sent."""

    def __init__(self) -> None:
        self.table = SubscriptionTable(Counter())
        self.table.assignments = AssignmentSubscription(viewer("all"), 0)
        self.cursor = 0

    def add(self, name: str, request: str, *, after: int, offset: int = 0) -> ActiveSubscription:
        subscription = admitted(name, request, "all")
        assert subscription is not None
        return self.table.add(subscription, after=after, cursor=self.cursor, offset=offset)

    def resume(self, *subscriptions: ActiveSubscription, since: int) -> None:
        self.table.resume(subscriptions, since=since, cursor=self.cursor)
        self.cursor = min(self.cursor, since)
        self.table.forget(self.cursor)

    def grant(self, grants: str, **requests: str) -> None:
        updated = {name: admitted(name, request, grants) for name, request in requests.items()}
        self.table.update_grants(viewer(grants), updated, cursor=self.cursor)

    def selected(self, kind: str, *offsets: int) -> list[int]:
        return [offset for offset in offsets if self.table.selects(event(offset, kind))]


def test_what_a_replaced_subscription_has_still_to_send_is_for_the_roles_that_are_left() -> None:
    body = {"id": "a", "subscription_type": "escalation", "target_id": "me"}
    former = role_viewer(roles=["maintenance", "quality"], lines=["L1"])
    latter = role_viewer(roles=["quality"], lines=["L1"])
    table = SubscriptionTable(Counter())
    table.assignments = AssignmentSubscription(former, 0)
    table.add(admit_body(body, former), after=0, cursor=0, offset=0)
    table.add(admit_body(body, former), after=NO_OFFSET_YET, cursor=0, offset=9)  # in place of the first
    calls = [
        replace(committed(offset, EventType.ESCALATION_UPDATE), audience=(role,))
        for offset, role in enumerate(("maintenance", "quality"), start=1)
    ]
    assert [table.selects(call) for call in calls] == [True, True]
    table.update_grants(latter, {"a": admit_body(body, latter)}, cursor=0)
    assert [table.selects(call) for call in calls] == [False, True]


def test_a_resume_repeats_nothing_that_another_subscription_got() -> None:
    dashboard = Dashboard()
    dashboard.add("b", "calls", after=2)
    dashboard.cursor = 4
    resumed = dashboard.add("a", "all", after=NO_OFFSET_YET)
    dashboard.resume(resumed, since=0)
    assert dashboard.selected("call", 1, 2, 3, 4, 5) == [1, 2, 5]
    assert dashboard.selected("state", 1, 2, 3, 4, 5) == [1, 2, 3, 4, 5]


def test_a_resume_within_a_replay_goes_on_where_the_first_one_was() -> None:
    dashboard = Dashboard()
    dashboard.add("b", "calls", after=0)
    dashboard.cursor = 4
    first = dashboard.add("a", "all", after=NO_OFFSET_YET)
    dashboard.resume(first, since=0)
    dashboard.cursor = 2
    dashboard.table.forget(2)
    second = dashboard.add("c", "line 1", after=NO_OFFSET_YET)
    dashboard.resume(second, since=1)
    assert dashboard.selected("state", 1, 2, 3, 4, 5) == [3, 4, 5]  # 2 was sent in the replay of a
    assert dashboard.selected("call", 1, 2, 3, 4, 5) == [5]


def test_it_is_settled_again_when_the_replay_has_reached_what_was_sent() -> None:
    dashboard = Dashboard()
    dashboard.add("b", "calls", after=0)
    dashboard.cursor = 4
    dashboard.resume(dashboard.add("a", "all", after=NO_OFFSET_YET), since=1)
    assert not dashboard.table.is_settled(1)
    dashboard.table.forget(4)
    assert dashboard.table.is_settled(4)
    assert dashboard.selected("call", 5) == [5]


def test_any_number_of_resumes_is_remembered_as_one() -> None:
    dashboard = Dashboard()
    dashboard.add("b", "calls", after=0)
    for number in range(1, 100):
        dashboard.cursor = number
        dashboard.table.forget(number)
        dashboard.resume(dashboard.add("a", "all", after=NO_OFFSET_YET), since=0)
    assert sum(map(len, dashboard.table.past.values())) <= 2  # of b, and of the assignments


def test_nothing_is_repeated_however_many_subscriptions_there_are() -> None:
    dashboard = Dashboard()
    dashboard.add("calls", "calls", after=0)
    for number in range(99):
        dashboard.add(f"states {number}", "states", after=0)
    dashboard.cursor = 4
    dashboard.resume(dashboard.add("all", "all", after=NO_OFFSET_YET), since=0)
    assert dashboard.selected("call", 1, 2, 3, 4, 5) == [5]
    assert dashboard.selected("state", 1, 2, 3, 4, 5) == [5]


def test_nothing_is_repeated_after_a_change_of_the_grants_of_many_subscriptions() -> None:
    dashboard = Dashboard()
    requests = {f"calls {number}": "calls" for number in range(99)}
    for name in requests:
        dashboard.add(name, "calls", after=0)
    dashboard.cursor = 2
    dashboard.grant("line 1", **requests)
    dashboard.cursor = 4
    for _ in range(2):
        dashboard.resume(dashboard.add("all", "all", after=NO_OFFSET_YET), since=0)
        assert dashboard.selected("call", 1, 2, 3, 4, 5) == [5]
        assert dashboard.selected("my job", 1, 2, 3, 4, 5) == [3, 4, 5]
        dashboard.cursor = 4


def test_what_was_sent_under_former_grants_is_bounded() -> None:
    dashboard = Dashboard()
    requests = {f"calls {number}": "calls" for number in range(99)}
    for name in requests:
        dashboard.add(name, "calls", after=0)
    for number in range(1, 10):
        dashboard.cursor = number
        dashboard.grant(("line 1", "all")[number % 2], **requests)
    dashboard.resume(dashboard.add("all", "all", after=NO_OFFSET_YET), since=0)
    assert sum(map(len, dashboard.table.past.values())) <= 2 * 101


def test_tokens_with_the_same_grants_are_no_change() -> None:
    dashboard = Dashboard()
    for number in range(1, 100):
        dashboard.cursor = number
        renewed = short_lived_viewer("all") if number % 2 else viewer("all")
        dashboard.table.update_grants(renewed, {}, cursor=number)
    assert dashboard.table.past == {}


def test_an_event_that_was_not_granted_when_it_was_passed_was_not_sent() -> None:
    dashboard = Dashboard()
    dashboard.add("b", "calls", after=0)
    dashboard.grant("line 2", b="calls")
    dashboard.cursor = 2
    dashboard.grant("all", b="calls")
    dashboard.resume(dashboard.add("a", "all", after=NO_OFFSET_YET), since=0)
    assert dashboard.selected("call", 1, 2) == [1, 2]
    assert dashboard.selected("call on 2", 1, 2) == []


def test_a_replaced_subscription_owes_what_was_not_sent_and_repeats_nothing() -> None:
    dashboard = Dashboard()
    dashboard.add("a", "line 1", after=0)
    dashboard.cursor = 1
    dashboard.add("a", "states", after=NO_OFFSET_YET, offset=3)
    assert dashboard.selected("call", 1, 2, 3, 4) == [1, 2, 3]  # the cursor is beyond 1
    dashboard.cursor = 2
    dashboard.resume(dashboard.add("b", "states", after=NO_OFFSET_YET), since=0)
    assert dashboard.selected("call", 1, 2, 3, 4) == [3]


def test_the_end_of_a_subscription_ends_what_it_and_the_replaced_one_owe() -> None:
    dashboard = Dashboard()
    dashboard.add("a", "line 1", after=0)
    dashboard.add("a", "line 1", after=NO_OFFSET_YET, offset=3)
    dashboard.table.end("a")
    assert dashboard.selected("call", 1, 2, 3, 4) == []
