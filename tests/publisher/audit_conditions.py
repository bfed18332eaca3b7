"""Conditions that tests of the audit of retained messages wait for."""

from tests.support.brokers import until
from tests.support.in_process import RunningPipeline


def right(this: RunningPipeline) -> set[str]:
    return {f"event/{event.topic}" for event in this.journal.snapshot().events}


async def looked(this: RunningPipeline) -> None:
    """Wait until what the broker retains was read on the link's present connection, and judged."""
    await until(lambda: this.publisher.audits > 0, seconds=30, what="looked at what is retained")
