"""What a process that serves thousands asks of its operating system and of its interpreter."""

import asyncio
import gc
import resource
import signal
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

GC_THRESHOLDS: Final = (50_000, 20, 100)
"""New objects before Python looks for cycles, and how much rarer it looks at older ones. A dashboard is some hundred
objects that live long: by default a quarter of the time in which thousands return goes into looking at them again."""


STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def exit_on_signal() -> None:
    """Let SIGINT or SIGTERM end this process at once with exit code 0: for a start that has begun nothing yet.

    Without it the first process of a container would not hear SIGTERM at all.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(0)


def stop_on_signal(stop: asyncio.Event) -> None:
    """From now on have SIGINT or SIGTERM set `stop`, however often they come."""
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run this to its end, on uvloop where there is one."""
    _raise_file_limit()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)
    for number in STOP_SIGNALS:  # what asked for the end a second time does not make it a failure
        signal.signal(number, signal.SIG_IGN)


def _raise_file_limit() -> None:
    """Take as many file descriptors as we may: every dashboard is one, and 1,024 is a common soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
