"""Orders go from assigned to completed or cancelled in the contract's order, and never two at a time on a line."""

from typing import Any

import pytest

from device_sim.plant.orders import OrderBook, OrderPhase, Planner
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND
from tests.device_sim.sample_plants import SHIPPED, live

LINE = SHIPPED.lines[0]
AFTER = {
    None: {"assign"},
    "assign": {"accept", "cancel"},
    "accept": {"start", "cancel"},
    "start": {"pause", "complete", "cancel"},
    "pause": {"start", "cancel"},
}


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_order_lives_as_the_contract_has_it(seed: int) -> None:
    last: dict[str, str] = {}
    running: dict[str, str] = {}
    for message in live(seed, 60):
        if message.kind != "job":
            continue
        body: Any = message.body
        job, action = body["job_id"], body["action"]
        assert action in AFTER[last.get(job)], f"{job}: {action} after {last.get(job)}"
        last[job] = action
        if action == "start":
            assert running.setdefault(message.device, job) == job
        elif action in ("complete", "cancel") and running.get(message.device) == job:
            del running[message.device]
    assert {"complete", "cancel"} <= set(last.values())


def test_another_product_is_changed_over_to_before_its_order_starts() -> None:
    book = OrderBook(LINE, SeededRandom(3, "orders"), 0)
    good, actions = 0, []
    for second in range(1, 7_200):
        before = book.product
        reports = book.tick(second * SECOND, good)
        good += book.phase is OrderPhase.RUN
        actions += [(kind, body["action"]) for kind, body in reports]
        if book.product != before and before is not None:
            assert actions[-1] == ("changeover", "start")
            assert book.phase is OrderPhase.SETUP
    assert ("changeover", "start") in actions


def test_an_order_completes_at_its_target_and_not_before() -> None:
    book = OrderBook(LINE, SeededRandom(1, "orders"), 0)
    second = 0
    while book.phase is not OrderPhase.RUN:
        second += 1
        book.tick(second * SECOND, 100)
    assert book.running is not None
    target = book.running.target
    assert ("job", "complete") not in _actions(book.tick((second + 1) * SECOND, 100 + target - 1))
    assert ("job", "complete") in _actions(book.tick((second + 2) * SECOND, 100 + target))


def test_an_order_that_is_being_set_up_is_not_cancelled() -> None:
    book = OrderBook(LINE, SeededRandom(3, "orders"), 0)
    second = good = 0
    while book.phase is not OrderPhase.SETUP:
        second += 1
        book.tick(second * SECOND, good)
        good += book.phase is OrderPhase.RUN
    assert book.cancel(second * SECOND, running=True) == []


def test_the_planner_drops_an_order_now_and_then() -> None:
    book = OrderBook(LINE, SeededRandom(1, "orders"), 0)
    planner = Planner((1.0, 2.0), SeededRandom(1, "planner"), 0)
    dropped = []
    for second in range(1, 1_800):
        book.tick(second * SECOND, 0)
        change = planner.tick(second * SECOND, [book])
        dropped += [] if change is None else _actions(change[1])
    assert set(dropped) == {("job", "cancel")}
    assert 1_800 * SECOND // (2 * MINUTE) // 2 <= len(dropped) <= 30


def test_orders_of_another_start_have_other_ids() -> None:
    ids = set()
    for start in (0, 10_000):
        book = OrderBook(LINE, SeededRandom(1, "orders"), start)
        for second in range(60):
            ids |= {body["job_id"] for _, body in book.tick(start + second * SECOND, 0)}
    assert len(ids) == 2


def _actions(reports: list[Any]) -> list[tuple[str, str]]:
    return [(kind, body["action"]) for kind, body in reports]
