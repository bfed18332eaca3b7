"""Logs for tests that provoke many warnings: only critical entries are printed."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    # not as `floor` does it: loggers that are cached would stay quiet in the tests that come after
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
    )
    yield
    structlog.reset_defaults()
