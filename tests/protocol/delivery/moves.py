"""What may happen next in the small world: moves by name, so that a run can be written down and repeated."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.protocol.delivery.dashboard import SmallDashboard
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.samples import TOPICS, admitted
from tests.protocol.delivery.world import EPOCH, World

Move = Callable[[World, SmallDashboard], None]

MAX_STEPS: Final = 1_000  # of what is left to do in the end


def _subscription(name: str, request: str, *, snapshot: bool) -> Move:
    def move(_: World, dashboard: SmallDashboard) -> None:
        if admitted(name, request, dashboard.grants) is not None:
            dashboard.subscribe(name, request, snapshot=snapshot)

    return move


def _end(name: str) -> Move:
    def move(_: World, dashboard: SmallDashboard) -> None:
        if name in dashboard.requests:
            dashboard.unsubscribe(name)

    return move


def _resumption(*names: str, back: bool = False, epoch: str = EPOCH) -> Move:
    """`back`: from the beginning of the journal instead of the last position."""

    def move(_: World, dashboard: SmallDashboard) -> None:
        known = tuple(
            name
            for name in names
            if name in dashboard.requests and admitted(name, dashboard.requests[name], dashboard.grants) is not None
        )
        if known and (back or dashboard.position is not None):
            dashboard.resume(known, since=0 if back else dashboard.position or 0, epoch=epoch)

    return move


def _new_grants(grants: str) -> Move:
    def move(_: World, dashboard: SmallDashboard) -> None:
        dashboard.regrant(grants)

    return move


def _batching(*, batch: bool, batch_ms: int) -> Move:
    def move(_: World, dashboard: SmallDashboard) -> None:
        dashboard.set_batching(batch=batch, batch_ms=batch_ms)

    return move


def _commit(kind: str) -> Move:
    def move(world: World, _: SmallDashboard) -> None:
        world.commit(kind)

    return move


CLIENT: Final[Mapping[str, Move]] = {
    "subscribe a": _subscription("a", "line 1", snapshot=True),
    "subscribe a without snapshot": _subscription("a", "line 1", snapshot=False),
    "subscribe a to states": _subscription("a", "states", snapshot=True),
    "subscribe b": _subscription("b", "all", snapshot=True),
    "subscribe b without snapshot": _subscription("b", "all", snapshot=False),
    "subscribe b to calls": _subscription("b", "calls", snapshot=False),
    "end a": _end("a"),
    "end b": _end("b"),
    "resume a": _resumption("a"),
    "resume b": _resumption("b"),
    "resume both": _resumption("a", "b"),
    "resume a from the start": _resumption("a", back=True),
    "resume b from the start": _resumption("b", back=True),
    "resume a of another epoch": _resumption("a", back=True, epoch="former"),
    "grant all": _new_grants("all"),
    "grant line 1": _new_grants("line 1"),
    "grant line 2": _new_grants("line 2"),
    "grant calls": _new_grants("calls"),
    "grant nothing": _new_grants("nothing"),
    "batch": _batching(batch=True, batch_ms=10),
    "batch at once": _batching(batch=True, batch_ms=0),
    "no batch": _batching(batch=False, batch_ms=0),
    "stall": lambda _, dashboard: dashboard.stall(),
    "flow": lambda _, dashboard: dashboard.flow(),
    "tick": lambda _, dashboard: dashboard.tick(),
    "reconnect": lambda _, dashboard: dashboard.reconnect(),
}

PLANT: Final[Mapping[str, Move]] = {f"commit {kind}": _commit(kind) for kind in TOPICS}

FRONT: Final[Mapping[str, Move]] = {
    "deliver": lambda world, _: world.deliver(1),
    "deliver all": lambda world, _: world.deliver(world.undelivered),
    "end window": lambda world, _: world.end_window(),
    "fetch": lambda _, dashboard: dashboard.fetch(),
    "complete read": lambda _, dashboard: dashboard.complete_read(),
    "take turn": lambda _, dashboard: dashboard.take_turn(),
    "read one": lambda _, dashboard: dashboard.read_one(),
}
"""Return all that is left to do."""

MOVES: Final[Mapping[str, Move]] = {**CLIENT, **PLANT, **FRONT}


def left_to_do(world: World, dashboard: SmallDashboard) -> Iterator[str]:
    """Yield the moves of `FRONT` that are possible now."""
    if world.undelivered:
        yield "deliver"
        if world.undelivered > 1:
            yield "deliver all"
    if world.windows:
        yield "end window"
    if dashboard.awaited is not None:
        if not dashboard.fetched:
            yield "fetch"
        yield "complete read"
    if dashboard.turn_ended:
        yield "take turn"
    if dashboard.socket.unread:
        yield "read one"


def make(name: str, world: World, dashboards: list[SmallDashboard], at: int = 0) -> None:
    """Make a move of one dashboard, and check what all of them were sent."""
    MOVES[name](world, dashboards[at])
    for dashboard in dashboards:
        dashboard.check()


def finish(world: World, dashboards: list[SmallDashboard]) -> None:
    """Do all that is left to do, and check that everything was sent."""
    for _ in range(MAX_STEPS):
        todo = [
            (name, at)
            for at, dashboard in enumerate(dashboards)
            for name in left_to_do(world, dashboard)
            if name != "fetch"
        ]
        if not todo:
            break
        make(*_last(todo, world, dashboards))
    else:
        raise PromiseBroken("it does not come to an end")
    for dashboard in dashboards:
        if dashboard.is_stalled:
            dashboard.flow()
    if any(not dashboard.is_idle for dashboard in dashboards) or world.windows:
        finish(world, dashboards)
        return
    for dashboard in dashboards:
        dashboard.finish()


def _last(
    todo: list[tuple[str, int]], world: World, dashboards: list[SmallDashboard]
) -> tuple[str, World, list[SmallDashboard], int]:
    name, at = todo[-1]
    return name, world, dashboards, at
