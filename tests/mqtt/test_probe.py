"""The probe of the broker's rules: the rules that ship pass, and each way to break them fails the check it concerns."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.domain.place import Place
from bridge.mqtt.probe import probe_broker
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult, ProbeUnfinished
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import RunningBroker, client_settings, free_port, running
from tests.support.shipped_mosquitto import SHIPPED, ShippedMosquitto, shipped_mosquitto

ROOT = "floor/v1"
READS = ("report/#", "command/#")
CONNECT, OWN, REPORT, COMMAND = ProbeCheck.CONNECT, ProbeCheck.OWN_RIGHTS, ProbeCheck.REPORT, ProbeCheck.COMMAND
OVER, PUBLISH, READ = ProbeCheck.OVER_RIGHTS, ProbeCheck.STRANGER_PUBLISH, ProbeCheck.STRANGER_READ
CANARY = ProbeCheck.CANARY


async def probed(settings: BrokerSettings, *, root: str = ROOT, places: Sequence[Place] = ()) -> list[ProbeResult]:
    return await probe_broker(
        settings, root=root, stream="main", new_canary=lambda: b"0123456789abcdef", reads=READS, places=places
    )


def texts(results: list[ProbeResult], outcome: Outcome) -> list[str]:
    return [result.text for result in results if result.outcome is outcome]


def failed(results: list[ProbeResult]) -> set[ProbeCheck]:
    return {result.check for result in results if result.outcome is Outcome.FAILED}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.DELIVERY_SECONDS", 0.5)
    monkeypatch.setattr("bridge.mqtt.probe.REPEAT_SECONDS", 0.0)


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[ShippedMosquitto]:
    mosquitto = shipped_mosquitto(tmp_path)
    with running(mosquitto.broker):
        yield mosquitto


def all_users(shipped: ShippedMosquitto, **more: object) -> BrokerSettings:
    return shipped.settings(**(shipped.users() | more))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_rules_that_ship_pass_every_check(shipped: ShippedMosquitto, protocol: str) -> None:
    results = await probed(all_users(shipped, protocol=protocol))
    assert {result.outcome for result in results} == {Outcome.PASSED}, texts(results, Outcome.FAILED)
    assert {result.check for result in results} == set(ProbeCheck)
    assert f"as bridge: MQTT {protocol}, TLS" in results[0].text
    refused = [text for text in texts(results, Outcome.PASSED) if text.endswith("is refused (Not authorized)")]
    assert len(refused) == 2, "nobody without a user name, on both listeners"


FILES = {"cert": "crt", "key": "key"}
ONLY_ITS_OWN = "pattern write floor/v1/report/%u/#"
FRONT_READS_EVENTS = "user front\ntopic write floor/v1/command/#\ntopic read floor/v1/event/#"
RULES = {
    "the bridge may not read reports": ("services", "topic read floor/v1/report/#\n", "", {REPORT}),
    "the bridge may not read commands": ("services", "topic read floor/v1/command/#\n", "", {COMMAND}),
    "the front may not publish commands": ("services", "topic write floor/v1/command/#\n", "", {COMMAND}),
    "no rules for services": ("services", None, "", {OWN, REPORT, COMMAND}),
    "no rules for devices": ("devices", None, "", {REPORT}),
    "the bridge may not read its events": (
        *("services", "topic readwrite floor/v1/event/#", "topic write floor/v1/event/#", {OWN}),
    ),
    "the bridge may not read its lamps": (
        *("services", "topic readwrite floor/v1/station/#", "topic write floor/v1/station/#", {OWN}),
    ),
    "the front may not read events": (
        *("services", FRONT_READS_EVENTS, FRONT_READS_EVENTS.replace("topic read floor/v1/event/#", ""), {OWN}),
    ),
    "the front may not read the status": (
        *("services", FRONT_READS_EVENTS + "\ntopic read floor/v1/bridge/#", FRONT_READS_EVENTS, {OWN}),
    ),
    "the bridge may publish commands": (
        *("services", "topic read floor/v1/command/#", "topic readwrite floor/v1/command/#", {OVER}),
    ),
    "the bridge may publish reports": (
        *("services", "topic read floor/v1/report/#", "topic readwrite floor/v1/report/#", {OVER}),
    ),
    "devices may do everything": ("devices", ONLY_ITS_OWN, "pattern readwrite #", {PUBLISH, READ}),
    "devices may report for others": ("devices", ONLY_ITS_OWN, "pattern write floor/v1/report/#", {PUBLISH}),
    "devices may publish events": (
        "devices",
        ONLY_ITS_OWN,
        f"{ONLY_ITS_OWN}\npattern write floor/v1/event/#",
        {PUBLISH},
    ),
    "devices may read events": ("devices", ONLY_ITS_OWN, f"{ONLY_ITS_OWN}\npattern read floor/v1/event/#", {READ}),
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("name", RULES)
async def test_broken_rules_fail_what_they_concern(shipped: ShippedMosquitto, name: str, protocol: str) -> None:
    file, old, new, expected = RULES[name]
    shipped.change(f"acl.{file}", old, new)
    results = await probed(all_users(shipped, protocol=protocol))
    assert failed(results) == expected, [result for result in results if result.outcome is not Outcome.PASSED]


PLACES = [Place(site, "A1", f"{site}-L{line}", "PLC1") for site in ("plant1", "plant2") for line in range(8)]
AT = Place("plant2", "A1", "plant2-L7", "PLC1")  # one of them
AT_REAL_PLACES = {
    "a site, with all its branches": ("readwrite floor/v1/+/plant2/#", {PUBLISH, READ}),
    "reports of a site": ("readwrite floor/v1/report/plant2/#", {PUBLISH, READ}),
    "commands of a site": ("readwrite floor/v1/command/plant2/#", {PUBLISH, READ}),
    "events of a site": ("readwrite floor/v1/event/plant2/#", {PUBLISH, READ}),
    "reports of a machine": ("write floor/v1/report/plant2/A1/plant2-L7/PLC1/#", {PUBLISH}),
    "commands to a machine": ("write floor/v1/command/plant2/A1/plant2-L7/PLC1/#", {PUBLISH}),
    "to publish events of a line": ("write floor/v1/event/plant2/A1/plant2-L7/#", {PUBLISH}),
    "to read events of a line": ("read floor/v1/event/plant2/A1/plant2-L7/#", {READ}),
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("name", AT_REAL_PLACES)
async def test_rules_that_give_strangers_places_of_the_plant_alone_are_found(
    shipped: ShippedMosquitto, name: str, protocol: str
) -> None:
    """Nobody sends anything else meanwhile."""
    rule, expected = AT_REAL_PLACES[name]
    shipped.change("acl.devices", ONLY_ITS_OWN, f"{ONLY_ITS_OWN}\npattern {rule}")
    results = await probed(all_users(shipped, protocol=protocol), places=PLACES)
    assert failed(results) == expected, [result for result in results if result.outcome is not Outcome.PASSED]
    for result in results:
        if result.outcome is Outcome.FAILED:
            assert AT in result.places
            assert all(place.site == "plant2" for place in result.places)
            assert result.text.endswith(f" at {'/'.join(result.places[0].levels())}")


async def test_the_rules_that_ship_pass_at_places_of_the_plant_too(shipped: ShippedMosquitto) -> None:
    results = await probed(all_users(shipped), places=PLACES)
    assert {result.outcome for result in results} == {Outcome.PASSED}, texts(results, Outcome.FAILED)
    tried = [text for text in texts(results, Outcome.PASSED) if text.endswith(", nor at 16 places of the plant")]
    assert len(tried) == 2, "to publish and to read"


async def test_a_broker_without_rules_fails_what_strangers_may(shipped: ShippedMosquitto) -> None:
    shipped.change("mosquitto.conf", "acl_file ", "#acl_file ")
    assert failed(await probed(all_users(shipped))) == {OVER, PUBLISH, READ}


@pytest.mark.parametrize("listener", ["devices", "services"])
async def test_an_open_listener_fails_what_strangers_may(shipped: ShippedMosquitto, listener: str) -> None:
    path = shipped.folder / "config" / "mosquitto.conf"
    before, _, after = path.read_text().partition(f"\nlistener {shipped.ports[listener]}\n")
    after = after.replace("allow_anonymous false", "allow_anonymous true", 1)
    after = after.replace("use_username_as_clientid true", "", 1)  # else it refuses who has no user name
    path.write_text(f"{before}\nlistener {shipped.ports[listener]}\n{after}")
    shipped.restart()
    assert failed(await probed(all_users(shipped))) == set(), "who has no rights does no harm"
    shipped.change(f"acl.{listener}", "# ACL", "topic readwrite #\n# ACL")
    results = await probed(all_users(shipped))
    assert failed(results) == {PUBLISH, READ}
    who = f"a client without a user name (port {shipped.ports[listener]})"
    assert texts(results, Outcome.FAILED) == [
        f"{who} may publish reports and commands and events", f"{who} may read reports and commands and events",
    ]  # fmt: skip


async def test_another_root_than_that_of_the_rules_is_found(shipped: ShippedMosquitto) -> None:
    results = await probed(all_users(shipped, protocol="3.1.1"), root="other")
    assert failed(results) == {OWN, REPORT, COMMAND}
    assert any("accepted, but not delivered" in text for text in texts(results, Outcome.FAILED))
    assert {result.check for result in results if result.outcome is Outcome.UNTESTED} == {OVER, PUBLISH, READ}


@pytest.mark.parametrize("user", ["bridge", "front", "canary"])
async def test_a_wrong_password_is_named_by_its_user(shipped: ShippedMosquitto, user: str) -> None:
    name = {"bridge": "password", "front": "front_password", "canary": "canary_password"}[user]
    results = await probed(all_users(shipped).model_copy(update={name: SecretStr("wrong")}))
    assert failed(results) == {CANARY if user == "canary" else CONNECT}
    (text,) = texts(results, Outcome.FAILED)
    assert re.search(rf"as _?{user}: Not authorized$", text)
    assert "wrong" not in str(results)


def certified(shipped: ShippedMosquitto, user: str) -> None:
    """Make a certificate for a user."""
    subprocess.run([SHIPPED / "make-dev-certs.sh", shipped.secrets, user], check=True, capture_output=True)


async def test_the_canary_may_have_a_certificate_on_the_port_that_asks_for_one(shipped: ShippedMosquitto) -> None:
    certified(shipped, "_canary")
    identity = {f"canary_{kind}_file": shipped.secrets / f"client._canary.{ending}" for kind, ending in FILES.items()}
    results = await probed(
        all_users(shipped, canary_password=None, canary_port=shipped.ports["certificates"], **identity)
    )
    assert {result.outcome for result in results} == {Outcome.PASSED}, texts(results, Outcome.FAILED)
    refused = [text for text in texts(results, Outcome.PASSED) if " is refused (" in text]
    assert len(refused) == 2
    assert "Not authorized" not in refused[1], "it comes no further than TLS"


async def test_without_a_canary_reports_are_not_tested_and_that_fails(shipped: ShippedMosquitto) -> None:
    settings = all_users(shipped).model_copy(update={"canary_username": None, "canary_password": None})
    results = await probed(settings)
    assert failed(results) == {CANARY}
    assert texts(results, Outcome.FAILED) == ["broker.canary_username is not set: whether reports arrive is not tested"]
    assert all(result.check is not REPORT for result in results)
    assert {result.check for result in results if result.outcome is Outcome.PASSED} >= {OWN, COMMAND, OVER, PUBLISH}


async def test_with_one_user_for_bridge_and_front_its_rights_are_not_tested(shipped: ShippedMosquitto) -> None:
    shipped.change("acl.services", "topic read floor/v1/command/#", "topic readwrite floor/v1/command/#")
    settings = all_users(shipped).model_copy(update={"front_username": None})
    results = await probed(settings)
    assert failed(results) == set()
    assert [result.check for result in results if result.outcome is Outcome.UNTESTED] == [OVER]


async def test_an_open_broker_fails_by_itself_and_passes_as_a_trial(mosquitto: RunningBroker) -> None:
    strict = await probed(client_settings(mosquitto))
    assert failed(strict) == {CANARY, PUBLISH, READ}
    trial = await probed(client_settings(mosquitto, probe="open"))
    assert failed(trial) == set()
    assert {result.check for result in trial if result.outcome is Outcome.PASSED} >= {CONNECT, OWN, REPORT, COMMAND}
    assert "without a user name: MQTT 5, no TLS" in trial[0].text
    assert "for trials only" in trial[-1].text


async def test_an_absent_broker_gives_no_verdict() -> None:
    with pytest.raises(ProbeUnfinished, match="refused"):
        await probed(BrokerSettings(port=free_port()))


@pytest.mark.parametrize("rules", ["as they ship", "anyone may anything"])
async def test_the_probe_leaves_nothing_in_the_broker(shipped: ShippedMosquitto, rules: str) -> None:
    if rules != "as they ship":
        shipped.change("acl.devices", ONLY_ITS_OWN, "pattern readwrite #")
    results = await probed(all_users(shipped), places=PLACES)
    assert failed(results) == (set() if rules == "as they ship" else {PUBLISH, READ})
    shipped.broker.stop()
    stored = (shipped.folder / "data" / "mosquitto.db").read_bytes()
    assert b"_probe" not in stored
    assert b"_canary" not in stored
