"""Checks before the WebSocket opens: allowed origins, and where a token is accepted."""

import pytest

from bridge.front.web.websocket import is_origin_allowed, select_subprotocol

HOST = "floor.example:8080"


@pytest.mark.parametrize(
    ("origin", "secure", "allowed"),
    [
        (None, False, ()),
        ("http://floor.example:8080", False, ()),
        ("https://floor.example:8080", True, ()),
        ("http://FLOOR.example:8080", False, ()),
        ("https://wall.example", False, ("https://wall.example",)),
        ("https://anything.example", False, ("*",)),
    ],
)
def test_a_page_of_the_server_or_of_the_list_may_connect(
    origin: str | None,
    secure: bool,  # noqa: FBT001 - a table's column
    allowed: tuple[str, ...],
) -> None:
    assert is_origin_allowed(origin, host=HOST, secure=secure, allowed=allowed)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://floor.example",
        "http://floor.example:80",
        "https://floor.example:8080",
        "http://floor.example:8080.evil.example",
        "http://floor.example:8080@evil.example",
        "http://evil.example@floor.example:8080",
        "http://evil-floor.example:8080",
        "http://floor.example.:8080",
        "http://floor.example:8080/",
        "http://floor.example:8080?x",
        "http://floor.example:8080#",
        "http://floor.example:99999",
        "http://[floor.example:8080",
        "ws://floor.example:8080",
        "file://",
        "floor.example:8080",
        "http://floor.example:8080 http://evil.example",
        "https://wall.example.evil.example",
        "https://wall.example:444",
        "http://wall.example",
        "https://wall.examp1e",
    ],
)
def test_foreign_null_and_similar_origins_are_refused(origin: str) -> None:
    assert not is_origin_allowed(origin, host=HOST, secure=False, allowed=("https://wall.example", "null"))
    assert not is_origin_allowed(origin, host=None, secure=False, allowed=())


def test_default_ports_are_the_same_origin() -> None:
    assert is_origin_allowed("https://floor.example", host="floor.example:443", secure=True, allowed=())
    assert is_origin_allowed("http://floor.example", host="floor.example:80", secure=False, allowed=())
    assert not is_origin_allowed("http://floor.example", host="floor.example:443", secure=False, allowed=())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["floor.v1", "bearer.x"], "floor.v1"),
        (["bearer.x", "floor.v1"], "floor.v1"),
        (["bearer.x"], None),
        ([], None),
        (["", "bearer.", 'we"ird', "floor.v2"], None),
    ],
)
def test_the_token_is_never_the_chosen_subprotocol(offered: list[str], chosen: str | None) -> None:
    assert select_subprotocol(offered) == chosen
