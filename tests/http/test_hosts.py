"""The Host of a request: addresses and names of the server are served, others are refused before anything else."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.http.hosts import is_host_allowed, own_names
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import RawClient, SocketApp, served
from tests.http.test_request_checks import exchange

WEB = WebSettings(host="floor.local", allowed_hosts=("Floor.Example",))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8080", "192.0.2.7:80", "[::1]", "[::1]:8080", "[2001:db8::1]:", "[fe80::1%eth0]"),
        *("localhost", "LOCALHOST:8080", "localhost.", "bridge.localhost", socket.gethostname()),
        *("floor.local", "floor.example", "FLOOR.example:8080", "floor.example.:443"),
    ],
)
def test_addresses_and_own_names_are_allowed(host: str) -> None:
    assert is_host_allowed(host, own_names(WEB))


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "floor.example.evil.example", "evil-floor.example", "xfloor.example", "localhost.example"),
        *("127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil.example@127.0.0.1", "notlocalhost", "127.1"),
        *("floor.example:x", "floor.example:80:80", "[::1", "::1", "[::1]x", "[evil.example]", "[]", ":80", ".", " "),
        *("floor.example..", "floor.example/", "floor.example evil.example", "*", "floor.ex\u00e4mple", "127.0.0.1 "),
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_host_allowed(host, own_names(WEB))
    assert is_host_allowed(host, own_names(WebSettings(allowed_hosts=("*",))))


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@asynccontextmanager
async def running(load: ServerLoad) -> AsyncIterator[int]:
    async with served(Starlette(routes=[Route("/", hello)]), load=load) as port:
        yield port


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (b"HEAD / HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (b"GET /nothing HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        (b"GET / HTTP/1.0\r\n", 200),
        (b"GET / HTTP/1.0\r\nHost: evil.example\r\n", 421),
    ],
)
async def test_a_request_for_another_name_is_refused(request_head: bytes, status: int) -> None:
    load = ServerLoad(WebSettings())
    async with running(load) as port:
        answer = await exchange(port, request_head + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b"content-security-policy" in answer) is (status != 200)
    assert load.refused == ({} if status == 200 else {status: 1})


@pytest.mark.parametrize("host", [b"evil.example", b"floor.example:80"])
async def test_a_websocket_for_another_name_is_refused(host: bytes) -> None:
    app = SocketApp()
    async with served(app, WEB) as port:
        client = await RawClient.connect(port, host=host)
        head = await client.upgraded()
        client.close()
    assert head.startswith(b"HTTP/1.1 421 " if host == b"evil.example" else b"HTTP/1.1 101 ")
    assert len(app.opened) == (host != b"evil.example")
