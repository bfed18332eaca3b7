"""Turns of the loop: bounded, fair among users and among strangers, charged; with a clock that only work moves."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bridge.http.peers import Peer, PeerKind, Peers, WorkAccount
from bridge.http.turns import CLIENTS_PART, LONG_TURN_MS, Turns, Work
from bridge.settings.web import WebSettings
from tests.support.brokers import until
from tests.support.stopped_clock import StoppedClock

PIECE_MS = 0.25
TURN_MS = 2.0  # four pieces of each kind of peers


@dataclass
class World:
    """Peers and turns on one clock, and the names of the pieces that were done, in order."""

    web: WebSettings = field(default_factory=WebSettings)
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = StoppedClock()
        self.peers = Peers(self.web, self.clock)
        self.faults: list[tuple[str, str]] = []
        self.turns = Turns(turn_ms=TURN_MS, on_fault=self.take_fault, clock=self.clock)

    def take_fault(self, error: Exception, peer: Peer) -> None:
        self.faults.append((type(error).__name__, peer.name))

    def user(self, name: str) -> WorkAccount:
        account = WorkAccount(self.peers, "10.0.0.1")
        account.authenticate(name)
        return account

    def pieces(self, name: str, count: int, *, ms: float = PIECE_MS) -> Work:
        """Return work of so many pieces."""
        left = count

        def work() -> bool:
            nonlocal left
            self.clock.now += ms
            self.done.append(name)
            left -= 1
            return left > 0

        return work

    async def turn(self) -> list[str]:
        """Let one turn pass, and return what was done in it."""
        before = len(self.done)
        await asyncio.sleep(0)
        return self.done[before:]


async def test_work_is_done_at_once_as_far_as_a_turn_has_time_and_the_rest_in_later_turns() -> None:
    world = World()
    world.turns.run(world.user("eva"), world.pieces("eva", 10))
    assert world.done == ["eva"] * 4
    assert await world.turn() == ["eva"] * 4
    assert await world.turn() == ["eva"] * 2
    assert await world.turn() == []
    assert world.turns.long_turns == 0


async def test_a_turn_is_exceeded_by_at_most_one_piece() -> None:
    world = World()
    world.turns.run(world.user("eva"), world.pieces("eva", 4, ms=0.9))
    assert world.done == ["eva"] * 2
    world.turns.run(world.user("otto"), world.pieces("otto", 1))
    assert world.done == ["eva"] * 2, "the turn is over"


async def test_all_other_work_of_the_loop_goes_first() -> None:
    world = World()
    others = 0.0

    def work_elsewhere() -> None:
        nonlocal others
        world.clock.now += 1.0
        others += 1.0
        asyncio.get_running_loop().call_soon(work_elsewhere)

    work_elsewhere()
    world.turns.run(world.user("eva"), world.pieces("eva", 2_000))
    world.turns.run(WorkAccount(world.peers, "10.0.0.1"), world.pieces("stranger", 2_000))
    for _ in range(1_000):
        await asyncio.sleep(0)
    for name in ("eva", "stranger"):
        assert world.done.count(name) * PIECE_MS == pytest.approx(CLIENTS_PART / len(PeerKind) * others, rel=0.1)


async def test_users_take_turns_however_many_sockets_each_has() -> None:
    world = World()
    world.turns.run(world.user("busy"), world.pieces("busy", 4))
    for _ in range(50):
        world.turns.run(world.user("busy"), world.pieces("busy", 2))
    world.turns.run(world.user("other"), world.pieces("other", 10))
    assert await world.turn() == ["busy", "other"] * 2
    assert await world.turn() == ["busy", "other"] * 2


async def test_the_sockets_of_one_user_take_turns_too() -> None:
    world = World()
    for name in ("first", "second"):
        world.turns.run(world.user("eva"), world.pieces(name, 6))
    assert world.done == ["first"] * 4
    assert await world.turn() == ["first", "second", "first", "second"]


async def test_strangers_have_a_half_of_their_own() -> None:
    world = World()
    strangers = [WorkAccount(world.peers, f"10.0.0.{number}") for number in range(40)]
    for number, account in enumerate(strangers):
        world.turns.run(account, world.pieces(f"stranger {number}", 5))
    assert len(world.done) == 4
    world.turns.run(world.user("eva"), world.pieces("eva", 6))
    assert world.done[4:] == ["eva"] * 4
    done = await world.turn()
    assert done == [*(f"stranger {number}" for number in range(4)), "eva", "eva"]


async def test_who_authenticates_goes_on_as_a_user() -> None:
    world = World()
    account = WorkAccount(world.peers, "10.0.0.1")
    pieces = world.pieces("eva", 8)

    def work() -> bool | None:
        if len(world.done) == 2:
            account.authenticate("eva")
        return pieces()

    world.turns.run(account, work)
    assert account.user is not None
    assert len(world.done) > 4, "a user's half was not used yet"


async def test_who_owes_waits_for_the_time_that_it_takes_to_pay_and_others_do_not() -> None:
    world = World(WebSettings(max_work_per_user=1_000))
    eva, otto = world.user("eva"), world.user("otto")
    eva.charge(5_000 + 50)
    world.turns.run(eva, world.pieces("eva", 1))
    world.turns.run(otto, world.pieces("otto", 1))
    assert world.done == ["otto"]
    assert world.turns.delays[PeerKind.USER] == 1
    world.turns.run(eva, world.pieces("eva again", 1))
    world.clock.now += 60
    await until(lambda: len(world.done) == 3, what="the debt is paid")
    assert world.done == ["otto", "eva", "eva again"]


async def test_the_newest_connection_of_an_address_that_owed_goes_first_with_all_its_steps() -> None:
    world = World(WebSettings(max_work_per_address=1_000))
    accounts = [WorkAccount(world.peers, "10.0.0.1") for _ in range(50)]
    accounts[0].fine(5_000 + 50)
    for account in accounts[1:]:
        world.turns.run(account, world.pieces("old", 2))
    newcomer = WorkAccount(world.peers, "10.0.0.1")
    world.turns.run(newcomer, world.pieces("new", 3))
    world.turns.run(accounts[0], world.pieces("old", 2))  # was received later, by an older connection
    assert world.done == []
    world.clock.now += 60
    await until(lambda: len(world.done) == 50 * 2 + 3, what="all of it is done")
    assert world.done[:4] == ["new", "new", "new", "old"]


async def test_work_that_waits_behind_a_debt_may_be_forgotten_though_its_request_is_a_newer_one_by_now() -> None:
    world = World(WebSettings(max_work_per_address=1_000))
    accounts = [WorkAccount(world.peers, "10.0.0.1") for _ in range(3)]
    works = [world.pieces(str(number), 1) for number in range(3)]
    accounts[0].fine(5_000 + 50)
    for account, work in zip(accounts, works, strict=True):
        world.turns.run(account, work)
    accounts[0].forward("10.0.0.1")
    world.turns.forget(accounts[0], works[0])
    world.clock.now += 60
    await until(lambda: len(world.done) == 2, what="the others are done")
    assert world.done == ["2", "1"]


async def test_the_sockets_of_a_user_who_owed_take_turns() -> None:
    world = World(WebSettings(max_work_per_user=1_000))
    accounts = {name: world.user("eva") for name in ("first", "second")}
    accounts["first"].charge(5_000 + 50)
    for name, account in accounts.items():
        world.turns.run(account, world.pieces(name, 2))
    world.clock.now += 60
    await until(lambda: len(world.done) == 4, what="all of it is done")
    assert world.done == ["first", "second"] * 2


async def test_work_that_fails_ends_and_is_a_fault_and_the_other_work_goes_on() -> None:
    world = World()

    def fail() -> bool:
        raise LookupError

    world.turns.run(world.user("eva"), fail)
    world.turns.run(world.user("eva"), world.pieces("eva", 1))
    assert world.done == ["eva"]
    assert world.faults == [("LookupError", "eva")]


@pytest.mark.parametrize("is_user", [True, False])
async def test_work_that_is_forgotten_takes_no_memory_and_no_turn(*, is_user: bool) -> None:
    world = World(WebSettings(max_work_per_user=1_000, max_work_per_address=1_000))
    eva = world.user("eva") if is_user else WorkAccount(world.peers, "10.0.0.1")
    eva.peer.work.take(5_000 + 50, world.clock.now)
    works = [world.pieces(f"{number}", 1) for number in range(1_000)]
    for work in works:
        world.turns.run(eva, work)
    for work in works[1:]:
        world.turns.forget(eva, work)
    assert [len(queue) for queue in world.turns._owing.values()] == [1]  # noqa: SLF001 - it is not seen elsewhere
    world.turns.forget(eva, works[0])
    world.clock.now += 60
    world.turns.run(world.user("otto"), world.pieces("otto", 1))
    await until(lambda: not world.turns._owing, what="the debt is paid")  # noqa: SLF001
    world.turns.run(eva, world.pieces("eva", 1))
    assert world.done == ["otto", "eva"]


async def test_work_that_leads_to_more_does_it_behind_itself() -> None:
    world = World()
    account = world.user("eva")
    inner = world.pieces("inner", 1)

    def outer() -> bool:
        world.turns.run(account, inner)
        world.done.append("outer")
        return False

    world.turns.run(account, outer)
    assert world.done == ["outer", "inner"]


async def test_later_work_is_not_done_at_once() -> None:
    world = World()
    world.turns.run(world.user("eva"), world.pieces("eva", 1), later=True)
    assert world.done == []
    assert await world.turn() == ["eva"]


async def test_what_is_done_elsewhere_takes_from_the_turn_and_from_the_budget() -> None:
    world = World()
    account = WorkAccount(world.peers, "10.0.0.1")
    world.turns.charge(account, TURN_MS)
    world.turns.run(account, world.pieces("stranger", 1))
    assert world.done == []
    account.settle()
    assert account.address.work.wait_ms(world.clock.now) == 0
    assert not account.address.work.is_full(world.clock.now)


async def test_a_coroutine_pauses_until_it_has_its_turn() -> None:
    world = World()
    world.turns.run(world.user("eva"), world.pieces("eva", 20))
    await world.turns.pause(world.user("otto"))
    assert 4 < len(world.done) < 20
    world.done.clear()
    await world.turns.pause(world.user("otto"))
    assert len(world.done) < 20 - 8


@pytest.mark.parametrize(("ms", "is_long"), [(LONG_TURN_MS, 0), (LONG_TURN_MS + 0.1, 1)])
async def test_long_turns_are_counted(ms: float, is_long: int) -> None:
    world = World()
    world.turns.run(world.user("eva"), world.pieces("eva", 1, ms=ms))
    await world.turn()
    assert world.turns.long_turns == is_long
