"""When positions are due."""

import json
from collections import Counter

from bridge.domain.events import EventType
from bridge.domain.records import Position
from bridge.protocol.ledger import PositionSchedule
from bridge.protocol.server_frames import encode_frame

HERE = Position("main", "e", 3)


def test_a_position_is_due_at_once_then_after_a_flush_once_a_second_and_at_least_every_five() -> None:
    pace = PositionSchedule()
    assert pace.is_due(0, has_news=False)
    pace.frames(HERE, Counter(), now=0)
    assert not pace.is_due(4_999, has_news=False)
    assert pace.is_due(5_000, has_news=False)
    assert not pace.is_due(999, has_news=True)
    assert pace.is_due(1_000, has_news=True)
    pace.frames(HERE, Counter(), now=1_000)
    assert not pace.is_due(1_999, has_news=True)


def test_conflated_counts_are_sent_with_the_next_position() -> None:
    pace = PositionSchedule()
    conflated = Counter({EventType.OEE_UPDATE: 3})
    frames = [json.loads(encode_frame(frame)) for frame in pace.frames(HERE, conflated, now=0)]
    assert [frame["type"] for frame in frames] == ["conflated", "position"]
    assert frames[0]["counts"] == {"oee_update": 3}
    conflated[EventType.OEE_UPDATE] += 2
    frames = [json.loads(encode_frame(frame)) for frame in pace.frames(HERE, conflated, now=1)]
    assert frames[0]["counts"] == {"oee_update": 2}
    assert len(pace.frames(HERE, conflated, now=2)) == 1
