"""Every route has the access that docs/protocol.md, «HTTP», documents; a new route fails here."""

import re
from pathlib import Path
from typing import Final

import httpx

from tests.support.command_line import ROOT
from tests.support.front_server import served_front
from tests.support.tokens import bearer

(TABLE,) = re.findall(
    r"^\| path \| content \| access \|\n\|[ |-]+\n((?:\|.*\n)+)", (ROOT / "docs/protocol.md").read_text(), re.MULTILINE
)
ACCESS: Final = {
    path: access
    for paths, access in re.findall(r"^\| (.*?) \|.*\| (.*?) \|$", TABLE, re.MULTILINE)
    for path in re.findall(r"`(?:POST )?(/[^`?]*)", paths)
}
REFUSED: Final = {
    "open": (False, False, False),
    "token": (True, False, False),
    "admin": (True, True, False),
    "admin; open on `web.metrics_port`": (True, True, False),  # on the port of the others
}
"""Access -> whether it is refused without a token, to a viewer, and to an admin."""

VIEWER: Final = bearer(roles=("viewer",), lines=["L1"])
UNLISTED: Final = {"/", "/openapi.json"}  # these are no part of the OpenAPI document


async def test_every_route_has_the_documented_access(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, httpx.AsyncClient(base_url=served.http) as client:
        routes = [
            (method.upper(), path)
            for path, methods in (await client.get("/openapi.json")).json()["paths"].items()
            for method in methods
        ]
        assert {path for _, path in routes} | UNLISTED == ACCESS.keys()
        for method, path in [*routes, *(("GET", path) for path in sorted(UNLISTED))]:
            content = b"{}" if method == "POST" else None
            refused = []
            for token in ({}, VIEWER, bearer()):
                answer = await client.request(method, path, headers=token, content=content)
                refused.append(answer.status_code in (401, 403))
            assert tuple(refused) == REFUSED[ACCESS[path]], (method, path)
