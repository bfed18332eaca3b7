"""`device-sim` against real brokers: it publishes for its duration, disconnects, reconnects, and shows its lamps."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from device_sim.plant.simulated_plant import SimulatedPlant
from tests.device_sim.sample_plants import SHIPPED, START
from tests.support.brokers import RunningBroker, until

DEVICES = set(SimulatedPlant(SHIPPED, seed=1, start=START).devices)
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class ReceivedReports:
    """Reports received from the broker, by device and kind."""

    messages: list[tuple[str, str, Any]] = field(default_factory=list)

    def devices(self, kind: str) -> set[str]:
        return {device for device, reported_kind, _ in self.messages if reported_kind == kind}

    def of(self, device: str, kind: str) -> list[Any]:
        return [body for sender, reported_kind, body in self.messages if (sender, reported_kind) == (device, kind)]


@contextlib.asynccontextmanager
async def listening(
    broker: RunningBroker, root: str = "floor/v1", session: str | None = None
) -> AsyncIterator[ReceivedReports]:
    """Collect every report; in a named session also those sent while it was disconnected."""
    received = ReceivedReports()
    client = aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        protocol=aiomqtt.ProtocolVersion.V311,
        identifier=session,
        clean_session=session is None,
    )
    async with client:
        await client.subscribe(f"{root}/report/#", qos=1)

        async def collect() -> None:
            with contextlib.suppress(aiomqtt.MqttError):  # the broker of some tests goes away
                async for message in client.messages:
                    device, kind = str(message.topic).split("/")[-2:]
                    received.messages.append((device, kind, json.loads(bytes(message.payload))))

        task = asyncio.create_task(collect(), name="collect")
        try:
            yield received
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def device_sim(
    broker: RunningBroker, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "device_sim", *arguments, "--broker", f"127.0.0.1:{broker.port}"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest) -> RunningBroker:
    running: RunningBroker = request.getfixturevalue(request.param)
    return running


async def test_it_publishes_for_the_duration_and_disconnects_cleanly(broker: RunningBroker) -> None:
    """A broker with MQTT 5, and one with 3.1.1 only."""
    async with listening(broker) as received, device_sim(broker, "run", "--scale", "60", "--duration", "3") as process:
        out, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, errors) == (0, b"")
        await until(lambda: received.devices("death") == DEVICES, what="a death of every device")
    assert b"Bagger-1: running" in out
    assert received.devices("birth") == DEVICES
    assert {"state", "counts", "job"} <= {kind for _, kind, _ in received.messages}
    for device in DEVICES:
        bodies = [body for sender, _, body in received.messages if sender == device]
        assert [body["seq"] for body in bodies] == list(range(len(bodies)))
        assert len({body["boot_id"] for body in bodies}) == 1


async def test_a_stop_signal_ends_it_cleanly(mosquitto: RunningBroker) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        async with listening(mosquitto) as received, device_sim(mosquitto, "run", "--quiet") as process:
            await until(lambda received=received: received.devices("state") >= DEVICES - stations(), what="states")  # type: ignore[misc]
            process.send_signal(number)
            out, errors = await asyncio.wait_for(process.communicate(), 15)
            assert (process.returncode, out, errors) == (0, b"", b"")
            await until(lambda received=received: received.devices("death") == DEVICES, what="deaths")  # type: ignore[misc]


async def test_a_killed_simulator_has_its_wills_published(mosquitto: RunningBroker) -> None:
    async with listening(mosquitto) as received, device_sim(mosquitto, "run", "--root", "floor/v1") as process:
        await until(lambda: received.devices("birth") == DEVICES, what="births")
        process.kill()
        await until(lambda: received.devices("death") == DEVICES, what="Wills")
    for device in DEVICES:
        assert received.of(device, "death")[0]["boot_id"] == received.of(device, "birth")[0]["boot_id"]


async def test_the_simulator_reconnects_with_the_broker_and_logs_it_once(mosquitto: RunningBroker) -> None:
    def newer(device: str) -> bool:
        born = [event["boot_id"] for event in after.of(device, "birth")]
        return bool(born) and born[-1] > before.of(device, "birth")[0]["boot_id"]

    async with device_sim(mosquitto, "run", "--scale", "30") as process:
        async with listening(mosquitto, session="ear") as before:
            await until(lambda: before.devices("birth") == DEVICES, what="births")
            mosquitto.stop()  # in order, so that the session survives
        mosquitto.start()
        async with listening(mosquitto, session="ear") as after:
            # a broker that comes back may first hand out the births it had retained
            await until(lambda: all(map(newer, DEVICES)), seconds=20, what="births again")
            lines = await lines_until(process, "the broker is back")
    assert sum("connection to the broker lost" in line for line in lines) == 1


async def test_lamps_are_shown(mosquitto: RunningBroker) -> None:
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as bridge, device_sim(mosquitto, "run") as process:
        lamps = "floor/v1/station/plant1/packing/L1/Andon-L1"
        await bridge.publish(f"{lamps}/material", "sideways", qos=1, retain=True)
        await bridge.publish(f"{lamps}/quality", "open", qos=1, retain=True)
        await lines_until(process, "lamp Andon-L1 quality: open")
        await bridge.publish(f"{lamps}/quality", "acknowledged", qos=1, retain=True)
        lines = await lines_until(process, "lamp Andon-L1 quality: acknowledged")
    assert not any("sideways" in line for line in lines)


async def test_a_manual_press_is_one_report_and_disconnects_no_device(broker: RunningBroker) -> None:
    async with listening(broker, "plant/x") as received, device_sim(broker, "run", "--root", "plant/x", "--quiet"):
        await until(lambda: "Andon-L1" in received.devices("birth"), what="the station")
        options = ("--action", "acknowledge", "--operator", "ann", "--description", "film", "--root", "plant/x")
        async with device_sim(broker, "press", "Andon-L1", "quality", *options) as press:
            out, errors = await asyncio.wait_for(press.communicate(), 15)
        assert (press.returncode, errors) == (0, b"")
        assert out.startswith(b"Andon-L1 (L1): acknowledge quality -> plant/x/report/plant1/packing/L1/Andon-L1/andon")
        wanted = {"action": "acknowledge", "andon_type": "quality", "description": "film", "operator": "ann"}
        await until(lambda: wanted in received.of("Andon-L1", "andon"), what="the press")
        assert received.devices("death") == set()


async def lines_until(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    """Read the output until a line holds `wanted`."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not lines or wanted not in lines[-1]:
            line = await process.stdout.readline()
            assert line, f"it ended without {wanted!r}"
            lines.append(line.decode())
    return lines


def stations() -> set[str]:
    return {station.id for _, station in SHIPPED.stations()}


async def test_a_second_run_refuses_to_start_and_leaves_the_first_undisturbed(broker: RunningBroker) -> None:
    async with listening(broker) as received, device_sim(broker, "run", "--quiet") as first:
        await until(lambda: received.devices("birth") == DEVICES, what="births")
        for _ in range(3):
            async with device_sim(broker, "run", "--duration", "5") as second:
                out, errors = await asyncio.wait_for(second.communicate(), 30)
            assert (second.returncode, out) == (1, b"")
            assert b"another device-sim is running plant1 on the broker at 127.0.0.1" in errors
            assert b"stop it first" in errors
        assert first.returncode is None
        assert received.devices("death") == set()
        assert all(len(received.of(device, "birth")) == 1 for device in DEVICES)


async def test_a_run_whose_output_is_closed_disconnects_cleanly_and_ends(mosquitto: RunningBroker) -> None:
    """`device-sim run | head -1`."""
    async with listening(mosquitto) as received:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", '"$@" | head -1; echo ${PIPESTATUS[0]}', "bash", sys.executable, "-m", "device_sim"),
            *("run", "--scale", "60", "--broker", f"127.0.0.1:{mosquitto.port}"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (len(out.splitlines()), out.splitlines()[-1], errors) == (2, b"0", b"")
        await until(lambda: received.devices("death") == DEVICES, what="goodbyes")


async def test_a_run_may_follow_one_that_was_killed(broker: RunningBroker) -> None:
    async with listening(broker) as received, device_sim(broker, "run", "--quiet") as first:
        await until(lambda: received.devices("birth") == DEVICES, what="births")
        first.kill()
        await first.wait()
        async with device_sim(broker, "run", "--quiet", "--duration", "0.5") as second:
            assert (await asyncio.wait_for(second.communicate(), 30), second.returncode) == ((b"", b""), 0)


async def test_a_second_run_on_another_machine_refuses_too(mosquitto: RunningBroker, tmp_path: Path) -> None:
    """Another machine has another folder for locks: only the broker can help, and no device is pushed out for it."""
    async with listening(mosquitto) as received, device_sim(mosquitto, "run", "--quiet") as first:
        await until(lambda: received.devices("birth") == DEVICES, what="births")
        for _ in range(3):
            async with device_sim(mosquitto, "run", TMPDIR=str(tmp_path)) as second:
                out, errors = await asyncio.wait_for(second.communicate(), 30)
            assert (second.returncode, out) == (1, b"")
            assert b"another device-sim is running plant1" in errors
        assert first.returncode is None
        assert received.devices("death") == set()
