"""Brokers that any test may ask for by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker, mosquitto_broker, nats_broker, running


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run a Mosquitto of this test's own."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(mosquitto_broker(folder)) as broker:
        yield broker


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run a NATS server of this test's own: MQTT 3.1.1 only."""
    folder = tmp_path / "nats"
    folder.mkdir()
    with running(nats_broker(folder)) as broker:
        yield broker
