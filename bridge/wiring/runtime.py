"""Process settings for thousands of dashboards: signals, garbage collection, event loop, file descriptors."""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

GC_THRESHOLDS: Final = (50_000, 20, 100)
"""New objects before a garbage collection, and how much rarer older objects are scanned. A dashboard is some hundred
long-lived objects: by default, a quarter of the time in which thousands reconnect goes into scanning them again."""

SWITCH_SECONDS: Final = 0.001
"""After which a thread that waits may run. Each statement of a commit waits for the event loop, when that is busy: with
Python's 5 ms alarms came up to five times as late under load."""

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def exit_on_signal() -> None:
    """Make SIGINT and SIGTERM end this process at once with exit code 0, for a start that has begun nothing yet.

    Without a handler, the first process of a container ignores SIGTERM. SIGHUP has no effect: the files are being read.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(0)


def stop_on_signal(stop: asyncio.Event) -> None:
    """Make SIGINT and SIGTERM set `stop`, however often they arrive."""
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def reload_on_signal(reload: Callable[[], None]) -> None:
    """Make SIGHUP call `reload`, however often it arrives."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end, on uvloop if it is installed."""
    _raise_file_limit()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)
    for number in (*STOP_SIGNALS, signal.SIGHUP):  # a second signal must not turn a clean end into a failure
        signal.signal(number, signal.SIG_IGN)


def _raise_file_limit() -> None:
    """Raise the soft limit of file descriptors to the hard limit: a dashboard uses one, and 1,024 is a common limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
