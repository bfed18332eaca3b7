"""Orders of requests and events in which the delivery once broke a promise, each as short as possible."""

from typing import Final

import pytest

from tests.protocol.delivery.dashboard import SmallDashboard
from tests.protocol.delivery.moves import finish, make
from tests.protocol.delivery.world import World
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
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_the_delivery_keeps_its_promises_when(order: str) -> None:
    world = World()
    dashboards = [SmallDashboard(world, "all")]
    for name in ORDERS[order]:
        make(name, world, dashboards)
    finish(world, dashboards)


def test_a_resume_does_not_repeat_what_a_replaced_subscription_still_owed() -> None:
    world = World(page_events=3, cold=True)
    dashboards = [SmallDashboard(world, "all"), SmallDashboard(world, "all")]
    for name in (
        "commit late downtime", "subscribe a without snapshot", "commit my job", "deliver", "deliver",
        "resume a from the start", "subscribe a",
    ):  # fmt: skip
        make(name, world, dashboards)
    finish(world, dashboards)


def test_new_options_are_in_force_when_the_answer_to_them_fills_the_socket() -> None:
    world = World()
    board = SmallDashboard(world, "all")
    board.subscribe("b", "all", snapshot=False)
    board.stall()
    board.set_batching(batch=True, batch_ms=0)
    world.commit("call")
    world.deliver(1)
    board.read_one()
    assert texts_of(board.socket.unread[-1]) == ['[{"type":"event","offset":1}]']
