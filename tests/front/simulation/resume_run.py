"""One seeded run: a front over a journal in memory, and dashboards that reconnect, each with a delivery checker."""

import asyncio
import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent, Input, JournalEntry
from bridge.domain.reports import APPLIED
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis
from bridge.front import journal_reads
from bridge.protocol import cohort, event_cursor
from bridge.settings.web import WebSettings
from tests.front.simulation.simulated_dashboard import SimulatedDashboard
from tests.front.simulation.virtual_loop import VirtualLoop
from tests.support import random_histories
from tests.support.delivery_checker import PromiseBroken
from tests.support.fake_link import FakeLink
from tests.support.in_process import PLANT, front_side, settings_with
from tests.support.memory_journal import MemoryJournal
from tests.support.memory_socket import MemorySocket
from tests.support.random_histories import NOON
from tests.support.reference_dashboard import ProtocolViolation
from tests.support.reference_subscription import topic_of

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from bridge.front.front import Front

STEPS = 24
LONGEST = 900.0  # virtual seconds
INPUT = Input(number=1, topic="report/S1/A1/L1/E1/state", payload=b"{}", received_at=NOON)
PAUSES = (0.0, 0.0, 0.001, 0.01, 0.1, 0.7, 2.0)


class VirtualClock:
    def now(self) -> Millis:
        return NOON

    def wall_now(self) -> Millis:
        return NOON + int(asyncio.get_running_loop().time() * 1_000)


class PlainAuthenticator(TokenAuthenticator):
    """Accepts the unsigned tokens of random_histories."""

    def __init__(self) -> None:
        tokens, policy = TokenVerifier(settings_with().token), random_histories.POLICY
        super().__init__(tokens=tokens, revocations=Revocations(), policy=policy, trust_grants=True)

    def admit_in_steps(self, token: str, *, now: Millis) -> Steps[Viewer]:
        return random_histories.UnsignedTokens().admit_in_steps(token, now=now)


class ResumeRun:
    """`seed` decides everything but where the first dashboard's first connection is cut."""

    def __init__(self, seed: int, *, cut_after: int | None = None) -> None:
        self.chance = Random(seed)
        self.loop = VirtualLoop(Random(seed + 1))  # type: ignore[abstract] # as much of a loop as it takes
        self.journal = MemoryJournal()
        self.floor = random_histories.EventGenerator(Random(seed + 2))
        self.front: Front | None = None
        self.boards: list[SimulatedDashboard] = []
        self._cut_after = cut_after
        self._logs: Sequence[EventDict] = []
        self._offers: deque[list[CommittedEvent]] = deque()
        self._offered_until = 0.0
        self._settings = WebSettings(max_frames_per_second=10_000)
        # Small, so that a replay takes many reads, and few of them from memory.
        self._bounds = (
            (event_cursor, "READ_AHEAD_BYTES", self.chance.choice((3_000, 10_000, 200_000))),
            (cohort, "FLUSH_BYTES", self.chance.choice((1, 1_000, 65_536))),
            (journal_reads, "PAGE_EVENTS", self.chance.choice((1, 3, 500))),
            (journal_reads, "PAGES_BYTES", self.chance.choice((0, 5_000, 500_000))),
        )

    @property
    def is_open(self) -> bool:
        return self.front is not None

    @property
    def frame_ends(self) -> list[int]:
        """End of each frame of the first connection, in bytes."""
        first = self.boards[0].first
        return [] if first is None else first.frame_ends

    @property
    def fingerprint(self) -> str:
        """A digest of all that the dashboards received; equal for two runs of the same seed, in any process."""
        received = [(board.client.log, board.close_codes, board.checked.connections) for board in self.boards]
        return hashlib.sha256(repr((received, self.frame_ends)).encode()).hexdigest()

    def run(self) -> None:
        """Run it; raises PromiseBroken or Breach."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name, value in self._bounds:
                patch.setattr(module, name, value)
            with capture_logs() as self._logs:
                self.loop.run(self._main(), until=LONGEST)
        self._check()

    async def _main(self) -> None:
        self.journal.append(self.floor.events(30))
        seed = self.chance.random()
        self.boards = [SimulatedDashboard(self, "eva", Random(seed), self._cut_after)]
        if self.chance.random() < 0.3:
            self.boards.append(SimulatedDashboard(self, "otto", Random(seed + 1)))
        with self._open():
            for board in self.boards:
                board.granted = self.chance.choice((("#",), *random_histories.GRANTS))
                board.connect()
                for name in "abc"[: self.chance.randint(1, 3)]:
                    board.subscribe(name)
            for _ in range(STEPS):
                await asyncio.sleep(self.chance.choice(PAUSES))
                await self._step()
                self._check()
            await self._finish()
        await self._close(crash=False)

    async def _step(self) -> None:
        match self.chance.randrange(40):
            case 0:
                await self._restart()
            case 1:
                self.journal.retain(self.journal.end - self.chance.choice((0, 1, 5, 20)))
            case each if each < 22:
                self._commit(self.chance.choice((1, 2, 5, 20)))
            case _:
                self.chance.choice(self.boards).act()

    def _commit(self, most: int) -> None:
        self._offers.append(self.journal.append(self.floor.events(most)))
        late = 0.0 if self.chance.random() < 0.4 else self.chance.random() * 0.02
        self._offered_until = max(self._offered_until, self.loop.time() + late)
        self.loop.call_at(self._offered_until, self._offer)

    def _offer(self) -> None:
        """Pass the oldest committed batch to the front."""
        if self._offers and self.front is not None:
            self.front.on_committed(
                [JournalEntry(input=INPUT, disposition=APPLIED, events=tuple(self._offers.popleft()))]
            )

    # The front.

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        self._start()
        try:
            yield
        finally:
            self._front_task.cancel()

    def _start(self) -> None:
        async def publish(topic: str, payload: bytes) -> None:
            raise PromiseBroken(f"nothing is commanded here: {topic} {payload!r}")

        self.front = front_side(
            Path(),
            journal=self.journal,
            plant=PLANT,
            clock=VirtualClock(),
            link=FakeLink(publish),
            authenticator=PlainAuthenticator(),
            web=self._settings,
        ).front
        self.front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
        self._front_task = self.loop.create_task(self.front.run())

    async def _restart(self) -> None:
        """Stop the bridge, or let it crash; perhaps restore a backup meanwhile."""
        await self._close(crash=self.chance.random() < 0.5)
        match self.chance.randrange(4):
            case 0:
                self.journal.renew()
            case 1:
                self.journal.renew(back_to=max(0, self.journal.end - self.chance.randint(1, 10)))
            case _:
                pass
        self._start()
        for board in self.boards:
            self.loop.call_later(self.chance.random(), board.connect)

    async def _close(self, *, crash: bool) -> None:
        front, self.front = self.front, None
        assert front is not None
        self._offers.clear()
        self._front_task.cancel()
        if crash:
            for board in self.boards:
                if board.socket is not None:
                    board.socket.cut(noticed_in=0.0)
        front.shutdown()
        for board in self.boards:
            if board.socket is not None:
                board.socket.cut(noticed_in=0.0)  # what was under way is lost with the machine
        statistics = front.statistics()
        if statistics["connections"] or statistics["routes"] or statistics["cohorts"]:
            raise PromiseBroken(f"left behind: {statistics}")

    def serve(self, socket: MemorySocket) -> None:
        assert self.front is not None
        front = self.front
        grants: list[tuple[str, ...]] = []

        def on_read(text: str) -> None:
            frame = json.loads(text)
            if frame["type"] == "auth":
                grants[:] = [random_histories.grants_of(frame["token"])]

        def on_write(text: str) -> None:
            for frame in json.loads(text) if text.startswith("[") else [json.loads(text)]:
                if "offset" in frame and not random_histories.granted(grants[0], topic_of(frame)):
                    raise PromiseBroken(f"{frame['id']} {topic_of(frame)} was shown to a user with grants {grants[0]}")

        socket.on_read, socket.on_write = on_read, on_write
        socket.attach(front.serve(socket, handshake_token=None, peer="test"))

    def _check(self) -> None:
        for failure in self.loop.failures:
            raise failure.get("exception") or PromiseBroken(str(failure))
        for entry in self._logs:
            if entry["event"] == "front.dashboard_failed":
                raise entry["exc_info"]

    async def _finish(self) -> None:
        """Let all clients read, and wait until everything is delivered."""
        self._commit(3)
        for _ in range(1_000):
            for board in self.boards:
                board.read("fast")
            await asyncio.sleep(0.2)
            self._check()
            if not self._offers and all(dashboard.is_current for dashboard in self.boards):
                break
        else:
            raise PromiseBroken(
                f"never done: {[(b.client.subscriptions, b.client.position, b.socket) for b in self.boards]}"
            )
        for board in self.boards:
            board.checked.checker.finish()
            board.is_stopped = True
            if board.socket is not None:
                board.socket.cut(noticed_in=0.0)


def run_seed(seed: int, cut_after: int | None = None) -> ResumeRun:
    """Run this seed; raises AssertionError with the seed if a promise is broken."""
    run = ResumeRun(seed, cut_after=cut_after)
    try:
        run.run()
    except (PromiseBroken, ProtocolViolation, TimeoutError) as error:
        again = f"RESUME_RUN={seed}:{'' if cut_after is None else cut_after}"
        raise AssertionError(f"{again}: {type(error).__name__}: {error}") from error
    return run
