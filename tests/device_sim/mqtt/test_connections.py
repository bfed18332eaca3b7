"""Real connections, before and without a broker: outages in the truth, and what a device loses with its power."""

import pytest

from device_sim.devices.device import SimulatedDevice, build_devices
from device_sim.display.display import NullDisplay
from device_sim.disturbances.traits import Traits
from device_sim.mqtt.broker_access import BrokerAccess
from device_sim.mqtt.connections import MqttConnections
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage
from device_sim.scheduler import Scheduler
from device_sim.truth.truth import Truth
from tests.device_sim.sample_plants import SHIPPED, START

STATION = "Andon-L1"


@pytest.fixture
def truth() -> Truth:
    return Truth(1, "test", START, START)


async def start(truth: Truth) -> tuple[MqttConnections, dict[str, SimulatedDevice]]:
    plant = SimulatedPlant(SHIPPED, seed=1, start=START)
    devices = build_devices(plant, dict.fromkeys(plant.devices, Traits()), truth)
    connections = MqttConnections(
        plant, devices, broker=BrokerAccess(host="127.0.0.1", port=1), display=NullDisplay(),
        scheduler=Scheduler(START), truth=truth, scale=1,
    )  # fmt: skip
    connections.start()
    return connections, devices


async def test_every_device_is_absent_until_its_first_connect(truth: Truth) -> None:
    _, devices = await start(truth)
    assert {(outage.device, outage.why, outage.until) for outage in truth.absences} == {
        (name, "power", None) for name in devices
    }


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_press_that_waits_for_the_connection_is_lost_with_the_power(truth: Truth, *, orderly: bool) -> None:
    connections, devices = await start(truth)
    connections.publish(ReportMessage(START, STATION, "andon", f"report/s/a/l/{STATION}/andon", {}), START)
    before = truth.reports[-1].fate
    connections.power_off(devices[STATION], "power", orderly=orderly)
    assert (before, truth.reports[-1].fate) == ("on the way", "no power")
