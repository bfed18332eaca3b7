"""Dashboards of the benchmarks: what each wants, and the handshake with which it asks for it."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.domain.event_topic import EventTopic
from bridge.domain.filter_index import FilterIndex
from bridge.domain.topics import TopicFilter
from tests.bench.load import LINES, LINES_OF_AN_AREA, place_of
from tests.bench.processes import Handshake
from tests.support.bytes_dashboard import BINARY, UPGRADE, encoded, masked
from tests.support.tokens import token

MQTT_UPGRADE: Final = UPGRADE.replace(b"/ws", b"/mqtt").replace(
    b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
ALARMS: Final = "+/+/+/+/andon/+/critical/#"


@dataclass(frozen=True, slots=True)
class Audience:
    """The sets of filters of the dashboards; dashboard number n has set n, and begins again after the last."""

    name: str
    filter_sets: tuple[tuple[str, ...], ...]

    def filters_of(self, number: int) -> Sequence[str]:
        return self.filter_sets[number % len(self.filter_sets)]

    def wanted(self, topics: Mapping[EventTopic, int]) -> Sequence[int]:
        """Return for each set how many events of these topics, of which there are so many, match it."""
        index: FilterIndex[int] = FilterIndex()
        for number, filters in enumerate(self.filter_sets):
            for text in filters:
                index.add(TopicFilter.parse(text), number)
        wanted = [0] * len(self.filter_sets)
        for topic, count in topics.items():
            for number in index.match_masked(topic, -1):
                wanted[number] += count
        return wanted


def _site_and_line(number: int) -> tuple[str, str]:
    """Return a line, and the site that it is not of: half of the plant and one line."""
    place = place_of(number)
    return f"S{1 - int(place.site[1:])}/#", f"{place.site}/{place.area}/{place.line}/#"


def _mixed() -> Iterable[tuple[str, str]]:
    """Yield 200 sets: a line, an area, or a machine, and with each the critical alarms of the plant."""
    for line in range(LINES):
        yield f"+/+/L{line}/#", ALARMS
    for area in range(LINES // LINES_OF_AN_AREA):
        yield f"+/A{area}/#", ALARMS
    for line in range(80):
        yield f"+/+/L{line}/L{line}-M0/#", ALARMS


EVERYTHING: Final = Audience("everything", (("#",),))
DISTINCT: Final = Audience("distinct", tuple(_site_and_line(line) for line in range(LINES)))
MIXED: Final = Audience("mixed", tuple(_mixed()))
AUDIENCES: Final = {audience.name: audience for audience in (EVERYTHING, DISTINCT, MIXED)}


def front_handshake(number: int, filters: Sequence[str], *, coalescing_ms: int) -> Handshake:
    """Return the handshake of a user's dashboard; without coalescing it is a ten-line client's."""
    frames: list[dict[str, Any]] = [{"type": "auth", "token": token(user=f"user-{number}")}]
    if coalescing_ms:
        frames.append({"type": "options", "batch": True, "batch_ms": coalescing_ms})
    ids = [*(f"f{at}" for at in range(1, len(filters))), "last"]
    frames += [
        {"type": "subscribe", "id": subscription_id, "mqtt_filter": text, "snapshot": False}
        for subscription_id, text in zip(ids, filters, strict=True)
    ]
    return Handshake(UPGRADE, encoded(*frames), b'"id":"last"')


def mqtt_handshake(number: int, filters: Sequence[str]) -> Handshake:
    """Return the handshake of an MQTT 3.1.1 client with subscriptions of QoS 0, ready at the SUBACK."""
    connect = b"\0\4MQTT\4\2\0\0" + _mqtt_text(f"dashboard-{number}")
    subscribe = b"\0\1" + b"".join(_mqtt_text(text) + b"\0" for text in filters)
    packets = bytes((0x10, len(connect))) + connect + bytes((0x82, len(subscribe))) + subscribe
    return Handshake(MQTT_UPGRADE, masked(packets, BINARY), b"\x90")


def _mqtt_text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()
