"""The log contains the begin and the end of every absence, under one name."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.pipeline import link_outage_detector
from tests.pipeline.pipeline_run import run_pipeline
from tests.support.brokers import until
from tests.support.fake_link import FakeLink


def of(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


async def test_a_lost_link_is_logged_at_the_begin_and_the_end_of_the_absence(
    link: FakeLink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_outage_detector, "OUTAGE_SECONDS", 0.2)
    with capture_logs() as logs:
        async with run_pipeline(link, path):
            for turn in (1, 2):
                link.disconnect()
                await until(lambda: len(of(logs, "floor.unobserved")) == turn, what="the begin of the absence")  # noqa: B023
                assert len(of(logs, "floor.observed")) == turn - 1
                link.reconnect()
                await until(lambda: len(of(logs, "floor.observed")) == turn, what="somebody watches")  # noqa: B023
    assert {(event["log_level"], event["reason"]) for event in of(logs, "floor.unobserved")} == {("warning", "link")}
    for lost, back in zip(of(logs, "floor.unobserved"), of(logs, "floor.observed"), strict=True):
        assert (back["log_level"], back["since"]) == ("info", lost["since"])
        assert back["seconds"] > 0
