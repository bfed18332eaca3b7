"""A dashboard on real sockets behind a bad network: cut again and again, and checked all the while."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from random import Random

import jwt
import websockets

from tests.support import random_histories
from tests.support.checked_dashboard import CheckedDashboard
from tests.support.front_server import ServedFront
from tests.support.memory_journal import MemoryJournal
from tests.support.socket_dashboard import SocketDashboard, connected
from tests.support.tcp_proxy import ConnectionEnd, Cut, TcpProxy
from tests.support.tokens import token

MOST_BYTES = {False: 12_000, True: 1_500}  # of what the server sends, and the client, until a cut
SILENCE = 10.0  # seconds in which a handshake that is cut has failed


def grants_of(proof: str) -> tuple[str, ...]:
    return tuple(jwt.decode(proof, options={"verify_signature": False})["grants"]["read"])


@dataclass(eq=False)
class InterruptedDashboard:
    """`cuts`: how many of its connections are to be cut."""

    served: ServedFront
    network: TcpProxy
    journal: MemoryJournal
    user: str
    chance: Random
    cuts: int
    checked: CheckedDashboard = field(init=False)
    connections: int = 0  # and attempts at one
    _is_connected: bool = False

    def __post_init__(self) -> None:
        self.checked = CheckedDashboard(self.user, self.journal, grants_of)
        for name in "abc"[: self.chance.randint(1, 3)]:
            request = random_histories.random_subscription(self.chance, name, self.user)
            self.checked.checker.expect(request)
            self.checked.client.subscribe(request.body)

    def _token(self) -> str:
        grants = self.chance.choice((("#",), ("#",), *random_histories.GRANTS))
        return token(user=self.user, roles=random_histories.ROLES[:1], grants={"read": list(grants)})

    async def run(self) -> None:
        """Come back whenever the connection is lost, until cancelled."""
        while True:
            if self.connections < self.cuts:
                from_client = self.chance.random() < 0.3
                after = self.chance.randrange(MOST_BYTES[from_client])
                self.network.plan_cut(
                    Cut(after, self.chance.choice((ConnectionEnd.CLOSE, ConnectionEnd.RESET)), from_client=from_client)
                )
            self.connections += 1
            with contextlib.suppress(OSError, EOFError, websockets.WebSocketException):
                async with connected(self.network.port, open_timeout=SILENCE, close_timeout=1.0) as board:
                    self._is_connected = True
                    await self._live(board)
            self._is_connected = False

    async def _live(self, board: SocketDashboard) -> None:
        if self.connections > self.cuts:
            await self._follow(board)
        try:
            # Who is sent little reaches no byte at which it is cut.
            async with asyncio.timeout(0.1 + self.chance.random()):
                await self._follow(board)
        except TimeoutError:
            board.socket.transport.abort()

    async def _follow(self, board: SocketDashboard) -> None:
        await _send(board, self.checked.connect(self._token()))
        if self.chance.random() < 0.5:
            options = {"type": "options", "batch": True, "batch_ms": self.chance.choice((0, 100))}
            await _send(board, self.checked.send(options))
        while True:
            await _send(board, self.checked.receive(await board.receive_text()))
            if self.connections <= self.cuts and self.chance.random() < 0.01:
                await _send(board, self.checked.send(self.checked.client.refresh_token(self._token())))

    @property
    def is_current(self) -> bool:
        """Return whether it will not be cut any more, and knows all that there is."""
        return (
            self.connections > self.cuts and self._is_connected and self.checked.is_current(self.served.journal.epoch)
        )


async def _send(board: SocketDashboard, texts: list[str]) -> None:
    for text in texts:
        await board.send_text(text)
