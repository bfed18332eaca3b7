"""Quiet links: what a fault run prints is its books."""

import pytest

from bridge.adapters import logs


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logs.configure(level="critical", log_format="console")
