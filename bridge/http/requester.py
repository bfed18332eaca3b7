"""Requester of one HTTP request: who pays for it, and how many one user may make at once."""

import asyncio
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.domain.steps import Steps
from bridge.http.load import ServerLoad
from bridge.http.peers import REFUSED_WORK_MS, Peer, WorkAccount
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

WORK_ACCOUNT: Final = "floor.work_account"
"""ASGI extension of an HTTP request's scope: the WorkAccount of its connection."""
REQUESTER: Final = "floor.requester"
"""ASGI extension of an HTTP request's scope: its Requester."""


T = TypeVar("T")


class Requester:
    """Lets a user pay for a request, in their turns, once their token is verified."""

    def __init__(self, load: ServerLoad, account: WorkAccount) -> None:
        self._load = load
        self._account = account
        self._user: Peer | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended, so that nobody pays any more."""
        return self._account.is_closed

    async def forward(self, host: str) -> None:
        """Go on for the client of this address, when it is its turn, if a proxy has passed the request on."""
        if self._load.peers.client(host) is not self._account.address:
            self._account.forward(host)
            await self._load.turns.pause(self._account)

    async def authenticate(self, user_id: str) -> None:
        """Go on as this user, when it is their turn; raise InvalidFrame if they make too many requests at once."""
        user = self._account.authenticate(user_id)
        if user.requests >= self._load.web.max_requests_per_user:
            self._load.refused_requests += 1
            raise InvalidFrame(ErrorCode.RATE_LIMITED, "too many requests at once")
        user.requests += 1
        self._user = user
        await self._load.turns.pause(self._account)

    async def run(self, steps: Steps[T], /) -> T:
        """Do these steps in the turns and at the expense of the user, or of the address before; return the result."""
        ended: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def work() -> bool:
            if ended.done():  # the request was cancelled
                return False
            if self._account.is_abandoned():
                ended.set_exception(ClientDisconnect())
                return False
            try:
                next(steps)
            except StopIteration as end:
                ended.set_result(end.value)
            except Exception as error:  # noqa: BLE001 - the request's, and raised there
                ended.set_exception(error)
            return not ended.done()

        self._load.turns.run(self._account, work)
        try:
            return await ended
        finally:
            steps.close()

    def refuse(self) -> None:
        """Let the address pay for a token that was refused."""
        self._account.fine(REFUSED_WORK_MS)

    def forgive(self) -> None:
        """Let nobody pay for a token that cannot be verified now."""
        self._account.forgive()

    def end(self) -> None:
        """Count the request no more."""
        if self._user is not None:
            self._user.requests -= 1
            self._load.peers.release(self._user)
            self._user = None


def with_requester(app: ASGIApp, load: ServerLoad) -> ASGIApp:
    """Return an app whose HTTP requests have a Requester, with the client's own address behind a trusted proxy."""

    async def requested(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        extensions = scope["extensions"]
        requester = extensions[REQUESTER] = Requester(load, extensions[WORK_ACCOUNT])
        try:
            if scope["client"] is not None:
                await requester.forward(scope["client"][0])
            await app(scope, receive, send)
        finally:
            requester.end()

    return requested
