"""An event loop without threads or waiting: time jumps to the next deadline, and a seed decides the order."""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from random import Random
from typing import Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack, override

T = TypeVar("T")
Args = TypeVarTuple("Args")
START = 1_000.0  # seconds; a loop's time may begin anywhere


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of a loop as code without sockets, signals and processes needs; callbacks run in the order they came.

    What would run in a thread runs in between, at once or late, and its result may be late again: as the seed has it.
    """

    def __init__(self, chance: Random, *, slowest_read: float = 0.02) -> None:
        self.failures: list[dict[str, Any]] = []  # what a loop would have logged as unhandled
        self.slowest_read = slowest_read
        self._chance = chance
        self._now = START
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order: they are cancelled in the same one in every run

    def run(self, work: Coroutine[Any, Any, T], *, until: float) -> T:
        """Run to the end of `work`, for `until` virtual seconds at most."""
        asyncio._set_running_loop(self)  # noqa: SLF001 - for those who implement loops
        try:
            task: asyncio.Task[T] = self.create_task(work)
            while not task.done():
                self._step(START + until)
            return task.result()
        finally:
            self._end()
            asyncio._set_running_loop(None)  # noqa: SLF001 - as above

    def _end(self) -> None:
        """Cancel the remaining tasks, as `asyncio.run` does."""
        remaining = [pending for pending in self._tasks if not pending.done()]
        for task in remaining:
            task.cancel()
        while not all(pending.done() for pending in remaining):
            self._step(math.inf)

    def _step(self, until: float) -> None:
        if not self._ready:
            if not self._timers:
                raise TimeoutError("nothing is due any more, and the work is not done")
            self._now = max(self._now, self._timers[0][0])
            if self._now > until:
                raise TimeoutError(f"not done within {until - START} virtual seconds")
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - as above

    @override
    def time(self) -> float:
        return self._now

    @override
    def call_soon(
        self, callback: Callable[[Unpack[Args]], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    @override
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    @override
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    @override
    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    @override
    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    @override
    def run_in_executor(self, executor: object, func: Callable[[Unpack[Args]], T], *args: *Args) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = self.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if answer.cancelled():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type] # one of the two is there

        def work() -> None:
            try:
                result, error = func(*args), None
            except Exception as raised:  # noqa: BLE001 - whatever a thread raises is its future's
                result, error = None, raised
            self._later(settle, result, error)

        self._later(work)
        return answer

    def _later(self, callback: Callable[[Unpack[Args]], object], *args: *Args) -> None:
        if self._chance.random() < 0.4:
            self.call_soon(callback, *args)
        else:
            self.call_later(self._chance.random() * self.slowest_read, callback, *args)

    @override
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    @override
    def get_debug(self) -> bool:
        return False

    @override
    def is_running(self) -> bool:
        return True

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it where it is: it is passed over when its time has come."""
