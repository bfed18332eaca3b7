"""A dashboard on real sockets behind a bad network: cut again and again, and watched by the judge."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from random import Random

import jwt
import websockets

from tests.support import random_histories
from tests.support.delivery_checker import Judge
from tests.support.front_server import Served
from tests.support.memory_journal import MemoryJournal
from tests.support.reference_dashboard import ReferenceDashboard
from tests.support.reference_subscription import Frame
from tests.support.tcp_proxy import Cut, End, TcpProxy
from tests.support.tokens import token

MOST_BYTES = {False: 12_000, True: 1_500}  # of what the server says, and the client, until a cut
SILENCE = 10.0  # seconds in which a handshake that is cut has failed


def grants_of(token: str) -> tuple[str, ...]:
    return tuple(jwt.decode(token, options={"verify_signature": False})["grants"]["read"])


@dataclass(eq=False)
class TornDashboard:
    """`cuts`: how many of its connections are to be cut."""

    served: Served
    network: TcpProxy
    journal: MemoryJournal
    user: str
    chance: Random
    cuts: int
    client: ReferenceDashboard = field(init=False)
    judge: Judge = field(init=False)
    connections: int = 0
    _socket: websockets.ClientConnection | None = None

    def __post_init__(self) -> None:
        self.client = ReferenceDashboard(self.user)
        self.judge = Judge(self.journal, self.client, grants_of)
        for name in "abc"[: self.chance.randint(1, 3)]:
            asked = random_histories.ask(self.chance, name, self.user)
            self.judge.learns(asked)
            self.client.subscribes(asked.body)

    def _token(self) -> str:
        grants = self.chance.choice((("#",), ("#",), *random_histories.GRANTS))
        return token(user=self.user, roles=random_histories.ROLES[:1], grants={"read": list(grants)})

    async def run(self) -> None:
        """Come back whenever the connection is lost, until cancelled."""
        while True:
            if self.connections < self.cuts:
                from_client = self.chance.random() < 0.3
                after = self.chance.randrange(MOST_BYTES[from_client])
                self.network.plan_cut(Cut(after, self.chance.choice((End.CLOSE, End.RESET)), from_client=from_client))
            self.connections += 1
            with contextlib.suppress(OSError, EOFError, websockets.WebSocketException):
                async with websockets.connect(
                    f"ws://127.0.0.1:{self.network.port}/ws", open_timeout=SILENCE, close_timeout=1.0
                ) as self._socket:
                    await self._live(self._socket)
            self._socket = None

    async def _live(self, socket: websockets.ClientConnection) -> None:
        if self.connections > self.cuts:
            await self._follow(socket)
        try:
            # Who is told little reaches no byte at which it is cut.
            async with asyncio.timeout(0.1 + self.chance.random()):
                await self._follow(socket)
        except TimeoutError:
            socket.transport.abort()

    async def _follow(self, socket: websockets.ClientConnection) -> None:
        self.judge.connects()
        await self._say(socket, *self.client.returns(self._token()))
        if self.chance.random() < 0.5:
            await self._say(socket, {"type": "options", "batch": True, "batch_ms": self.chance.choice((0, 100))})
        async for text in socket:
            assert isinstance(text, str)
            self.judge.takes(text)
            replies, self.client.replies = self.client.replies, []
            await self._say(socket, *replies)
            if self.connections <= self.cuts and self.chance.random() < 0.01:
                await self._say(socket, self.client.proves(self._token()))

    async def _say(self, socket: websockets.ClientConnection, *frames: Frame) -> None:
        for frame in frames:
            self.judge.says(frame)
            await socket.send(json.dumps(frame))

    @property
    def content(self) -> bool:
        """Whether it will not be cut any more, and knows all that there is."""
        if self.connections <= self.cuts or self._socket is None or not self.client.settled:
            return False
        here = {"epoch": self.served.journal.epoch, "offset": self.journal.end}
        followed = any(each.confirmed for each in self.client.held.values())
        return not followed or self.client.position.get("main") == here
