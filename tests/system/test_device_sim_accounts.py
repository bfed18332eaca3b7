"""`device-sim` through the doors of the Mosquitto that ships: each device with its own account, or one for all."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest

from device_sim.plant.simulated_plant import SimulatedPlant
from tests.device_sim.sample_plants import SHIPPED, START
from tests.support.brokers import running, until
from tests.support.shipped_mosquitto import SHIPPED as SCRIPTS
from tests.support.shipped_mosquitto import ShippedMosquitto, shipped_mosquitto

PLANT = SimulatedPlant(SHIPPED, seed=1, start=START)
IDENTITIES = {PLANT.identity(device) for device in PLANT.devices}
GATEWAY = SHIPPED.identity(SHIPPED.lines[0], None)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedMosquitto]:
    mosquitto = shipped_mosquitto(tmp_path_factory.mktemp("accounts"))
    subprocess.run([SCRIPTS / "make-passwords.sh", mosquitto.secrets, *sorted(IDENTITIES), GATEWAY], check=True)
    mosquitto.broker.port = mosquitto.ports["loopback"]  # the last door to open: when it is, all are
    with running(mosquitto.broker):
        yield mosquitto


@contextlib.asynccontextmanager
async def born(shipped: ShippedMosquitto) -> AsyncIterator[set[str]]:
    """Collect, as the bridge, the places whose birth arrived."""
    places: set[str] = set()
    account = {"username": "bridge", "password": shipped.password("bridge")}
    async with aiomqtt.Client("127.0.0.1", shipped.ports["loopback"], **account) as client:  # type: ignore[arg-type]
        await client.subscribe("floor/v1/report/#", qos=1)

        async def collect() -> None:
            async for message in client.messages:
                json.loads(bytes(message.payload))
                levels = str(message.topic).split("/")
                if levels[-1] == "birth":
                    places.add("/".join(levels[3:-1]))

        task = asyncio.create_task(collect(), name="collect")
        try:
            yield places
        finally:
            task.cancel()


async def run(shipped: ShippedMosquitto, door: str, *arguments: str) -> tuple[int | None, str]:
    address = f"127.0.0.1:{shipped.ports[door]}"
    tls = () if door == "loopback" else ("--ca-file", str(shipped.secrets / "ca.crt"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "device_sim", "run", "--quiet", "--duration", "1.5", "--broker", address),
        *(*tls, *arguments),
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, errors.decode()


async def test_each_device_comes_in_with_its_own_account_over_tls(shipped: ShippedMosquitto) -> None:
    async with born(shipped) as places:
        assert await run(shipped, "devices", "--credentials", str(shipped.secrets)) == (0, "")
        await until(lambda: places == IDENTITIES, what="births")


async def test_a_gateway_comes_in_with_the_account_of_its_line(shipped: ShippedMosquitto, tmp_path: Path) -> None:
    """It needs no account of a device: the broker's rules let it publish for all machines of its line."""
    behind = {identity for identity in IDENTITIES if identity.startswith(f"{GATEWAY}/")}
    passwords = tmp_path / "passwords"
    passwords.write_text(
        "".join(f"{identity}:{shipped.password(identity)}\n" for identity in sorted({*IDENTITIES, GATEWAY} - behind))
    )
    disturbed = tmp_path / "gateway.toml"
    disturbed.write_text('[[disturbances]]\nkind = "gateway"\nlines = ["L1"]\nmean_minutes_between = 1000\n')
    async with born(shipped) as places:
        arguments = ("--credentials", str(passwords), "--disturb", str(disturbed))
        assert await run(shipped, "devices", *arguments) == (0, "")
        await until(lambda: places == {*IDENTITIES, f"{GATEWAY}/_"}, what="births")


async def test_all_devices_come_in_as_the_simulator(shipped: ShippedMosquitto) -> None:
    account = ("--username", "simulator", "--password-file", str(shipped.secrets / "password.simulator"))
    for door in ("services", "loopback"):
        async with born(shipped) as places:
            assert await run(shipped, door, *account) == (0, "")
            await until(lambda places=places: places == IDENTITIES, what=f"births by {door}")  # type: ignore[misc]


async def test_without_an_account_the_way_out_is_named(shipped: ShippedMosquitto) -> None:
    code, errors = await run(shipped, "loopback")
    assert code == 1
    assert "rejects plant1/packing/L1/Basket-Loader-1" in errors
    assert "--username and --password-file" in errors
