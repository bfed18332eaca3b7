"""The client of `floor watch`: a terminal dashboard that reconnects and resumes as the dashboard protocol requires."""

import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import websockets

from bridge.protocol.close_codes import FINAL_CLOSE_CODES, CloseCode
from bridge.protocol.error_codes import ErrorCode

PING_SECONDS: Final = 1.3  # of silence, before a ping is sent
MAX_UNANSWERED_PINGS: Final = 3  # then the server counts as dead, within the 5 s of promise P5
CLOSE_SECONDS: Final = 1.0  # for the closing handshake with a server that may be gone
RETRY_CLOSE_REASONS: Final[dict[int, str]] = {
    CloseCode.GOING_AWAY: "the server is going away",
    CloseCode.SERVICE_RESTART: "the server is restarting",
}
NOT_SERVED_STATUS: Final = 403  # the answer of the bridge's own web server where it serves no WebSocket
REFUSAL_CODES: Final = {
    ErrorCode.FORBIDDEN,
    ErrorCode.UNKNOWN_SUBSCRIPTION_TYPE,
    ErrorCode.MISSING_TARGET_ID,
    ErrorCode.INVALID_MESSAGE,
}
URL_EXAMPLE: Final = "example: ws://127.0.0.1:8080/ws"
Frame = dict[str, Any]


class ServerSilent(Exception):
    """The server sends nothing, and answers no ping."""


class WatchEnded(Exception):
    """The server ended the watch for good, or refused it; the text gives the reason."""


@dataclass
class WatchClient:
    """A client of one front. `on_frame` receives every frame; `event_limit` ends the watch after so many events."""

    url: str
    token: Callable[[], str]
    subscriptions: Sequence[Frame]
    on_frame: Callable[[Frame], None]
    event_limit: int | None = None
    positions: dict[str, Frame] = field(default_factory=dict)
    event_count: int = 0
    refused_ids: set[str | None] = field(default_factory=set)

    async def run(self) -> None:
        """Watch until the limit; raise `WatchEnded` when another attempt would not help."""
        self._check_url()
        pause = 0.5
        while True:
            connected = False
            try:
                async with self._connect() as socket:
                    connected = True  # from here on only `on_frame` raises an OSError, which is not the link's
                    await socket.send(json.dumps({"type": "auth", "token": self.token()}))
                    pause = 0.5
                    if await self._read_frames(socket):
                        return
            except websockets.ConnectionClosed as closed:
                self._process_close(closed)
            except ServerSilent:
                pass  # already reported
            except websockets.InvalidURI as error:
                raise WatchEnded(f"{error}; {URL_EXAMPLE}") from error
            except (OSError, websockets.InvalidHandshake) as error:  # also from a front that is being stopped
                if connected:
                    raise
                self.on_frame({"type": "link_lost", **self._describe_failure(error)})
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 30.0)

    def _check_url(self) -> None:
        """Raise `WatchEnded` for an address that cannot be parsed: `websockets` raises the parser's ValueError."""
        try:
            self.url.encode()  # an argument in another encoding
            _ = urlsplit(self.url).port
        except ValueError as error:
            raise WatchEnded(f"{self.url} isn't a valid URI: {error}; {URL_EXAMPLE}") from error

    def _describe_failure(self, error: Exception) -> dict[str, str]:
        """Return the `reason`, and an `advice` if the server that answers is not a front."""
        if isinstance(error, ConnectionError) and error.errno:
            return {"reason": os.strerror(error.errno)}  # asyncio's text repeats the address as Python writes it
        if not isinstance(error, websockets.InvalidStatus):
            return {"reason": str(error)}
        advice = f"{self.url} responds, but is not a front: {error}"
        if error.response.status_code == NOT_SERVED_STATUS:
            advice = f"{self.url} serves no dashboards; with separate fronts, give the address of one with --url"
        return {"reason": str(error), "advice": advice}

    def _connect(self) -> websockets.connect:
        protocols = [websockets.Subprotocol("floor.v1")]
        return websockets.connect(self.url, subprotocols=protocols, close_timeout=CLOSE_SECONDS)

    async def _read_frames(self, socket: websockets.ClientConnection) -> bool:
        """Process frames as they arrive; return True at the limit. Raise `ConnectionClosed` or `ServerSilent`."""
        while True:
            for frame in _decode_frames(await self._receive(socket)):
                if frame["type"] == "auth_ok":
                    await self._send_subscriptions(socket)
                if self._process_frame(frame):
                    return True

    async def _receive(self, socket: websockets.ClientConnection) -> str | bytes:
        for _ in range(MAX_UNANSWERED_PINGS):
            try:
                async with asyncio.timeout(PING_SECONDS):
                    return await socket.recv()
            except TimeoutError:
                await socket.send(json.dumps({"type": "ping"}))
        self.on_frame({"type": "link_lost", "reason": "the server is silent"})
        raise ServerSilent

    async def _send_subscriptions(self, socket: websockets.ClientConnection) -> None:
        if self.positions:
            bodies = list(self.subscriptions)
            await socket.send(json.dumps({"type": "resume", "subscriptions": bodies, "since": self.positions}))
            return
        for subscription in self.subscriptions:
            await socket.send(json.dumps({"type": "subscribe", **subscription}))

    def _process_frame(self, frame: Frame) -> bool:
        if frame["type"] == "pong":
            return False  # the answer to our ping
        if frame["type"] == "position":
            self.positions.update(frame["streams"])
        self.on_frame(frame)
        if frame["type"] == "error" and frame["code"] in REFUSAL_CODES:
            self.refused_ids.add(frame.get("id"))
            if self.refused_ids.issuperset(subscription["id"] for subscription in self.subscriptions):
                raise WatchEnded(f"no subscription was accepted: {frame['message']}")
        self.event_count += "offset" in frame
        return self.event_limit is not None and self.event_count >= self.event_limit

    def _process_close(self, closed: websockets.ConnectionClosed) -> None:
        if closed.rcvd is None:
            self.on_frame({"type": "link_lost", "reason": "the server closed it without a close frame"})
            return
        text = f"the server closed the connection: {closed.rcvd.code} {closed.rcvd.reason}".strip()
        if closed.rcvd.code in FINAL_CLOSE_CODES:
            raise WatchEnded(text)
        self.on_frame({"type": "link_lost", "reason": RETRY_CLOSE_REASONS.get(closed.rcvd.code, text)})


def _decode_frames(text: str | bytes) -> list[Frame]:
    decoded = json.loads(text)
    return decoded if isinstance(decoded, list) else [decoded]
