"""Table of decoders: the first row whose topic filter matches a topic decodes its messages.

A payload format is a module with a `Decoder`, such as `native.py`, and its rows in `build_decoders`. A row for topics
that a wider filter matches too stands before it.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Final

from bridge.domain.intake import Decoder
from bridge.domain.reports import Disposition, Report, quarantined
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.topics import TopicFilter
from bridge.domain.utc_time import Millis
from bridge.ingest import native

_NO_DECODER: Final = quarantined("bad_topic")


class DecoderTable:
    """A `Decoder` that selects one by the topic. `subscriptions` are the filters that deliver every topic once."""

    def __init__(self, rows: Iterable[tuple[str, Decoder]]) -> None:
        """Compile the rows of filter, relative to the root, and decoder; raise `TopicError` or ValueError."""
        self._rows: list[tuple[re.Pattern[str], Decoder]] = []
        filters: list[TopicFilter] = []
        for text, decoder in rows:
            topic_filter = TopicFilter.parse(text)
            _check_order(filters, topic_filter)
            filters = [other for other in filters if not topic_filter.covers(other)] + [topic_filter]
            self._rows.append((_compile(topic_filter), decoder))
        self.subscriptions = tuple(map(str, filters))

    def __call__(
        self, topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool
    ) -> Report | Disposition:
        """Decode a message with the decoder of its topic; without one it is quarantined."""
        for pattern, decoder in self._rows:
            if pattern.fullmatch(topic):
                return decoder(topic, payload, received_at=received_at, cause=cause, retained=retained)
        return _NO_DECODER


def build_decoders(*, max_bytes: int) -> DecoderTable:
    """Return the table of the pipeline. `max_bytes`: of a payload; a larger one is quarantined."""
    decode_native = partial(native.decode, max_bytes=max_bytes)
    return DecoderTable([(f"{TopicBranch.REPORT}/#", decode_native), (f"{TopicBranch.COMMAND}/#", decode_native)])


def _check_order(earlier: Iterable[TopicFilter], topic_filter: TopicFilter) -> None:
    for other in earlier:
        if other.covers(topic_filter):
            raise ValueError(f"the row {topic_filter} is never used: {other}, before it, covers it")
        # MQTT 5 3.3.4: a broker may deliver a message once for each subscription that matches
        if not topic_filter.covers(other) and topic_filter.intersect(other):
            raise ValueError(f"the rows {other} and {topic_filter} overlap: write one filter that covers the other")


def _compile(topic_filter: TopicFilter) -> re.Pattern[str]:
    """Return the pattern of exactly the topics that the filter matches; it costs less than parsing each topic."""
    levels = "/".join("[^/]*" if level == "+" else re.escape(level) for level in topic_filter.spine)
    # MQTT 5 4.7.2: wildcards at the start never match $-topics
    start = r"(?!\$)" if topic_filter.spine[0] == "+" else ""
    return re.compile(start + levels + ("(?:/.*)?" if topic_filter.tail else ""), re.DOTALL)
