"""Named places at which a process of `floor run` kills itself. The bridge knows nothing of them.

At the n-th time the named place is passed, the process sends itself SIGKILL: our classes are wrapped at their seams.
"""

import inspect
import os
import signal
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Final

from bridge.domain.intake import Intake
from bridge.http.websocket import WebSocketConnection
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.link import BrokerLink


class Fuse:
    """Kills the process when it has been passed so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


CallFilter = Callable[..., bool]
Place = Callable[[Fuse], None]


def _always(*_: object, **__: object) -> bool:
    return True


def before(owner: type, name: str, wanted: CallFilter = _always) -> Place:
    return lambda fuse: _wrap(owner, name, wanted, first=fuse.burn, then=lambda: None)


def after(owner: type, name: str, wanted: CallFilter = _always) -> Place:
    return lambda fuse: _wrap(owner, name, wanted, first=lambda: None, then=fuse.burn)


def _wrap(owner: type, name: str, wanted: CallFilter, *, first: Callable[[], None], then: Callable[[], None]) -> None:
    inner = getattr(owner, name)

    @wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        meant = wanted(*args, **kwargs)
        if meant:
            first()
        answer = inner(*args, **kwargs)
        if meant:
            then()
        return answer

    @wraps(inner)
    async def wait(*args: Any, **kwargs: Any) -> Any:
        meant = wanted(*args, **kwargs)
        if meant:
            first()
        answer = await inner(*args, **kwargs)
        if meant:
            then()
        return answer

    setattr(owner, name, wait if inspect.iscoroutinefunction(inner) else call)


PLACES: Final[Mapping[str, Place]] = MappingProxyType({
    "received": after(BrokerLink, "receive"),
    "applied": after(Intake, "apply"),
    "commit begun": before(SqliteJournal, "commit", lambda _, batch: bool(batch.entries)),
    "committed": after(SqliteJournal, "commit", lambda _, batch: bool(batch.entries)),
    "acknowledged": after(BrokerLink, "acknowledge", lambda _, messages: bool(messages)),
    "checkpointed": after(SqliteJournal, "commit", lambda _, batch: bool(batch.checkpoints)),
    "published": after(BrokerLink, "publish_many"),
    "event out, not cleared": before(BrokerConnection, "submit", lambda _, sent: sent.retain and not sent.payload),
    "marked": after(SqliteJournal, "mark_published"),
    "delivered": after(WebSocketConnection, "write", lambda _, frames: b'"offset"' in frames),
})  # fmt: skip
"""Name -> how to put a fuse there."""


def arm(at: str, nth: int) -> None:
    """Let this process kill itself when it passes the place for the nth time."""
    PLACES[at](Fuse(nth))
