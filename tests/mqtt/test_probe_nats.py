"""The probe with NATS, which speaks MQTT 3.1.1 only and confirms a publication that it discards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.place import Place
from bridge.mqtt.probe import probe_broker
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import RunningBroker, client_settings, nats_broker, running
from tests.support.command_line import ROOT

PLACES = [Place(site, "A1", f"{site}-L{line}", "PLC1") for site in ("plant1", "plant2") for line in range(8)]
READS = ("report/#", "command/#")
USERS = (ROOT / "docs" / "examples" / "nats-users.conf").read_text()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningBroker]:
    broker = nats_broker(tmp_path, more=USERS)
    with running(broker):
        yield broker


def users(broker: RunningBroker) -> BrokerSettings:
    names = {"username": "bridge", "front_username": "front", "canary_username": "_canary"}
    passwords = {f"{user}password": f"change-{user or 'bridge_'}"[:-1] for user in ("", "front_", "canary_")}
    return client_settings(broker, **names, **passwords)


async def probed(settings: BrokerSettings) -> list[ProbeResult]:
    return await probe_broker(
        settings, root="floor/v1", stream="main", new_canary=lambda: b"1", reads=READS, places=PLACES
    )


async def test_a_guarded_server_passes_every_check(guarded: RunningBroker) -> None:
    results = await probed(users(guarded))
    assert {result.outcome for result in results} == {Outcome.PASSED}, results
    assert {result.check for result in results} == set(ProbeCheck)
    assert "MQTT 3.1.1" in results[0].text


async def test_an_open_server_fails_by_itself_and_passes_as_a_trial(nats: RunningBroker) -> None:
    strict = await probed(client_settings(nats, canary_username="_canary"))
    failed = {result.check for result in strict if result.outcome is Outcome.FAILED}
    assert failed == {ProbeCheck.STRANGER_PUBLISH, ProbeCheck.STRANGER_READ}
    trial = await probed(client_settings(nats, probe="open"))
    assert not [result for result in trial if result.outcome is Outcome.FAILED]


@pytest.mark.parametrize("branch", ["report", "command", "event"])
async def test_a_right_at_a_site_of_the_plant_alone_is_found(tmp_path: Path, branch: str) -> None:
    own = '"floor.v1.report._canary.>"'
    assert own in USERS
    broker = nats_broker(tmp_path, more=USERS.replace(own, f'{own}, "floor.v1.{branch}.plant2.>"'))
    with running(broker):
        results = await probed(users(broker))
    (failed,) = [result for result in results if result.outcome is Outcome.FAILED]
    assert failed.check is ProbeCheck.STRANGER_PUBLISH
    assert {place.site for place in failed.places} == {"plant2"}


async def test_a_right_to_read_the_events_of_a_site_is_found(tmp_path: Path) -> None:
    nothing = 'subscribe: { deny: [">"] }'
    assert nothing in USERS
    rights = 'subscribe: { allow: ["floor.v1.event.plant2", "floor.v1.event.plant2.>", "$MQTT.sub.>"] }'
    broker = nats_broker(tmp_path, more=USERS.replace(nothing, rights))
    with running(broker):
        results = await probed(users(broker))
    (failed,) = [result for result in results if result.outcome is Outcome.FAILED]
    assert failed.check is ProbeCheck.STRANGER_READ
    assert {place.site for place in failed.places} == {"plant2"}
