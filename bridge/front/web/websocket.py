"""Checks of a WebSocket's handshake: origin, subprotocol, token."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from bridge.http.access import bearer_token

SUBPROTOCOL: Final = "floor.v1"
BEARER_PREFIX: Final = "bearer."
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_origin_allowed(origin: str | None, *, host: str | None, secure: bool, allowed: Sequence[str]) -> bool:
    """Return whether a page of this origin may connect: the server's own origin, or exactly one of `allowed`.

    No browser omits Origin (RFC 6455 10.2): without it there is no web page whose visitor could be abused.
    """
    if origin is None or "*" in allowed:
        return True
    if origin in allowed:
        return origin != "null"  # the origin of every sandboxed page
    parts = _parse_origin(origin)
    scheme = "https" if secure else "http"
    return parts is not None and host is not None and parts == _parse_origin(f"{scheme}://{host}")


def _parse_origin(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port (RFC 6454 4); None for an origin that no browser sends."""
    try:
        url = urlsplit(origin)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in DEFAULT_PORTS or not url.hostname or url.netloc.rpartition("@")[1]:
        return None
    if url.path or url.query or url.fragment or origin != f"{url.scheme}://{url.netloc}":
        return None
    return url.scheme, url.hostname, DEFAULT_PORTS[url.scheme] if port is None else port


def handshake_token(websocket: WebSocket, *, in_query: bool) -> str | None:
    """Return the handshake's token from the header, else the subprotocol, else (if `in_query`) the query."""
    token = bearer_token(websocket.headers.get("authorization")) or _subprotocol_token(websocket.scope["subprotocols"])
    query_token = websocket.query_params.get("token")
    websocket.scope["query_string"] = b""  # keeps the token out of anything that logs this scope later
    return token or (query_token if in_query else None)


def _subprotocol_token(offered: Iterable[str]) -> str | None:
    # Of a WebSocket's handshake headers, browsers let a page set only the subprotocol.
    tokens = (protocol.removeprefix(BEARER_PREFIX) for protocol in offered if protocol.startswith(BEARER_PREFIX))
    return next(tokens, None) or None


def select_subprotocol(offered: Iterable[str]) -> str | None:
    """Return `floor.v1` if it was offered, else None; never the subprotocol that carries the token."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
