"""Andon board files."""

from importlib.resources import files
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

MEDIA_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


def board_routes() -> list[Route]:
    """Return routes to the Andon board at `/` and to its files, read once, so that no client input becomes a path."""
    folder = files("bridge") / "board"
    routes = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            routes.append(_page(path, file.read_bytes(), media_type))
    return routes


def _page(path: str, content: bytes, media_type: str) -> Route:
    async def page(_: object) -> Response:
        return Response(content, media_type=media_type)

    return Route(path, page, include_in_schema=False)
