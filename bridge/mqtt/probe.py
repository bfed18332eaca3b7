"""A probe of the broker's access rules, by real deliveries instead of the broker's answers.

Mosquitto grants every subscription, even if its rules then deliver nothing. On MQTT 3.1.1 it acknowledges
publications that it discards.
"""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bridge.domain.topic_tree import TopicBranch
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable, TopicRefused
from bridge.settings.broker import BrokerSettings

CONNECT_SECONDS = 5.0
DELIVERY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe, with a text that describes it."""

    name: str
    ok: bool
    text: str


class _NotConnected(Exception):
    """The broker did not accept the connection in time; the text gives the reason."""


async def probe_broker(settings: BrokerSettings, *, root: str, reads: Sequence[str]) -> list[ProbeResult]:
    """Probe what the bridge needs of the broker and what the broker must refuse; return a result per probe.

    `reads`: the filters that the pipeline subscribes to, relative to the root.
    Takes some seconds, and ends at the first failed connect. Publishes only empty messages under `_probe`; a running
    bridge quarantines those that the rules let through.
    """
    results: list[ProbeResult] = []
    try:
        results.append(await _connect(settings))
        results.append(await _subscribe(settings, [f"{root}/{text}" for text in reads]))
        token = secrets.token_hex(8)
        branches = (
            TopicBranch.BRIDGE, TopicBranch.EVENT, TopicBranch.STATION, TopicBranch.COMMAND, TopicBranch.REPORT,
        )  # fmt: skip
        status, event, lamp, command, report = topics = [f"{branch.prefix(root)}_probe/{token}" for branch in branches]
        async with _open_link(settings, subscriptions=topics) as bridge:
            for topic, what in ((status, "status messages"), (event, "events"), (lamp, "lamp states")):
                results.append(
                    await _check_delivered(
                        bridge, bridge, topic, f"the bridge can publish {what} and receive them back"
                    )
                )
            if _has_front(settings):
                async with _open_link(settings, front=True, subscriptions=[status, event]) as front:
                    results.append(
                        await _check_delivered(front, bridge, command, "the bridge receives the front's commands")
                    )
                    for topic, what in ((status, "status messages"), (event, "events")):  # a separate front needs both
                        results.append(
                            await _check_delivered(bridge, front, topic, f"the front receives the bridge's {what}")
                        )
                results.append(
                    await _check_withheld(bridge, command, status, "the bridge's user cannot publish commands")
                )
                results.append(
                    await _check_withheld(bridge, report, status, "the bridge's user cannot publish reports")
                )
            else:
                results.append(ProbeResult("rules", ok=True, text=_ONE_USER))
    except _NotConnected as error:
        results.append(ProbeResult("connect", ok=False, text=str(error)))
    return results


_ONE_USER = (
    "not tested: without broker.front_username, bridge and front are one user, who may publish commands. "
    "Use this for trials only; set up the two users of mosquitto/acl.services"
)


def _has_front(settings: BrokerSettings) -> bool:
    return settings.front_username is not None and settings.front_username != settings.username


def _user_text(username: str | None) -> str:
    return "without a user name" if username is None else f"as {username}"


async def _connect(settings: BrokerSettings) -> ProbeResult:
    tls = "TLS" if settings.tls else "no TLS"
    async with _open_link(settings) as link:
        text = f"{settings.host}:{settings.port}: MQTT {link.status.protocol}, {tls}, {_user_text(settings.username)}"
    return ProbeResult("connect", ok=True, text=text)


async def _subscribe(settings: BrokerSettings, filters: Sequence[str]) -> ProbeResult:
    try:
        async with _open_link(settings, subscriptions=filters):
            return ProbeResult("subscribe", ok=True, text=f"{' and '.join(filters)} granted")
    except _NotConnected as error:
        return ProbeResult("subscribe", ok=False, text=str(error))


async def _check_delivered(writer: BrokerLink, reader: BrokerLink, topic: str, claim: str) -> ProbeResult:
    try:
        async with asyncio.timeout(DELIVERY_SECONDS):
            await writer.publish(topic, b"")
            await _until_arrived(reader, topic)
    except TimeoutError:
        return ProbeResult("deliver", ok=False, text=f"not true: {claim} ({topic}: accepted, but not delivered)")
    except (BrokerUnavailable, TopicRefused) as error:
        return ProbeResult("deliver", ok=False, text=f"not true: {claim} ({error})")
    return ProbeResult("deliver", ok=True, text=claim)


async def _check_withheld(bridge: BrokerLink, topic: str, marker: str, claim: str) -> ProbeResult:
    """Check that `topic` is not delivered: `marker`, published after it by the same client, arrives after it."""
    refused = False
    try:
        async with asyncio.timeout(DELIVERY_SECONDS):
            try:
                await bridge.publish(topic, b"")
            except TopicRefused:
                refused = True
            await bridge.publish(marker, b"")
            arrived = await _until_arrived(bridge, marker)
    except TimeoutError:
        return ProbeResult("rules", ok=False, text=f"not tested: {claim} (no answer within {DELIVERY_SECONDS:g} s)")
    except (BrokerUnavailable, TopicRefused) as error:
        return ProbeResult("rules", ok=False, text=f"not tested: {claim} ({error})")
    if topic in arrived:
        return ProbeResult("rules", ok=False, text=f"not true: {claim} ({topic} was delivered)")
    return ProbeResult("rules", ok=True, text=f"{claim} ({'refused' if refused else 'accepted, but not delivered'})")


async def _until_arrived(reader: BrokerLink, topic: str) -> list[str]:
    arrived: list[str] = []
    while topic not in arrived:
        messages = await reader.receive(most=100)
        reader.acknowledge(messages)
        arrived += [message.topic for message in messages]
    return arrived


@contextlib.asynccontextmanager
async def _open_link(
    settings: BrokerSettings, *, front: bool = False, subscriptions: Sequence[str] = ()
) -> AsyncIterator[BrokerLink]:
    settings = settings.as_front() if front else settings
    link = BrokerLink(
        settings,
        client_id=f"floor-check-{secrets.token_hex(4)}",  # not the running bridge's: that would take over its session
        durable=False,
        subscriptions=[(topic_filter, 1) for topic_filter in subscriptions],
    )
    running = asyncio.create_task(link.run(), name="broker-probe")
    try:
        await _until_connected(link, f"{settings.host}:{settings.port} {_user_text(settings.username)}")
        yield link
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _until_connected(link: BrokerLink, who: str) -> None:
    status = link.status
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            while not status.connected:
                status = await link.wait_status_change(status)
    except TimeoutError:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(link.status.reason))
        raise _NotConnected(f"{who}: {reason}") from None
