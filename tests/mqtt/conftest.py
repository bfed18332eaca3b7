"""A link to a scripted broker, with each reader of the socket."""

import functools

import pytest

from tests.support.scripted_broker import Scripted, scripted_link


@pytest.fixture(params=["one-pass", "paho"])
def scripted(request: pytest.FixtureRequest) -> Scripted:
    return functools.partial(scripted_link, reader=request.param)
