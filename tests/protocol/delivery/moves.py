"""What may happen next in the small world: moves by name, so that a run can be written down and repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.samples import TOPICS, admitted
from tests.protocol.delivery.small_front import EndingDashboard, SmallFront
from tests.protocol.delivery.world import EPOCH, EXPIRY

MAX_STEPS: Final = 1_000  # of what is left to do in the end


class Move(NamedTuple):
    """`make` it only where it `is_possible`."""

    is_possible: Callable[[SmallFront, EndingDashboard], bool]
    make: Callable[[SmallFront, EndingDashboard], None]


def _always(_: SmallFront, _dashboard: EndingDashboard) -> bool:
    return True


def _of_open(make: Callable[[EndingDashboard], None]) -> Move:
    return Move(lambda _, dashboard: not dashboard.is_ended, lambda _, dashboard: make(dashboard))


def _subscription(name: str, request: str, *, snapshot: bool) -> Move:
    return Move(
        lambda _, dashboard: not dashboard.is_ended and admitted(name, request, dashboard.grants) is not None,
        lambda _, dashboard: dashboard.subscribe(name, request, snapshot=snapshot),
    )


def _end(name: str) -> Move:
    return Move(
        lambda _, dashboard: not dashboard.is_ended and name in dashboard.requests,
        lambda _, dashboard: dashboard.unsubscribe(name),
    )


def _resumption(*names: str, back: bool = False, epoch: str = EPOCH) -> Move:
    """`back`: from the beginning of the journal instead of the last position."""

    def known(dashboard: EndingDashboard) -> tuple[str, ...]:
        requests, grants = dashboard.requests, dashboard.grants
        return tuple(name for name in names if name in requests and admitted(name, requests[name], grants) is not None)

    def is_possible(_: SmallFront, dashboard: EndingDashboard) -> bool:
        return not dashboard.is_ended and (back or dashboard.position is not None) and bool(known(dashboard))

    def make(_: SmallFront, dashboard: EndingDashboard) -> None:
        dashboard.resume(known(dashboard), since=0 if back else dashboard.position or 0, epoch=epoch)

    return Move(is_possible, make)


def _new_grants(grants: str, *, short_lived: bool = False) -> Move:
    return _of_open(lambda dashboard: dashboard.renew(grants, short_lived=short_lived))


def _changed_policy(grants: str) -> Move:
    return _of_open(lambda dashboard: dashboard.regrant(grants, by_policy=True))


def _batching(*, batch: bool, batch_ms: int) -> Move:
    return _of_open(lambda dashboard: dashboard.set_batching(batch=batch, batch_ms=batch_ms))


def _commit(kind: str) -> Move:
    return Move(_always, lambda world, _: world.commit(kind))


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
    "grant all for a while": _new_grants("all", short_lived=True),
    "policy all": _changed_policy("all"),
    "policy line 2": _changed_policy("line 2"),
    "policy nothing": _changed_policy("nothing"),
    "batch": _batching(batch=True, batch_ms=10),
    "batch at once": _batching(batch=True, batch_ms=0),
    "no batch": _batching(batch=False, batch_ms=0),
    "stall": Move(
        lambda _, dashboard: not dashboard.is_ended and not dashboard.is_stalled, lambda _, dashboard: dashboard.stall()
    ),
    "flow": Move(lambda _, dashboard: dashboard.is_stalled, lambda _, dashboard: dashboard.flow()),
    "tick": _of_open(lambda dashboard: dashboard.tick()),
    "reconnect": Move(_always, lambda _, dashboard: dashboard.reconnect()),
    "break": _of_open(lambda dashboard: dashboard.break_socket()),
    "expire": Move(lambda world, _: world.wall_now < EXPIRY, lambda world, _: world.expire()),
}

PLANT: Final[Mapping[str, Move]] = {f"commit {kind}": _commit(kind) for kind in TOPICS}

_OF_FRONT: Final[Mapping[str, Move]] = {
    "deliver": Move(lambda world, _: world.undelivered > 0, lambda world, _: world.deliver(1)),
    "deliver all": Move(lambda world, _: world.undelivered > 1, lambda world, _: world.deliver(world.undelivered)),
    "end window": Move(lambda world, _: bool(world.windows), lambda world, _: world.end_window()),
}
_OF_DASHBOARD: Final[Mapping[str, Move]] = {
    "fetch": Move(
        lambda _, dashboard: dashboard.awaited is not None and not dashboard.fetched,
        lambda _, dashboard: dashboard.fetch(),
    ),
    "complete read": Move(
        lambda _, dashboard: dashboard.awaited is not None, lambda _, dashboard: dashboard.complete_read()
    ),
    "take turn": Move(lambda _, dashboard: dashboard.turn_ended, lambda _, dashboard: dashboard.take_turn()),
    "read one": Move(lambda _, dashboard: bool(dashboard.socket.unread), lambda _, dashboard: dashboard.read_one()),
}

MOVES: Final[Mapping[str, Move]] = {**CLIENT, **PLANT, **_OF_FRONT, **_OF_DASHBOARD}


class Choice(NamedTuple):
    """A move, and the dashboard that makes it. Its text, such as `1 stall`, names it in a run."""

    name: str
    at: int = 0

    @classmethod
    def parse(cls, text: str) -> "Choice":
        return cls(text[2:], int(text[0])) if text[0].isdigit() else cls(text)

    def __str__(self) -> str:
        return f"{self.at} {self.name}"

    @property
    def is_commit(self) -> bool:
        return self.name in PLANT

    def is_possible(self, world: SmallFront) -> bool:
        return MOVES[self.name].is_possible(world, world.dashboards[self.at])

    def make(self, world: SmallFront) -> None:
        """Make the move, and check what all dashboards were sent."""
        MOVES[self.name].make(world, world.dashboards[self.at])
        world.check()


def left_to_do(world: SmallFront) -> Iterator[Choice]:
    """Yield what is possible now and needs no client and no plant."""
    for name, move in _OF_FRONT.items():
        if move.is_possible(world, world.dashboards[0]):
            yield Choice(name)
    for at, dashboard in enumerate(world.dashboards):
        for name, move in _OF_DASHBOARD.items():
            if move.is_possible(world, dashboard):
                yield Choice(name, at)


def finish(world: SmallFront) -> None:
    """Do all that is left to do, and check that everything was sent."""
    for _ in range(MAX_STEPS):
        todo = [choice for choice in left_to_do(world) if choice.name != "fetch"]
        stalled = [dashboard for dashboard in world.dashboards if dashboard.is_stalled]
        if todo:
            todo[-1].make(world)
        elif stalled:
            stalled[0].flow()
            world.check()
        else:
            break
    else:
        raise PromiseBroken("it does not come to an end")
    for dashboard in world.dashboards:
        dashboard.finish()


def run(world: SmallFront, moves: Sequence[str]) -> None:
    """Make these moves, all but those that are not possible, and finish."""
    for choice in map(Choice.parse, moves):
        if choice.is_possible(world):
            choice.make(world)
    finish(world)


def shorten(moves: Sequence[str], attempt: Callable[[Sequence[str]], None]) -> list[str]:
    """Return as few of these moves as still have `attempt` fail; all of them if it does not fail."""
    kept = list(moves)
    for index in reversed(range(len(kept))):
        fewer = kept[:index] + kept[index + 1 :]
        try:
            attempt(fewer)
        except Exception:  # noqa: BLE001 - whatever it is: it is looked into with the shorter moves
            kept = fewer
    return kept
