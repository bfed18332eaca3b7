"""Hand-over of an accepted WebSocket from an ASGI app, which then ends."""

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from bridge.ports.dashboard_socket import DashboardSocket, SocketHandler

HAND_OVER: Final = "floor.socket"
"""ASGI extension of a WebSocket's scope, a HandOver: after `websocket.accept`, and as the last thing of the app."""

OpenSocket = Callable[[DashboardSocket], SocketHandler | None]
"""Takes a new socket, and returns its handler; None: it has closed the socket."""
HandOver = Callable[[OpenSocket], None]


def hand_over(scope: MutableMapping[str, Any], open_socket: OpenSocket) -> None:
    """Pass the accepted WebSocket of this ASGI scope to `open_socket` at once, unless the client has disconnected."""
    take: HandOver = scope["extensions"][HAND_OVER]
    take(open_socket)
