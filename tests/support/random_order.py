"""Random order of tests, repeatable by its seed: of the modules, and of the tests within each.

A module's tests stay together, so that what its fixtures start is started once.
"""

import random
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def shuffled(items: list[T], *, module_of: Callable[[T], object], seed: int) -> list[T]:
    """Return the items in an order drawn from the seed."""
    draw = random.Random(seed)
    modules: dict[object, list[T]] = {}
    for item in items:
        modules.setdefault(module_of(item), []).append(item)
    order = list(modules.values())
    draw.shuffle(order)
    for tests in order:
        draw.shuffle(tests)
    return [test for tests in order for test in tests]
