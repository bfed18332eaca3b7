"""Scan of the broker's retained messages: our stream's events, and lamps that are lit."""

from typing import Final

import msgspec

from bridge.domain.event_topic import EVENT_LEVELS
from bridge.domain.lamp_topic import LampTopic
from bridge.domain.messages import Message
from bridge.domain.place import LinePlace
from bridge.domain.stream_status import StreamOwner, read_status, status_topic
from bridge.domain.topic_tree import TopicBranch

LIT_PAYLOADS: Final = frozenset({b"open", b"acknowledged"})
MAX_MESSAGES: Final = 100_000  # bounds the time of a scan: some 20 s of a core
MAX_BYTES: Final = 128 * 1024 * 1024  # likewise; only topics of ours are kept


class _Origin(msgspec.Struct):
    """The field of an envelope that names its stream."""

    stream: str


_ORIGIN: Final = msgspec.json.Decoder(_Origin)


class RetainedScan:
    """Collects the messages of one subscription to `filters`, in this order, until it has enough.

    A broker queues retained messages when it accepts a subscription, filter by filter, and later publications behind
    them. So the stream's live status, published once a second, ends the scan. The retained status, requested last,
    proves that no message before it was dropped: a queue that was full stayed full until then.
    """

    def __init__(self, root: str, *, stream: str, owner: StreamOwner) -> None:
        self._stream = stream
        self._owner = owner
        self._status = status_topic(root, stream)
        self._event_prefix, self._lamp_prefix = TopicBranch.EVENT.prefix(root), TopicBranch.STATION.prefix(root)
        self.filters = (TopicBranch.EVENT.topic_filter(root), TopicBranch.STATION.topic_filter(root), self._status)
        self.events = dict[str, LinePlace]()
        """Topics relative to `event/` that hold an event of our stream, and their lines."""
        self.lit_lamps = dict[str, LinePlace]()
        """Topics relative to `station/` of lamps that are lit, of any stream, and their lines."""
        self.foreign_lines = set[LinePlace]()
        """Lines with retained events of another stream."""
        self.messages = 0
        self._bytes = 0
        self.is_complete = False
        """Return whether every retained message that the broker lets us read was seen."""

    def add(self, message: Message) -> bool:
        """Add one message; return True when it was the last one needed."""
        topic, payload = message.topic, message.payload
        if topic == self._status:
            return self._is_own_live_status(payload, retained=message.retained)
        if not message.retained:
            return False  # published by us during the scan, so already known
        self.messages += 1
        self._bytes += len(topic) + len(payload)
        if topic.startswith(self._event_prefix):
            self._add_event(topic.removeprefix(self._event_prefix), payload)
        elif topic.startswith(self._lamp_prefix) and payload in LIT_PAYLOADS:
            self._add_lamp(topic.removeprefix(self._lamp_prefix))
        return self.stop_reason is not None

    @property
    def stop_reason(self) -> str | None:
        """Return the limit that stopped the scan before its end; None when there was none."""
        if self.messages >= MAX_MESSAGES:
            return f"more than {MAX_MESSAGES} retained messages"
        return f"more than {MAX_BYTES} bytes retained" if self._bytes >= MAX_BYTES else None

    def _is_own_live_status(self, payload: bytes, *, retained: bool) -> bool:
        if retained:
            self.is_complete = True
            return False
        status = read_status(payload)
        return status is not None and status.is_owned_by(self._owner)

    def _add_event(self, topic: str, payload: bytes) -> None:
        levels = topic.split("/")
        if len(levels) != EVENT_LEVELS:
            return
        try:
            stream = _ORIGIN.decode(payload).stream
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # not an event of any stream, so left alone
        if stream == self._stream:
            self.events[topic] = _line_place(levels)
        else:
            self.foreign_lines.add(_line_place(levels))

    def _add_lamp(self, topic: str) -> None:
        lamp = LampTopic.parse(topic)
        if lamp is not None:
            self.lit_lamps[topic] = lamp.line_place


def _line_place(levels: list[str]) -> LinePlace:
    site, area, line = levels[:3]
    return site, area, line
