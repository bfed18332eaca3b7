"""Connections keep what people did while they are away, and owe what was not acknowledged."""

from typing import Any

import pytest

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import MAX_STORED_REPORTS, Gateway, Uplink
from device_sim.disturbances.traits import Traits
from device_sim.mqtt.outbox import MAX_QUEUED, DeviceOutbox
from device_sim.reports import ReportMessage
from device_sim.seeded_random import SeededRandom
from device_sim.truth.truth import Truth
from tests.device_sim.sample_plants import START


def device(truth: Truth, **traits: Any) -> SimulatedDevice:
    return SimulatedDevice("D", Traits(**traits), rng=SeededRandom(1, "D"), registers=None, start=START, truth=truth)


def message(kind: str, number: int = 0) -> ReportMessage:
    return ReportMessage(START, "D", kind, f"report/s/a/l/D/{kind}", {"number": number})


@pytest.fixture
def truth() -> Truth:
    return Truth(1, "test", START, START)


def say(uplink: Uplink, who: SimulatedDevice, each: ReportMessage) -> list[Packet]:
    return uplink.submit(who, who.record_report(each, START), each)


def kinds(packets: list[Packet]) -> list[str]:
    return [packet.topic.rpartition("/")[2] for packet in packets]


def test_without_a_connection_actions_wait_and_the_rest_is_superseded(truth: Truth) -> None:
    who, uplink = device(truth), Uplink("D", Traits())
    assert [say(uplink, who, message(kind)) for kind in ("state", "job", "measurement", "andon")] == [[], [], [], []]
    who.boot(START)
    assert kinds(uplink.connect(who, [])) == ["job", "andon"]
    assert [said.fate for said in truth.said] == ["superseded", "on the way", "superseded", "on the way"]


def test_a_device_that_keeps_all_sends_all_after_its_birth_with_the_numbers_of_the_new_boot(truth: Truth) -> None:
    who, uplink = device(truth, keeps="all"), Uplink("D", Traits(keeps="all"))
    say(uplink, who, message("state"))
    who.boot(START + 5)
    birth = message("birth")
    packets = uplink.connect(who, [(who.record_report(birth, START + 5), birth)])
    assert kinds(packets) == ["birth", "state"]
    assert [(said.boot_id, said.seq) for said in (truth.said[1], truth.said[0])] == [(START + 5, 0), (START + 5, 1)]


@pytest.mark.parametrize("keeps", ["actions", "all"])
def test_what_a_device_kept_comes_before_how_things_are(truth: Truth, keeps: Any) -> None:
    """Then the order of its numbers is the order in which things happened."""
    who, uplink = device(truth, keeps=keeps), Uplink("D", Traits(keeps=keeps))
    for kind in ("andon", "measurement", "job"):
        if kind != "measurement" or keeps == "all":
            say(uplink, who, message(kind, 1))
    who.boot(START + 5)
    first = [
        (who.record_report(each, START + 5), each)
        for each in (message("birth"), message("state"), message("inspection"))
    ]
    kept = ["andon", "measurement", "job"] if keeps == "all" else ["andon", "job"]
    assert kinds(uplink.connect(who, first)) == ["birth", *kept, "state", "inspection"]
    assert [said.seq for said in sorted(truth.said, key=lambda said: said.seq or 0)] == list(range(len(kept) + 3))


def test_what_was_not_acknowledged_is_sent_again_with_the_same_bytes(truth: Truth) -> None:
    who, uplink = device(truth), Uplink("D", Traits())
    who.boot(START)
    uplink.connect(who, [])
    (packet,) = say(uplink, who, message("andon"))
    uplink.disconnect([packet])
    who.boot(START + 1)
    assert uplink.connect(who, []) == [packet]


def test_a_power_cut_takes_what_waited(truth: Truth) -> None:
    who, uplink = device(truth), Uplink("D", Traits())
    say(uplink, who, message("andon"))
    uplink.clear_memory()
    assert uplink.connect(who, []) == []
    assert truth.said[0].fate == "no power"


def test_a_device_keeps_so_much_and_drops_the_oldest(truth: Truth) -> None:
    who, uplink = device(truth), Uplink("D", Traits())
    for number in range(MAX_STORED_REPORTS + 5):
        say(uplink, who, message("andon", number))
    assert [said.fate for said in truth.said].count("memory full") == 5
    assert truth.said[0].fate == "memory full"


def test_a_gateway_keeps_the_numbers_that_its_devices_gave(truth: Truth) -> None:
    who, uplink = device(truth), Gateway("_/l", Traits(), "report/s/a/l/_")
    who.boot(7)
    say(uplink, who, message("state"))
    say(uplink, who, message("measurement"))
    uplink.boot(START)
    packets = uplink.connect_gateway()
    assert [packet.topic for packet in packets] == [
        "report/s/a/l/_/birth",
        "report/s/a/l/D/state",
        "report/s/a/l/D/measurement",
    ]
    assert [(said.boot_id, said.seq) for said in truth.said] == [(7, 0), (7, 1)]


async def test_an_outbox_gives_what_is_due_first_and_ends_when_it_is_empty() -> None:
    outbox = DeviceOutbox()
    for due, topic in ((0.2, "late"), (0.0, "first"), (0.1, "second")):
        outbox.put(Packet(None, topic, b""), due)
    outbox.close()
    given = []
    while (entry := await outbox.next()) is not None:
        given.append(entry.packet.topic)
    assert given == ["first", "second", "late"]


async def test_an_outbox_gives_up_what_is_with_the_broker_and_what_was_never_sent_apart() -> None:
    outbox = DeviceOutbox()
    for topic in ("a", "b", "c"):
        outbox.put(Packet(None, topic, b""), 0.0, is_copy=topic == "c")
    await outbox.next()
    current, waiting = outbox.drain()
    assert current is not None
    assert (current.topic, [packet.topic for packet in waiting]) == ("a", ["b"])


def test_an_outbox_is_bounded() -> None:
    outbox = DeviceOutbox()
    for number in range(MAX_QUEUED + 5):
        outbox.put(Packet(None, str(number), b""), float(number))
    _, waiting = outbox.drain()
    assert (len(waiting), waiting[0].topic) == (MAX_QUEUED, "5")
