"""Checkpoints: those of earlier versions decode, and encode to the same bytes."""

import gzip

import msgspec
import pytest

from bridge.domain.line.line_state import LineState
from tests.support.journal_samples import JOURNALS

SAMPLES: list[bytes] = msgspec.msgpack.decode(
    gzip.decompress((JOURNALS / "schema_3_checkpoints.msgpack.gz").read_bytes())
)
"""Twelve that random reports led to, and one in which every field differs from its default."""


@pytest.mark.parametrize("checkpoint", SAMPLES, ids=range(len(SAMPLES)))
def test_checkpoint_of_an_earlier_version_is_read_and_written_in_the_same_bytes(checkpoint: bytes) -> None:
    assert LineState.decode(checkpoint).encode() == checkpoint
