"""Users of the shipped Mosquitto configuration, and checks of their refusals."""

import pytest

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable, PublishRefused
from tests.support.brokers import started, until
from tests.support.shipped_mosquitto import (
    ShippedMosquitto,
)
from tests.support.tcp_proxy import TcpProxy

NOT_AUTHORIZED = 0x87


def through(proxy: TcpProxy | None) -> dict[str, object]:
    return {} if proxy is None else {"port": proxy.port}


def cut(proxy: TcpProxy) -> None:
    """Cut the cable: no way back either."""
    proxy.refusing = True
    proxy.cut()


def user(
    shipped: ShippedMosquitto,
    name: str,
    *subscriptions: str,
    listener: str | None = None,
    client_id: str | None = None,
    durable: bool = False,
    will: Publication | None = None,
    proxy: TcpProxy | None = None,
) -> BrokerLink:
    """Return a link for a user on its own listener, unless another is given, through the proxy `proxy`."""
    own_door = "services" if name in ("bridge", "front", "simulator") else "devices"
    return BrokerLink(
        shipped.settings(listener or own_door, username=name, password=shipped.password(name), **through(proxy)),
        client_id=client_id or f"test-{name}",
        durable=durable,
        subscriptions=[(subscription, 1) for subscription in subscriptions],
        will=will,
    )


async def assert_refused(link: BrokerLink, topic: str) -> None:
    with pytest.raises(PublishRefused) as refused:
        await link.publish(topic, b"{}")
    assert refused.value.reason_code == NOT_AUTHORIZED, topic


async def assert_connection_refused(link: BrokerLink, reason: str) -> None:
    async with started(link):
        await until(lambda: reason in str(link.status.reason), what=f"{reason!r}; {link.status.reason}")
        assert link.status.generation == 0


async def assert_never_up(link: BrokerLink) -> None:
    async with started(link):
        first = await link.wait_status_change(link.status)
        assert not first.connected
        with pytest.raises(BrokerUnavailable):
            await link.publish("a", b"")
