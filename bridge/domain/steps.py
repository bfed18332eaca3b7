"""Work in steps: what may take long is a generator, whose driver decides when it goes on."""

from collections.abc import Generator
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Yields after each step of at most some 0.5 ms, and returns the result."""

STEP_ITEMS: Final = 50  # grants or filters of one step: each takes some 2 to 10 us


def complete(steps: Steps[T]) -> T:
    """Do all steps at once, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class RunSteps(Protocol):
    """Does steps while other work goes on, and returns the result."""

    async def __call__(self, steps: Steps[T], /) -> T: ...


async def at_once(steps: Steps[T], /) -> T:
    return complete(steps)
