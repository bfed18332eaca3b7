"""Access to HTTP routes: the bearer token."""

import pytest

from bridge.http.access import bearer_token


@pytest.mark.parametrize(
    ("header", "token"),
    [(None, None), ("Bearer a.b.c", "a.b.c"), ("bearer  x ", "x"), ("Basic eDp5", None), ("Bearer", None), ("", None)],
)
def test_a_bearer_token_is_read_from_its_header_only(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token
