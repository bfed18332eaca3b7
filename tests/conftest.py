"""Brokers that any test may ask for by name, how hard property tests try, and the order of the tests."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support import run_record
from tests.support.brokers import RunningBroker, mosquitto_broker, nats_broker, running
from tests.support.random_order import shuffled

SUITE, PROOF, MUTATIONS = "suite", "proof", "mutations"
EXAMPLES = {SUITE: 0.2, PROOF: 10, MUTATIONS: 1}  # times as many as a test asks for: each run of the suite draws others

# No test fails for being slow: machines are shared, and on a fresh checkout the first text costs its tables
UNTIMED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
for profile in (SUITE, PROOF):
    hypothesis.settings.register_profile(profile, UNTIMED)
# the same examples each time: whether a mutation is found is no matter of luck
hypothesis.settings.register_profile(MUTATIONS, UNTIMED, derandomize=True, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", SUITE))


BEGAN = time.time()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--random-order", type=int, metavar="SEED", help="run modules, and the tests of each, in an order of this seed"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    run_record.collect(getattr(node, "workeroutput", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    run_record.keep(BEGAN, session)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("--random-order")) is not None:
        items[:] = shuffled(items, module_of=lambda item: item.path, seed=seed)
    times = EXAMPLES[hypothesis.settings.get_current_profile_name()]
    # a parametrized test is one function and many items: it would be multiplied once for each of them
    tests = {getattr(item, "obj", None): None for item in items}
    for test in tests:
        configured = getattr(test, "_hypothesis_internal_use_settings", None)  # no public way to ask a collected test
        if isinstance(configured, hypothesis.settings):
            scaled = hypothesis.settings(configured, max_examples=round(times * configured.max_examples))
            test._hypothesis_internal_use_settings = scaled  # type: ignore[union-attr] # noqa: SLF001 - as above


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the journal of this test; it does not exist yet."""
    return tmp_path / "journal.db"


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
