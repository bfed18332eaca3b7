"""HEAD requests: answered as GET."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

IS_HEAD: Final = "floor.is_head"
"""ASGI extension of the scope of a GET that stands for a HEAD: its body needs not be made."""


class HeadAsGet:
    """Middleware that gives the app a GET for each HEAD; the server, which keeps its own scope, omits the body.

    RFC 9110 9.3.2: the same response.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", "extensions": {**scope.get("extensions", {}), IS_HEAD: {}}}
        await self._app(scope, receive, send)
