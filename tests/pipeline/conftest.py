"""A link to no broker, for the pipeline of a test."""

import pytest

from tests.support.fake_link import FakeLink


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()
