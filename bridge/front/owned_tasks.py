"""Tasks of one owner, which are cancelled with it; none exists while there is nothing to wait for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class OwnedTasks:
    """Tasks that end with their owner. `on_fault` is called with an exception that a task lets out."""

    __slots__ = ("_on_fault", "_tasks")

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        self._on_fault = on_fault
        self._tasks: set[asyncio.Task[None]] | None = None

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        if self._tasks is None:
            self._tasks = set()
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        for task in self._tasks or ():
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        assert self._tasks is not None, "it was started"
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)
