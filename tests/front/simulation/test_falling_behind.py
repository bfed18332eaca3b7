"""No 4008 loop: who reads on catches up, however far behind; who reads nothing is closed, comes back and gets on."""

import asyncio
from collections.abc import Callable
from random import Random

from typing_extensions import override

from tests.front.simulation.resume_run import ResumeRun
from tests.front.simulation.simulated_dashboard import STEADY_FRAMES, SimulatedDashboard

EVENTS = 8  # of a commit at most
COMMITS = 4  # a second
STALL_SECONDS = 30.0


class BehindRun(ResumeRun):
    """One dashboard that follows all events, while commits continue."""

    async def play(self, board: SimulatedDashboard) -> None:
        """Play the scenario of this run."""

    @override
    async def _main(self) -> None:
        self.journal.append(self.floor.events(30))
        board = SimulatedDashboard(self, "eva", Random(self.chance.random()))
        self.boards = [board]
        with self._open():
            board.connect()
            board.subscribe_to({"id": "a", "subscription_type": "line", "target_id": "all"}, "#")
            await self.pass_until(lambda: board.is_current, commits=False)
            await self.play(board)
            await self._finish()
        await self._close(crash=False)

    async def pass_until(self, condition: Callable[[], bool], *, commits: bool = True) -> None:
        """Let time pass, and events happen."""
        while not condition():
            if commits:
                self._commit(EVENTS)
            await asyncio.sleep(1 / COMMITS)
            self._check()

    @property
    def behind(self) -> int:
        offset = self.boards[0].client.position.get("main", {"offset": 0})["offset"]
        return self.journal.end - int(offset)

    @property
    def catching_up(self) -> bool:
        assert self.front is not None
        return bool(self.front.statistics()["catching_up"])


class SlowButSteady(BehindRun):
    @override
    async def play(self, board: SimulatedDashboard) -> None:
        began = self.loop.time()
        board.read("stuck")
        await self.pass_until(lambda: self.loop.time() - began > STALL_SECONDS - 2)
        self.backlog = self.behind
        assert self.catching_up
        board.read("steady")
        await self.pass_until(lambda: not self.catching_up and self.behind <= 6 * EVENTS)
        assert board.close_codes == []


class ReadsNothing(BehindRun):
    @override
    async def play(self, board: SimulatedDashboard) -> None:
        began = self.loop.time()
        board.read("stuck")
        assert self.front is not None
        await self.pass_until(lambda: not self.front or self.front.statistics()["connections"] == 0)
        self.closed_after = self.loop.time() - began
        board.read("steady")
        await self.pass_until(
            lambda: board.checked.connections == 2 and not self.catching_up and self.behind <= 6 * EVENTS
        )
        assert board.close_codes == [4008]
        assert board.client.gaps == 0


def test_a_dashboard_far_behind_that_reads_on_is_live_again_while_events_go_on() -> None:
    assert STEADY_FRAMES > EVENTS * COMMITS, "it can keep up at all"
    for seed in range(10):
        run = SlowButSteady(seed)
        run.run()
        assert run.backlog > 100


def test_a_dashboard_that_reads_nothing_is_closed_in_time_and_gets_on_when_it_is_back() -> None:
    for seed in range(10):
        run = ReadsNothing(seed)
        run.run()
        assert STALL_SECONDS <= run.closed_after < STALL_SECONDS + 2
