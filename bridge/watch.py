"""`floor watch`: a dashboard for the terminal, which reconnects and resumes as PROTOCOL asks."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import websockets

PING_SECONDS: Final = 1.3  # of silence, before we ask whether anybody is there
SILENT_PINGS: Final = 3  # then it is told, within the 5 s of promise P5: no connection says of itself that it is dead
CLOSE_SECONDS: Final = 1.0  # for the goodbye of a server that may not be there
STOP_CODES: Final = {1000, 1008, 1009, 4401, 4403}  # PROTOCOL «Ending»: no use in coming back with the same token
GOODBYES: Final = {1001: "the server is going away", 1012: "the server is restarting"}
NOT_SERVED: Final = 403  # what a web server of our make answers where it serves no WebSocket
REFUSALS: Final = {"FORBIDDEN", "UNKNOWN_SUBSCRIPTION_TYPE", "MISSING_TARGET_ID", "INVALID_MESSAGE"}
Frame = dict[str, Any]


class Silent(Exception):
    """The server says nothing, not even to a ping."""


class WatchEnded(Exception):
    """The server ended the watch for good, or refused it; the text says why."""


@dataclass
class Watch:
    """One watched front. `show` gets every frame; `limit` ends the watch after so many events."""

    url: str
    token: Callable[[], str]
    subscriptions: Sequence[Frame]
    show: Callable[[Frame], None]
    limit: int | None = None
    positions: dict[str, Frame] = field(default_factory=dict)
    seen: int = 0
    refused: set[str | None] = field(default_factory=set)

    async def run(self) -> None:
        """Watch until the limit; raises `WatchEnded` when there is no use in going on."""
        pause = 0.5
        while True:
            connected = False
            try:
                async with self._connect() as socket:
                    connected = True  # from here on only `show` raises an OSError, and that is none of the link's
                    await socket.send(json.dumps({"type": "auth", "token": self.token()}))
                    pause = 0.5
                    if await self._follow(socket):
                        return
            except websockets.ConnectionClosed as closed:
                self._judge(closed)
            except Silent:
                pass  # told already
            except websockets.InvalidURI as error:
                raise WatchEnded(f"{error}; such as ws://127.0.0.1:8080/ws") from error
            except (OSError, websockets.InvalidHandshake) as error:  # also a front that is just being stopped
                if connected:
                    raise
                self.show({"type": "link_lost", **self._why(error)})
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 30.0)

    def _why(self, error: Exception) -> dict[str, str]:
        """Return the `reason`, and an `advice` where something answers that is no front."""
        if not isinstance(error, websockets.InvalidStatus):
            return {"reason": str(error)}
        advice = f"{self.url} answers, but is no front: {error}"
        if error.response.status_code == NOT_SERVED:
            advice = f"no dashboards are served at {self.url}; where fronts run apart, name one by --url"
        return {"reason": str(error), "advice": advice}

    def _connect(self) -> websockets.connect:
        protocols = [websockets.Subprotocol("floor.v1")]
        return websockets.connect(self.url, subprotocols=protocols, close_timeout=CLOSE_SECONDS)

    async def _follow(self, socket: websockets.ClientConnection) -> bool:
        """Show what comes; True at the limit. Raises ConnectionClosed or Silent."""
        while True:
            for frame in _frames(await self._next(socket)):
                if frame["type"] == "auth_ok":
                    await self._ask(socket)
                if self._take(frame):
                    return True

    async def _next(self, socket: websockets.ClientConnection) -> str | bytes:
        for _ in range(SILENT_PINGS):
            try:
                async with asyncio.timeout(PING_SECONDS):
                    return await socket.recv()
            except TimeoutError:
                await socket.send(json.dumps({"type": "ping"}))
        self.show({"type": "link_lost", "reason": "the server is silent"})
        raise Silent

    async def _ask(self, socket: websockets.ClientConnection) -> None:
        if self.positions:
            bodies = list(self.subscriptions)
            await socket.send(json.dumps({"type": "resume", "subscriptions": bodies, "since": self.positions}))
            return
        for subscription in self.subscriptions:
            await socket.send(json.dumps({"type": "subscribe", **subscription}))

    def _take(self, frame: Frame) -> bool:
        if frame["type"] == "pong":
            return False  # to a ping of ours
        if frame["type"] == "position":
            self.positions.update(frame["streams"])
        self.show(frame)
        if frame["type"] == "error" and frame["code"] in REFUSALS:
            self.refused.add(frame.get("id"))
            if self.refused.issuperset(each["id"] for each in self.subscriptions):
                raise WatchEnded(f"nothing to watch: {frame['message']}")
        self.seen += "offset" in frame
        return self.limit is not None and self.seen >= self.limit

    def _judge(self, closed: websockets.ConnectionClosed) -> None:
        if closed.rcvd is None:
            self.show({"type": "link_lost", "reason": "the server ended it without a goodbye"})
            return
        text = f"the server closed the connection: {closed.rcvd.code} {closed.rcvd.reason}".strip()
        if closed.rcvd.code in STOP_CODES:
            raise WatchEnded(text)
        self.show({"type": "link_lost", "reason": GOODBYES.get(closed.rcvd.code, text)})


def _frames(text: str | bytes) -> list[Frame]:
    decoded = json.loads(text)
    return decoded if isinstance(decoded, list) else [decoded]
