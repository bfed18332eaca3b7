"""`floor check` asks the broker by delivering: open brokers, guarded ones, and ones with broken rules."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.mqtt.probe import ProbeResult, probe_broker
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import RunningBroker, client_settings, free_port, running
from tests.support.shipped_mosquitto import ShippedMosquitto, shipped_mosquitto

ROOT = "floor/v1"
READS = ("report/#", "command/#")


def texts(findings: list[ProbeResult], ok: bool) -> list[str]:  # noqa: FBT001 - a filter of the two halves
    return [finding.text for finding in findings if finding.ok is ok]


async def test_an_open_broker_passes_and_is_called_open(mosquitto: RunningBroker) -> None:
    findings = await probe_broker(client_settings(mosquitto), root=ROOT, reads=READS)
    assert texts(findings, False) == []
    assert "MQTT 5, no TLS, without a user name" in findings[0].text
    assert any("one user" in text for text in texts(findings, True))


async def test_the_probe_reports_the_protocol(nats: RunningBroker) -> None:
    findings = await probe_broker(client_settings(nats), root=ROOT, reads=READS)
    assert texts(findings, False) == []
    assert "MQTT 3.1.1" in findings[0].text


async def test_an_absent_broker_is_one_finding_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.CONNECT_SECONDS", 0.5)
    (finding,) = await probe_broker(BrokerSettings(port=free_port()), root=ROOT, reads=READS)
    assert (finding.name, finding.ok) == ("connect", False)
    assert "refused" in finding.text


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[ShippedMosquitto]:
    mosquitto = shipped_mosquitto(tmp_path)
    with running(mosquitto.broker):
        yield mosquitto


def two_users(shipped: ShippedMosquitto, *, protocol: str = "auto") -> BrokerSettings:
    passwords = {name: SecretStr(shipped.password(name)) for name in ("bridge", "front")}
    return shipped.settings(
        username="bridge",
        password=passwords["bridge"],
        front_username="front",
        front_password=passwords["front"],
        protocol=protocol,
    )


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_shipped_rules_pass_every_question(shipped: ShippedMosquitto, protocol: str) -> None:
    findings = await probe_broker(two_users(shipped, protocol=protocol), root=ROOT, reads=READS)
    assert texts(findings, False) == []
    assert len(findings) == 10
    assert f"MQTT {protocol}, TLS, as bridge" in findings[0].text


async def test_another_root_than_the_rules_know_is_found_out(
    shipped: ShippedMosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.DELIVERY_SECONDS", 0.5)
    failed = texts(await probe_broker(two_users(shipped, protocol="3.1.1"), root="other", reads=READS), False)
    assert any("accepted, but not delivered" in text for text in failed)


async def test_rules_that_let_the_bridge_write_commands_are_found_out(shipped: ShippedMosquitto) -> None:
    rules = shipped.folder / "config" / "acl.services"
    rules.write_text(rules.read_text().replace("topic read floor/v1/command/#", "topic readwrite floor/v1/command/#"))
    shipped.broker.stop()
    shipped.broker.start()
    failed = texts(await probe_broker(two_users(shipped), root=ROOT, reads=READS), False)
    assert len(failed) == 1
    assert "cannot publish commands" in failed[0]


@pytest.mark.parametrize(("place", "messages"), [("event", "events"), ("station", "lamp states")])
async def test_rules_that_keep_the_bridge_from_reading_what_it_retains_are_found_out(
    shipped: ShippedMosquitto, monkeypatch: pytest.MonkeyPatch, place: str, messages: str
) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.DELIVERY_SECONDS", 0.5)
    rules = shipped.folder / "config" / "acl.services"
    topic = f"floor/v1/{place}/#"
    rules.write_text(rules.read_text().replace(f"topic readwrite {topic}", f"topic write {topic}"))
    shipped.broker.stop()
    shipped.broker.start()
    (failed,) = texts(await probe_broker(two_users(shipped), root=ROOT, reads=READS), False)
    assert f"can publish {messages} and receive them back" in failed


@pytest.mark.parametrize(("place", "messages"), [("event", "events"), ("bridge", "status messages")])
async def test_rules_that_keep_a_front_from_hearing_the_pipeline_are_found_out(
    shipped: ShippedMosquitto, monkeypatch: pytest.MonkeyPatch, place: str, messages: str
) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.DELIVERY_SECONDS", 0.5)
    rules = shipped.folder / "config" / "acl.services"
    rules.write_text(rules.read_text().replace(f"topic read floor/v1/{place}/#\n", ""))
    shipped.broker.stop()
    shipped.broker.start()
    (failed,) = texts(await probe_broker(two_users(shipped), root=ROOT, reads=READS), False)
    assert f"the front receives the bridge's {messages}" in failed


async def test_a_wrong_password_of_the_front_is_named(
    shipped: ShippedMosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.CONNECT_SECONDS", 0.5)
    settings = two_users(shipped).model_copy(update={"front_password": SecretStr("wrong")})
    findings = await probe_broker(settings, root=ROOT, reads=READS)
    assert [finding.ok for finding in findings] == [True, True, True, True, True, False]
    assert "as front: Not authorized" in findings[-1].text
    assert "wrong" not in str(findings)
