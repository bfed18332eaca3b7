"""Production orders of a line: assigned, accepted, started, sometimes paused, then completed or cancelled.

A different product means a changeover. All actions are entered at the line's terminal, so one device reports them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from device_sim.plant.machine import Demand
from device_sim.plant_file import LineSpec
from device_sim.reports import ReportContent
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis

PLANNED_EFFICIENCY: Final = 0.6  # share of the ideal rate that the planner counts on
CANCEL_REASONS: Final = ("customer moved the order", "material not released", "replaced by a rush order")


class OrderPhase(StrEnum):
    GAP = "gap"  # between two orders
    SETUP = "setup"
    RUN = "run"
    BREAK = "break"


DEMAND: Final = {
    OrderPhase.GAP: Demand.NOTHING,
    OrderPhase.SETUP: Demand.SETUP,
    OrderPhase.RUN: Demand.RUN,
    OrderPhase.BREAK: Demand.BREAK,
}


@dataclass(slots=True)
class SimulatedOrder:
    """An order: `target` pieces of a product, assigned to a person who accepts it at `accept_at`."""

    id: str
    product: str
    target: int
    assigned_to: str
    accept_at: Millis
    accepted: bool = False


class OrderBook:
    """The running and the waiting order of a line, and the reports about them."""

    def __init__(self, spec: LineSpec, rng: SeededRandom, now: Millis) -> None:
        self.phase = OrderPhase.GAP
        self.running: SimulatedOrder | None = None
        self.waiting: SimulatedOrder | None = None
        self.product: str | None = None
        self.finished = 0
        self._spec = spec
        self._rng = rng
        self._prefix = f"{spec.id}-{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now):%y%m%d-%H%M%S}"
        self._number = 0
        self._assign_at = now + rng.duration(2, 20)
        self._until = now
        self._break_at: Millis | None = None
        self._good_at_start = 0

    def tick(self, now: Millis, good: int) -> list[ReportContent]:
        """Return the reports of this second; `good` counts the good pieces that have left the line so far."""
        return [*self._plan(now, good), *self._advance(now, good)]

    def cancel(self, now: Millis, *, running: bool) -> list[ReportContent]:
        """Cancel the running or the waiting order; return nothing if there is none, or during its setup."""
        order = self.running if running else self.waiting
        if order is None or (running and self.phase is OrderPhase.SETUP):
            return []
        if running:
            self._finish(now)
        else:
            self.waiting = None
            self._assign_at = now + self._rng.duration(20, 90)
        return [("job", {"action": "cancel", "job_id": order.id, "reason": self._rng.choice(CANCEL_REASONS)})]

    def _plan(self, now: Millis, good: int) -> list[ReportContent]:
        if self.waiting is None:
            if now < self._assign_at or not self._wants_next(good):
                return []
            self.waiting = self._draw(now)
            return [("job", self._assignment(self.waiting))]
        if not self.waiting.accepted and now >= self.waiting.accept_at:
            self.waiting.accepted = True
            return [("job", self._action_body("accept", self.waiting))]
        return []

    def _wants_next(self, good: int) -> bool:
        return self.running is None or good - self._good_at_start >= self.running.target // 2

    def _advance(self, now: Millis, good: int) -> list[ReportContent]:
        match self.phase:
            case OrderPhase.GAP if self.waiting is not None and self.waiting.accepted and now >= self._until:
                return self._begin(now, good, self.waiting)
            case OrderPhase.SETUP if self.running is not None and now >= self._until:
                return self._start(now, good, self.running)
            case OrderPhase.RUN if self.running is not None and good - self._good_at_start >= self.running.target:
                order = self.running
                self._finish(now)
                return [("job", self._action_body("complete", order))]
            case OrderPhase.RUN if self.running is not None and self._break_at is not None and now >= self._break_at:
                low, high = self._spec.orders.break_minutes
                self.phase, self._break_at = OrderPhase.BREAK, None
                self._until = now + self._rng.duration(low * 60, high * 60)
                return [("job", self._action_body("pause", self.running))]
            case OrderPhase.BREAK if self.running is not None and now >= self._until:
                self.phase = OrderPhase.RUN
                return [("job", self._action_body("start", self.running))]
            case _:
                return []

    def _begin(self, now: Millis, good: int, order: SimulatedOrder) -> list[ReportContent]:
        self.running, self.waiting = order, None
        before, self.product = self.product, order.product
        if before in (None, order.product):
            return self._start(now, good, order)
        self.phase = OrderPhase.SETUP
        self._until = now + self._rng.duration(*self._spec.orders.changeover_seconds)
        if self._spec.orders.changeover_signal == "mode":  # the machine's mode reports it
            return []
        return [("changeover", {"action": "start", "from_product": before, "to_product": order.product})]

    def _start(self, now: Millis, good: int, order: SimulatedOrder) -> list[ReportContent]:
        self.phase = OrderPhase.RUN
        self._good_at_start = good
        self._break_at = None
        if self._rng.happens(self._spec.orders.break_ratio):
            self._break_at = now + round(self._rng.uniform(1, self._spec.orders.minutes[0]) * MINUTE)
        return [("job", self._action_body("start", order))]

    def _finish(self, now: Millis) -> None:
        self.running, self.phase = None, OrderPhase.GAP
        self.finished += 1
        self._until = now + self._rng.duration(*self._spec.orders.gap_seconds)

    def _draw(self, now: Millis) -> SimulatedOrder:
        self._number += 1
        others = [product for product in self._spec.products if product != self.product]
        stay = self.product is not None and self._rng.happens(self._spec.orders.same_product_ratio)
        product = self.product if stay or not others else self._rng.choice(others)
        cycle = max(machine.cycle_seconds for machine in self._spec.machines)
        seconds = self._rng.duration(*self._spec.orders.minutes) / SECOND * 60
        return SimulatedOrder(
            id=f"{self._prefix}-{self._number:03d}",
            product=product or self._spec.products[0],
            target=max(1, round(seconds / cycle * PLANNED_EFFICIENCY)),
            assigned_to=self._rng.choice(self._spec.people.names),
            accept_at=now + self._rng.duration(5, 30),
        )

    def _assignment(self, order: SimulatedOrder) -> dict[str, object]:
        return {
            "action": "assign",
            "job_id": order.id,
            "product": order.product,
            "target_quantity": order.target,
            "assigned_to": order.assigned_to,
            "operator": "planner",
        }

    def _action_body(self, action: str, order: SimulatedOrder) -> dict[str, object]:
        return {"action": action, "job_id": order.id, "operator": order.assigned_to}


class Planner:
    """Cancels an order of some line from time to time."""

    def __init__(self, replan_minutes: tuple[float, float], rng: SeededRandom, now: Millis) -> None:
        self._minutes = replan_minutes
        self._rng = rng
        self._at = now + self._next()

    def tick(self, now: Millis, books: list[OrderBook]) -> tuple[OrderBook, list[ReportContent]] | None:
        """Cancel an order when it is time; return its order book and the report, or None."""
        if now < self._at:
            return None
        self._at = now + self._next()
        first = self._rng.choice(range(len(books)))
        running = self._rng.happens(0.3)
        for book in (*books[first:], *books[:first]):
            reports = book.cancel(now, running=running) or book.cancel(now, running=not running)
            if reports:
                return book, reports
        return None

    def _next(self) -> Millis:
        low, high = self._minutes
        return self._rng.duration(low * 60, high * 60)
