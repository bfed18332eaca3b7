"""`device-sim run --disturb` against a real Mosquitto: a subscriber receives what the truth contains."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device_sim import profile
from tests.support.brokers import RunningBroker, mosquitto_broker, running, until
from tests.support.mqtt_consumer import MqttConsumer, mqtt_consumer
from tests.system.test_device_sim import DEVICES, device_sim

ROUGH = """
[[disturbances]]
kind = "link-loss"
mean_minutes_between = 3
seconds = [5, 60]

[[disturbances]]
kind = "power-cut"
devices = ["Tester-3", "Andon-L1"]
mean_minutes_between = 4
seconds = [10, 60]
counters_lost_ratio = 1

[[disturbances]]
kind = "gateway"
lines = ["L2"]
mean_minutes_between = 3
seconds = [10, 60]

[[disturbances]]
kind = "resend"
ratio = 0.2

[[disturbances]]
kind = "reorder"
ratio = 0.1

[[disturbances]]
kind = "malformed"
mean_minutes_between = 3

[[disturbances]]
kind = "glitch"
ratio = 0.2
"""


Truth = dict[str, list[dict[str, Any]]]
Run = tuple[MqttConsumer, Truth, str]


def deaths(received: MqttConsumer) -> set[str]:
    return {topic.split("/")[-2] for topic, _ in received.messages if topic.endswith("/death")}


def reports_of(device: str, consumer: MqttConsumer) -> list[bytes]:
    return [body for topic, body in consumer.messages if f"/{device}/" in topic]


def records(path: Path) -> Truth:
    by_truth: Truth = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        by_truth.setdefault(record["truth"], []).append(record)
    return by_truth


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run ten simulated minutes under a rough profile; return the received messages, the truth, and the output."""
    folder = tmp_path_factory.mktemp("disturbed")
    rough, truth = folder / "rough.toml", folder / "truth.jsonl"
    rough.write_text(ROUGH)
    options = ("--disturb", str(rough), "--truth", str(truth), "--scale", "60", "--duration", "10", "--seed", "5")
    with running(mosquitto_broker(folder)) as broker:
        async with mqtt_consumer(broker, "report") as received, device_sim(broker, "run", *options) as process:
            out, errors = await asyncio.wait_for(process.communicate(), 60)
            assert (process.returncode, errors) == (0, b"")
            await until(lambda: deaths(received) >= DEVICES - {"Maker-2", "Packer-2", "Andon-L2"}, what="deaths")
    return received, records(truth), out.decode()


async def test_the_truth_equals_the_messages_of_a_subscriber(disturbed: Run) -> None:
    received, truth, printed = disturbed
    (run,) = truth["run"]
    assert set(run["devices"]) == DEVICES
    expected: Counter[tuple[str, bytes]] = Counter()
    for row in truth["reports"]:
        if row["payload"]:
            expected[row["payload"].encode().decode(), b""] += 1
    published = [row for row in truth["reports"] if row["fate"] == "published"]
    payloads = {payload for _, payload in received.messages}
    assert published
    assert [row for row in published if row["payload"].encode() not in payloads] == []
    # nothing but reports, extras and the Wills of connections was seen
    mine = {row["payload"].encode() for row in truth["reports"]} | {
        extra["payload"].encode(errors="replace") for extra in truth["extras"]
    }
    foreign = [(topic, body) for topic, body in received.messages if body not in mine and not topic.endswith("/death")]
    assert [message for message in foreign if b"\xff" not in message[1] and "/_/" not in message[0]] == []
    assert not received.retained
    # the disturbances were there
    assert any(count > 1 for count in Counter(received.messages).values())
    assert {record["what"] for record in truth["registers"]} >= {"glitch", "power"}
    assert {record["why"] for record in truth["absences"]} >= {"link", "power", "gateway"}
    assert "connection lost" in printed
    assert "power cut" in printed


async def test_connections_that_die_leave_their_will(disturbed: Run) -> None:
    """A Will, not published by the device: with the boot_id of the connection, before the next birth."""
    received, truth, _ = disturbed
    deaths = {record["payload"].encode() for record in truth["reports"] if record["kind"] == "death"}
    wills = [(topic, body) for topic, body in received.messages if topic.endswith("/death") and body not in deaths]
    assert wills
    born: dict[str, int] = {}
    for topic, body in received.messages:
        device, kind = topic.split("/")[-2:]
        if kind == "birth" and body.startswith(b"{"):
            born[device] = json.loads(body)["boot_id"]
        elif (topic, body) in wills and device != "_":
            assert json.loads(body)["boot_id"] == born[device]


async def test_leftovers_are_retained_before_the_run(mosquitto: RunningBroker, tmp_path: Path) -> None:
    left = tmp_path / "left.toml"
    left.write_text('[[disturbances]]\nkind = "leftovers"\ndevices = ["Bagger-1", "Andon-L1"]\n')
    async with device_sim(mosquitto, "leave", "--disturb", str(left)) as process:
        out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, errors, out) == (0, b"", b"6 retained leftovers published\n")
    async with mqtt_consumer(mosquitto, "report") as received:
        await until(lambda: len(received.retained) == 6, what="leftovers")


@pytest.mark.parametrize(
    ("disturbance", "cut", "printed"),
    [
        ('kind = "bridge-cut"', ("bridge", "crash"), "bridge: power cut"),
        ('kind = "bridge-cut"\nhow = "stop"', ("bridge", "stop"), "bridge: stopped"),
        ('kind = "broker-cut"', ("broker", "link"), "broker: power cut"),
        ('kind = "bridge-link-loss"', ("network", "silent"), "bridge: connection to the broker silent"),
        ('kind = "bridge-link-loss"\nhow = "reset"', ("network", "reset"), "bridge: connection to the broker reset"),
    ],
)
async def test_an_outage_that_the_simulator_cannot_play_is_announced(
    mosquitto: RunningBroker, tmp_path: Path, disturbance: str, cut: tuple[str, str], printed: str
) -> None:
    rough, cuts = tmp_path / "cuts.toml", tmp_path / "cuts"
    rough.write_text(f"[[disturbances]]\n{disturbance}\nfirst_minutes = 0.5\nevery_minutes = 2\nseconds = [30, 30]\n")
    options = ("--disturb", str(rough), "--cuts", str(cuts), "--scale", "60", "--duration", "2")
    async with device_sim(mosquitto, "run", *options) as process:
        out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, errors) == (0, b"")
    announced = [json.loads(line) for line in cuts.read_text().splitlines()]
    assert announced[0] == {"part": cut[0], "how": cut[1], "seconds": 0.5, "forgets": False}
    assert f"{printed} for 0.5 s" in out.decode()


async def test_a_short_sequence_wraps_on_a_real_connection(mosquitto: RunningBroker, tmp_path: Path) -> None:
    short = tmp_path / "short.toml"
    short.write_text('[[disturbances]]\nkind = "short-seq"\ndevices = ["Bagger-1"]\nbits = 8\n')
    options = ("--disturb", str(short), "--scale", "900", "--quiet")
    async with mqtt_consumer(mosquitto, "report") as consumer, device_sim(mosquitto, "run", *options):
        # not for a duration: how many reports fit into one depends on the machine
        await until(lambda: len(reports_of("Bagger-1", consumer)) > 256 + 10, seconds=60, what="a wrapped sequence")
        numbers = [json.loads(body)["seq"] for body in reports_of("Bagger-1", consumer)]
    assert numbers == [number % 256 for number in range(len(numbers))]


@pytest.mark.parametrize("name", profile.NAMES)
async def test_every_named_profile_runs(mosquitto: RunningBroker, name: str) -> None:
    options = ("--disturb", name, "--scale", "600", "--duration", "4", "--quiet")
    async with device_sim(mosquitto, "run", *options) as process:
        assert (await asyncio.wait_for(process.communicate(), 60), process.returncode) == ((b"", b""), 0)
