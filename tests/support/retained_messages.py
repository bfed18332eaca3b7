"""Messages that a broker retains, as a new client receives them."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent
from bridge.mqtt.link import BrokerLink
from tests.support.brokers import RunningBroker, client_settings, linked

MARK: Final = "a-mark/of-the-test"
LAMP: Final = "station/north/pack/L1/desk/material"  # of the plant in `in_process`


async def retained(broker: RunningBroker) -> dict[str, bytes]:
    """Return the messages retained below `event/` and `station/`, by topic relative to the root."""
    link = BrokerLink(
        client_settings(broker),
        client_id="a-newcomer",
        durable=False,
        subscriptions=[("floor/v1/event/#", 1), ("floor/v1/station/#", 1), (MARK, 1)],
    )
    payloads: dict[str, bytes] = {}
    async with linked(link):
        await link.publish(MARK, b"!")  # comes behind all that the subscriptions brought
        while True:
            messages = await link.receive(most=100)
            payloads |= {
                message.topic.removeprefix("floor/v1/"): message.payload for message in messages if message.retained
            }
            link.acknowledge(messages)
            if any(message.topic == MARK for message in messages):
                return payloads


async def until_retained(
    broker: RunningBroker, holds: Callable[[dict[str, bytes]], bool], *, seconds: float = 20.0
) -> dict[str, bytes]:
    """Wait until what a new subscriber finds is as wanted, and return it."""
    async with asyncio.timeout(seconds):
        while not holds(payloads := await retained(broker)):
            pass
    return payloads


def event_topics(payloads: Mapping[str, bytes]) -> set[str]:
    return {topic for topic in payloads if topic.startswith("event/")}


def expected(current: Sequence[CommittedEvent]) -> dict[str, bytes]:
    """Return what should be retained while these events are current; lamps only where they are lit."""
    events = {f"event/{event.topic}": event.body for event in current}
    return events | {topic: word for event in current for topic, word in _lamp(event).items()}


def lit(payloads: Mapping[str, bytes]) -> dict[str, bytes]:
    """Leave out the lamps that are off: they need not have been published."""
    return {topic: payload for topic, payload in payloads.items() if payload != b"off"}


def _lamp(event: CommittedEvent) -> dict[str, bytes]:
    if event.type is not EventType.ANDON_EVENT:
        return {}
    call = json.loads(event.body)["data"]
    if call.get("station_id") is None or call["status"] not in ("open", "acknowledged"):
        return {}
    site, area, line = event.state_key[:3]
    return {f"station/{site}/{area}/{line}/{call['station_id']}/{call['andon_type']}": call["status"].encode()}
