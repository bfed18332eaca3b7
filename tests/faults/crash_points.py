"""The composition of `floor run` in a process that kills itself at a named place. The bridge knows nothing of it.

    python -m tests.faults.crash_points CONFIG

The process has everything imported and forks a bridge for each line on stdin, a JSON object {"at": name or null,
"nth": n}; it answers {"pid"} and, when that bridge is gone, {"ended": return code}. At the n-th time the named place
is passed, the bridge sends itself SIGKILL: our classes are wrapped at their seams, after the fork.
"""

import ctypes
import gc
import inspect
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge import settings
from bridge.domain.intake import Intake
from bridge.http.websocket import WebSocketConnection
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.link import BrokerLink
from bridge.wiring import bridge
from bridge.wiring.errors import BridgeCrashed, StartError

LOOK_SECONDS: Final = 0.005
PARENT_DEATH_SIGNAL: Final = 1  # linux/prctl.h: PR_SET_PDEATHSIG
MAY_TRACE: Final = 0x59616D61  # linux/prctl.h: PR_SET_PTRACER, and who: anybody
ANYBODY: Final = ctypes.c_ulong(-1)


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


def main(config: Path) -> None:
    gc.freeze()  # what is imported stays shared with the forks
    child: int | None = None
    waiting = True
    while waiting or child is not None:
        readable, _, _ = select.select([sys.stdin] if waiting else [], [], [], LOOK_SECONDS)
        if readable:
            line = sys.stdin.readline()
            waiting = bool(line)
            if not line and child is not None:
                os.kill(child, signal.SIGKILL)
            elif line:
                child = _fork(config, **json.loads(line))
                _write_facts(pid=child)
        if child is not None:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = None
                _write_facts(ended=os.waitstatus_to_exitcode(status))


def _write_facts(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _fork(config: Path, *, at: str | None, nth: int) -> int:
    child = os.fork()
    if child:
        return child
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    ctypes.CDLL(None).prctl(MAY_TRACE, ANYBODY)  # strace is no parent of ours
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # stdout is for the answers
    if at is not None:
        PLACES[at](Fuse(nth))
    code = 1
    try:
        bridge.run(settings.load(config))
        code = 0
    except (StartError, BridgeCrashed) as error:
        sys.stderr.write(f"{error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
