"""`floor watch`: a dashboard for the terminal, which reconnects and resumes as PROTOCOL asks."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import websockets
from rich.console import Console
from rich.markup import escape

PING_SECONDS: Final = 1.3  # of silence, before we ask whether anybody is there
SILENT_PINGS: Final = 3  # then it is told, within the 5 s of promise P5: no connection says of itself that it is dead
CLOSE_SECONDS: Final = 1.0  # for the goodbye of a server that may not be there
STOP_CODES: Final = {1000, 1008, 1009, 4401, 4403}  # PROTOCOL «Ending»: no use in coming back with the same token
NOT_SERVED: Final = 403  # what a web server of our make answers where it serves no WebSocket
REFUSALS: Final = {"FORBIDDEN", "UNKNOWN_SUBSCRIPTION_TYPE", "MISSING_TARGET_ID", "INVALID_MESSAGE"}
STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
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
                self.show({"type": "link_lost", "reason": self._why(error)})
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 30.0)

    def _why(self, error: Exception) -> str:
        if isinstance(error, websockets.InvalidStatus) and error.response.status_code == NOT_SERVED:
            return f"no dashboards are served at {self.url}; where fronts run apart, name one by --url"
        return str(error)

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
        code = closed.rcvd.code if closed.rcvd is not None else None
        reason = closed.rcvd.reason if closed.rcvd is not None else ""
        if code in STOP_CODES:
            raise WatchEnded(f"the server closed the connection: {code} {reason}")
        self.show({"type": "link_lost", "reason": f"closed {code} {reason}".strip()})


def _frames(text: str | bytes) -> list[Frame]:
    decoded = json.loads(text)
    return decoded if isinstance(decoded, list) else [decoded]


def line_printer(console: Console) -> Callable[[Frame], None]:
    """Return a `show` that prints a line for each event and for each change of the link."""

    def show(frame: Frame) -> None:
        if "offset" in frame:
            where = "/".join(filter(None, (frame["area"], frame["line_id"], frame["equipment_code"])))
            style = STYLES[frame["priority"]]
            console.print(
                f"[dim]{frame['timestamp'][11:19]}[/] [{style}]{frame['type']:<20}[/] {escape(where):<34} "
                f"{escape(_summary(frame))}",
                highlight=False,
                soft_wrap=True,
            )
        elif frame["type"] == "link":
            console.print(_link(frame), highlight=False, soft_wrap=True)
        elif frame["type"] in ("error", "link_lost", "revoked", "expiring", "conflated"):
            details = {name: value for name, value in frame.items() if name != "type"}
            console.print(f"[yellow]{frame['type']}[/] {escape(json.dumps(details))}", highlight=False, soft_wrap=True)
        elif frame["type"] == "subscription_confirmed":
            console.print(f"[green]subscribed[/] {escape(', '.join(frame['effective']))}", highlight=False)

    return show


def _link(frame: Frame) -> str:
    if not frame["broker"]:
        return "[red]not live[/] the bridge has lost the broker"
    stale = [name for name, stream in frame["streams"].items() if not stream["live"]]
    return f"[red]not live[/] {escape(', '.join(stale))}" if stale else "[green]live[/]"


SHOWN: Final = (
    "status", "cause", "andon_type", "level", "window", "oee", "unknown_seconds", "good_count", "reject_count",
    "product", "job_id", "parameter", "value", "to_product", "outcome", "reason_code", "duration_seconds",
)  # fmt: skip


def _summary(frame: Frame) -> str:
    data = frame["data"]
    words = [f"{name}={data[name]}" for name in SHOWN if data.get(name) is not None]
    return f"{'' if frame['subject'] == '_' else frame['subject'] + ' '}{' '.join(words)}"
