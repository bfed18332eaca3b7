"""Liveness of a stream at a separate front, which uses MQTT messages only as hints to read the journal."""

import json

import pytest

from bridge.domain.stream_liveness import SILENT_MS, OffsetHint, StreamLiveness, read_hint
from bridge.domain.stream_status import StreamStatus, read_status

LIVE = StreamStatus(online=True, ready=True, epoch="e", time="2026-01-06T12:00:00.000Z")
DEEP = b"[" * 200_000


def test_an_event_of_the_stream_hints_at_its_position() -> None:
    body = {"type": "andon_event", "stream": "main", "epoch": "e", "offset": 7, "data": {}}
    assert read_hint(json.dumps(body).encode(), stream="main") == OffsetHint("e", 7)
    assert read_hint(json.dumps(body).encode(), stream="other") is None


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"null", b"[]", b'{"stream":"main"}', b'{"stream":"main","epoch":"e","offset":"7"}', DEEP,
     b'{"stream":"main","epoch":1,"offset":7}', b'{"data":' + DEEP + b"}", b'{"stream":"\xff","epoch":"e","offset":1}'],
)  # fmt: skip
def test_a_message_that_is_no_event_triggers_no_read(payload: bytes) -> None:
    assert read_hint(payload, stream="main") is None
    assert read_status(payload) is None


def test_a_stream_is_live_while_its_status_is_repeated() -> None:
    liveness = StreamLiveness().with_status(LIVE, retained=False, now=1_000, read_offset=0)
    assert liveness.not_live_reason(epoch="e", now=1_000 + SILENT_MS - 1, read_offset=0) is None
    assert liveness.not_live_reason(epoch="e", now=1_000 + SILENT_MS, read_offset=0) == "the pipeline is silent"
    assert StreamLiveness().not_live_reason(epoch="e", now=0, read_offset=0) == "the pipeline is silent"


def test_a_stream_that_is_offline_not_ready_or_of_another_epoch_is_not_live() -> None:
    for status, reason in (
        (StreamStatus(online=False, epoch="e"), "the pipeline is offline"),
        (StreamStatus(online=True, epoch="e", ready=False), "the pipeline is not ready"),
        (
            StreamStatus(online=True, epoch="f", ready=True),
            "the pipeline writes a different journal than this front reads",
        ),
    ):
        assert (
            StreamLiveness()
            .with_status(status, retained=False, now=5, read_offset=0)
            .not_live_reason(epoch="e", now=5, read_offset=0)
            == reason
        )


def test_a_retained_status_never_makes_a_stream_live_and_may_end_it() -> None:
    assert (
        StreamLiveness()
        .with_status(LIVE, retained=True, now=5, read_offset=0)
        .not_live_reason(epoch="e", now=5, read_offset=0)
        is not None
    )
    live = StreamLiveness().with_status(LIVE, retained=False, now=5, read_offset=0)
    ended = live.with_status(StreamStatus(online=False, epoch="e"), retained=True, now=6, read_offset=0)
    assert ended.not_live_reason(epoch="e", now=6, read_offset=0) is not None


def test_a_stream_is_not_live_where_what_it_publishes_cannot_be_read() -> None:
    def with_status(liveness: StreamLiveness, offset: int, *, now: int, read: int) -> StreamLiveness:
        status = StreamStatus(online=True, ready=True, epoch="e", offset=offset)
        return liveness.with_status(status, retained=False, now=now, read_offset=read)

    behind = StreamLiveness()
    for second in range(1, 5):
        behind = with_status(behind, 10 + second, now=second * 1_000, read=10)
    assert behind.not_live_reason(epoch="e", now=1_000 + SILENT_MS - 1, read_offset=10) is None
    reason = behind.not_live_reason(epoch="e", now=1_000 + SILENT_MS, read_offset=10)
    assert reason == "published events are missing in the journal that this front reads"
    assert behind.not_live_reason(epoch="e", now=1_000 + SILENT_MS, read_offset=11) is None
    later = with_status(behind, 15, now=5_000, read=11)  # behind by a second all the time, and no more
    assert later.not_live_reason(epoch="e", now=5_000 + SILENT_MS - 1, read_offset=11) is None
    assert later.not_live_reason(epoch="e", now=5_000 + SILENT_MS - 1, read_offset=15) is None


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-01-06T12:00:00", "9" * 400])
def test_an_invalid_time_is_none(time: str | None) -> None:
    status = StreamStatus(online=True, epoch="e", time=time)
    assert StreamLiveness(status).status_time is None
    assert StreamLiveness(LIVE).status_time == 1_767_700_800_000
