"""The parts of uvicorn that the web server overrides and uses, though they are not public: they are there."""

import ast
import asyncio
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from bridge.http.handshake import HandshakeWebSocket
from bridge.http.http_connection import BoundedHttp
from bridge.http.ordered_http import OrderedHttp
from tests.support.command_line import ROOT

# -> methods overridden
PROTOCOLS: dict[type[asyncio.Protocol], int] = {OrderedHttp: 9, BoundedHttp: 10, HandshakeWebSocket: 5}


def used_names(protocol: type[asyncio.Protocol]) -> set[str]:
    """Return the attributes of `self` and methods of `super()` in the source of a class that it does not define."""
    tree = ast.parse(inspect.getsource(sys.modules[protocol.__module__]))
    (body,) = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == protocol.__name__)
    made = {name for node in body.body if getattr(node, "name", "") == "__init__" for name in _names(node)}
    return set(_names(body)) - made - (vars(protocol).keys() - set(_overridden(protocol)))


def _names(body: ast.AST) -> Iterator[str]:
    for node in ast.walk(body):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                yield name
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                yield name
            case _:
                pass


def _overridden(protocol: type[asyncio.Protocol]) -> list[str]:
    return [name for name, value in vars(protocol).items() if getattr(value, "__override__", False)]


@pytest.mark.parametrize(("protocol", "overrides"), PROTOCOLS.items())
async def test_the_private_parts_in_use_exist(protocol: type[asyncio.Protocol], overrides: int) -> None:
    (base,) = protocol.__bases__
    overridden = _overridden(protocol)
    assert len(overridden) == overrides
    assert [name for name in overridden if not hasattr(base, name)] == []
    config = uvicorn.Config(Starlette(), log_config=None)
    made = base(config=config, server_state=ServerState(), app_state={})
    set_later = [name for name in used_names(protocol) if not hasattr(made, name)]
    sources = "".join(inspect.getsource(part) for part in base.__mro__[:2])
    assert [name for name in set_later if not re.search(rf"self\.{name}(:.*)? = ", sources)] == []


def test_the_version_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"uvicorn=={uvicorn.__version__}" in project["dependencies"]
