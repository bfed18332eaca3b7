"""Tokens as the issuer of the tests' settings signs them, without any code of the bridge."""

import time
from collections.abc import Sequence
from typing import Any, Final

import jwt

SECRET: Final = "a-secret-of-the-tests-that-is-long-enough"


def token(
    *,
    user: str = "eva",
    roles: Sequence[str] = ("admin",),
    ttl: float = 86_400,
    now: float | None = None,
    **claims: object,
) -> str:
    """Return a signed token, by default of the admin eva; `claims` add to it or replace what is in it.

    `ttl` in seconds outlives the longest run: some tokens are made when tests are collected. `now` is the issuer's wall
    clock, in seconds since 1970.
    """
    expires = (time.time() if now is None else now) + ttl
    statements = {"iss": "floor", "aud": "floor", "sub": user, "exp": expires, "roles": list(roles)}
    return jwt.encode({**statements, **claims}, SECRET, algorithm="HS256")


def bearer(**claims: Any) -> dict[str, str]:
    """Return the header that carries such a token."""
    return {"Authorization": f"Bearer {token(**claims)}"}
