"""Table of all shapes of attacks, and those of the short form."""

from typing import Final

from tests.attack.http_shapes import http_shapes
from tests.attack.shape import Shape
from tests.attack.tls_shapes import tls_shapes
from tests.attack.websocket_shapes import websocket_shapes

QUICK_SHAPES: Final = (1, 5, 12, 23, 26, 29)
"""Numbers of the shapes of the short form."""


def all_shapes(epoch: str) -> tuple[Shape, ...]:
    """Return the shapes by their numbers, against a front whose journal has this epoch."""
    return *websocket_shapes(epoch), *http_shapes(), *tls_shapes()
