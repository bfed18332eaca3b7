"""The one thread that writes the journal. A daemon: a disk that never answers does not keep the process alive."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Call(NamedTuple):
    function: Callable[..., Any]
    values: tuple[Any, ...]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class JournalThread:
    """Runs calls in order. Not a thread pool, whose threads the interpreter waits for."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(target=self._run, name="journal-writer", daemon=True).start()

    async def call(self, function: Callable[..., T], *values: Any) -> T:
        """Return what the function returns in this thread, or raise what it raises.

        Cancelling the wait does not stop the call: it may still complete.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._calls.put(_Call(function, values, loop, answer))
        return await answer

    def close(self) -> None:
        """End the thread after the pending calls."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                result = call.function(*call.values)
            except BaseException as error:  # noqa: BLE001 - raised in the caller
                self._answer(call, call.answer.set_exception, error)
            else:
                self._answer(call, call.answer.set_result, result)

    @staticmethod
    def _answer(call: _Call, settle: Callable[[Any], None], value: object) -> None:
        def answer() -> None:
            if not call.answer.done():
                settle(value)

        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
            call.loop.call_soon_threadsafe(answer)
