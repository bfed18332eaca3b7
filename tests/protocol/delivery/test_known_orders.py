"""Orders of requests and events in which the delivery once broke a promise, each as short as possible."""

from typing import Final

import msgspec
import pytest

from tests.protocol.delivery.limits import limits
from tests.protocol.delivery.moves import run
from tests.protocol.delivery.small_front import SmallFront
from tests.support.memory_socket import texts_of

ORDERS: Final = {
    "a subscription that is replaced before its snapshot begins owes nothing": (
        "commit end of call", "subscribe b", "complete read", "commit call", "deliver all", "subscribe b to calls",
    ),
    "a resume keeps the snapshot that an unrecovered resume promised": (
        "subscribe a without snapshot", "tick", "resume a of another epoch", "complete read", "resume a",
    ),
    "a resume where nothing was missed leads to the cohort again": ("subscribe b", "complete read", "resume b"),
    "an assigned job comes once, although a resume went forward before one went back": (
        "commit my job", "deliver", "subscribe a without snapshot", "tick", "resume a", "complete read", "commit call",
        "deliver", "resume a from the start",
    ),
    "a resume brings the job that was not granted when others were sent": (
        "grant calls", "commit my job", "deliver", "subscribe b to calls", "grant line 2", "resume b from the start",
    ),
    "a resume brings what was not granted to another subscription when it was passed": (
        "subscribe a", "complete read", "grant calls", "commit state", "deliver", "subscribe b without snapshot",
        "grant all", "resume b from the start",
    ),
    "a widened subscription that is not resumed gets nothing of the past": (
        "grant line 1", "subscribe a without snapshot", "commit call on 2", "commit call", "subscribe b to calls",
        "deliver all", "resume a from the start", "grant all",
    ),
    "a snapshot that was promised while a former one was written survives a resume": (
        "commit call", "deliver", "stall", "subscribe b", "read one", "complete read", "grant nothing",
        "grant all", "read one", "read one", "read one", "read one", "resume b from the start", "flow",
    ),
    "what amends the past replaces no state in a cohort": (
        "subscribe b without snapshot", "commit state", "deliver", "commit late state", "deliver", "end window",
    ),
    "what amends the past replaces no state for one who lags, and no state replaces it": (
        "subscribe b without snapshot", "stall", "commit call", "deliver", "commit state", "commit late state",
        "deliver all", "commit late state", "commit state", "deliver all", "flow",
    ),
}  # fmt: skip


WHERE_IT_MAY_BREAK: Final = {
    "a replaced subscription owes nothing that is not granted any more": (
        "subscribe a without snapshot", "stall", "commit call", "deliver", "commit call", "deliver", "subscribe a",
        "grant line 2",
    ),
    "a resume brings what a subscription without snapshot did not get, since its dashboard was ahead": (
        "commit call", "subscribe a", "complete read", "complete read", "subscribe b without snapshot", "deliver",
        "resume a from the start",
    ),
    "a resume that is not recovered ends what a replaced subscription owes": (
        "subscribe a without snapshot", "stall", "commit call", "deliver", "commit call", "deliver", "subscribe a",
        "resume a of another epoch", "flow",
    ),
    "a snapshot that is written ends where its subscription is replaced": (
        "commit call", "commit state", "deliver all", "subscribe a", "stall", "complete read", "read one",
        "subscribe a to states",
    ),
    "a resume repeats what was sent for an ended subscription only": (
        "subscribe a without snapshot", "commit call", "deliver", "grant calls", "end a",
        "subscribe b without snapshot", "resume b from the start",
    ),
    "a resume repeats what was sent for a replaced subscription only": (
        "subscribe a without snapshot", "commit call", "deliver", "grant calls", "subscribe a without snapshot",
        "subscribe b without snapshot", "resume b from the start",
    ),
    "a resume repeats nothing that was sent for another under other grants": (
        "subscribe a without snapshot", "commit call", "deliver", "grant calls", "subscribe b without snapshot",
        "resume b from the start",
    ),
    "a dashboard that ends while it is ahead is forgotten": (
        "commit call", "subscribe a", "complete read", "complete read", "take turn", "break", "tick",
    ),
}  # fmt: skip
"""Orders that have not failed: each shows that a line of the delivery is needed."""


@pytest.mark.parametrize("order", ORDERS)
def test_the_delivery_keeps_its_promises_when(order: str) -> None:
    run(SmallFront(), ORDERS[order])


@pytest.mark.parametrize("order", WHERE_IT_MAY_BREAK)
def test_it_keeps_them_too_when(order: str) -> None:
    with limits():
        run(SmallFront(page_events=256), WHERE_IT_MAY_BREAK[order])


def test_a_position_follows_events_within_a_second_although_the_dashboard_has_left_its_cohort() -> None:
    front = SmallFront()
    board = front.dashboards[0]
    board.subscribe("b", "all", snapshot=False)
    board.tick()
    front.commit("call")
    front.deliver(1)
    board.set_batching(batch=True, batch_ms=10)
    front.now += 1_000
    assert board.delivery.is_position_due(front.now)


def test_a_resume_does_not_repeat_what_a_replaced_subscription_still_owed() -> None:
    run(
        SmallFront(short_lived=(False, False), cold=True),
        (
            "commit late downtime", "subscribe a without snapshot", "commit my job", "deliver", "deliver",
            "resume a from the start", "subscribe a",
        ),
    )  # fmt: skip


def test_new_grants_apply_to_a_page_that_was_read_before() -> None:
    with limits({"WRITE_EVENTS": 1}):
        run(
            SmallFront(page_events=256),
            (
                "grant line 1", "subscribe b without snapshot", "stall", "commit call", "deliver", "commit call",
                "commit call", "commit call on 2", "deliver all", "read one", "grant all",
            ),
        )  # fmt: skip


def test_a_new_subscription_gets_what_a_page_holds_that_was_read_before() -> None:
    run(
        SmallFront(page_events=256, cold=True),
        (
            "subscribe a without snapshot", "stall", "commit call", "deliver", "commit call", "deliver",
            "commit call on 2", "read one", "complete read", "subscribe b without snapshot", "deliver",
        ),
    )  # fmt: skip


def test_new_options_are_in_force_when_the_answer_to_them_fills_the_socket() -> None:
    run(
        SmallFront(),
        ("subscribe b without snapshot", "stall", "batch at once", "commit call", "deliver"),
    )


def test_a_snapshot_that_follows_a_resume_comes_before_that_of_a_later_request() -> None:
    board = SmallFront().dashboards[0]
    board.subscribe("a", "line 1", snapshot=False)
    board.stall()
    board.resume(("a",), since=0, epoch="former")
    board.subscribe("b", "all", snapshot=True)
    begun: list[str] = []
    while board.socket.unread or board.awaited is not None:
        if board.awaited is not None:
            board.complete_read()
            continue
        frames = map(msgspec.json.decode, texts_of(board.socket.unread[0]))
        begun += (frame["id"] for frame in frames if frame["type"] == "snapshot_begin")
        board.read_one()
    assert begun == ["a", "b"]
