"""What a process that serves thousands asks of its operating system and of its interpreter."""

import asyncio
import gc
import resource
from collections.abc import Coroutine
from typing import Any, Final

COLLECT_AFTER: Final = (50_000, 20, 100)
"""New objects before Python looks for cycles, and how much rarer it looks at older ones. A dashboard is some hundred
objects that live long: by default a quarter of the time in which thousands return goes into looking at them again."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run this to its end, on uvloop where there is one."""
    _raise_file_limit()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)


def _raise_file_limit() -> None:
    """Take as many file descriptors as we may: every dashboard is one, and 1,024 is a common soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
