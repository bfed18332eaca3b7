"""The accounting of the pipeline (design.md, promise P6): a message that our own code loses is found and reported."""

from collections.abc import Iterator
from pathlib import Path

import structlog
from typing_extensions import override

from bridge.domain.messages import Message
from bridge.pipeline.status import UNKNOWN, ReceivedCounts
from tests.pipeline.pipeline_run import deliver, run_pipeline
from tests.support.brokers import until
from tests.support.fake_link import FakeLink


class ReadOnce(list[Message]):
    """Messages that only the first reader finds."""

    @override
    def __iter__(self) -> Iterator[Message]:
        messages = list(super().__iter__())
        self.clear()
        return iter(messages)


class LeakingLink(FakeLink):
    @override
    async def receive(self, *, most: int) -> list[Message]:
        return ReadOnce(await super().receive(most=most))


async def test_a_message_that_is_lost_on_the_way_is_reported(path: Path) -> None:
    """One that was counted as received, and is never applied, as a bug of ours would lose it."""
    link = LeakingLink()
    with structlog.testing.capture_logs() as logs:
        async with run_pipeline(link, path, checkpoint_seconds=0.05) as run:
            deliver(link, "report/bagger/counts", total=1)
            await until(lambda: run.pipeline.status().unaccounted["counts"] == 1, what="unaccounted")
            await until(
                lambda: any(entry["event"] == "pipeline.accounting_mismatch" for entry in logs), what="the report"
            )
    assert [entry["unaccounted"] for entry in logs if entry["event"] == "pipeline.accounting_mismatch"] == [
        {"counts": 1}
    ]


def test_a_journal_whose_counters_do_not_reach_its_last_input_is_reported() -> None:
    received = ReceivedCounts({("state", "applied", ""): 3, ("state", "suppressed", "duplicate"): 1}, last_number=5)
    assert received.by_kind == {"state": 4, UNKNOWN: 1}
    assert ReceivedCounts({("state", "applied", ""): 3}, last_number=3).by_kind == {"state": 3}
