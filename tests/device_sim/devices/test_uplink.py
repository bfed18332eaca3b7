"""Uplinks buffer people's actions while offline, and resend what was not acknowledged."""

from typing import Any

import pytest

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import MAX_STORED_REPORTS, Gateway, Uplink
from device_sim.disturbances.traits import Traits
from device_sim.reports import ReportMessage
from device_sim.seeded_random import SeededRandom
from device_sim.truth.truth import Truth
from tests.device_sim.sample_plants import START


def build_device(truth: Truth, **traits: Any) -> SimulatedDevice:
    return SimulatedDevice("D", Traits(**traits), rng=SeededRandom(1, "D"), registers=None, start=START, truth=truth)


def message(kind: str, number: int = 0) -> ReportMessage:
    return ReportMessage(START, "D", kind, f"report/s/a/l/D/{kind}", {"number": number})


@pytest.fixture
def truth() -> Truth:
    return Truth(1, "test", START, START)


def submit(uplink: Uplink, sender: SimulatedDevice, report: ReportMessage) -> list[Packet]:
    return uplink.submit(sender, sender.record_report(report, START), report)


def kinds(packets: list[Packet]) -> list[str]:
    return [packet.topic.rpartition("/")[2] for packet in packets]


def test_without_a_connection_actions_wait_and_the_rest_is_superseded(truth: Truth) -> None:
    sender, uplink = build_device(truth), Uplink("D", Traits())
    assert [submit(uplink, sender, message(kind)) for kind in ("state", "job", "measurement", "andon")] == [
        [],
        [],
        [],
        [],
    ]
    sender.boot(START)
    assert kinds(uplink.connect(sender, [])) == ["job", "andon"]
    assert [report.fate for report in truth.said] == ["superseded", "on the way", "superseded", "on the way"]


def test_a_device_that_keeps_all_sends_all_after_its_birth_with_the_numbers_of_the_new_boot(truth: Truth) -> None:
    sender, uplink = build_device(truth, keeps="all"), Uplink("D", Traits(keeps="all"))
    submit(uplink, sender, message("state"))
    sender.boot(START + 5)
    birth = message("birth")
    packets = uplink.connect(sender, [(sender.record_report(birth, START + 5), birth)])
    assert kinds(packets) == ["birth", "state"]
    assert [(report.boot_id, report.seq) for report in (truth.said[1], truth.said[0])] == [
        (START + 5, 0),
        (START + 5, 1),
    ]


@pytest.mark.parametrize("keeps", ["actions", "all"])
def test_what_a_device_kept_comes_before_how_things_are(truth: Truth, keeps: Any) -> None:
    """Then the order of its numbers is the order in which things happened."""
    sender, uplink = build_device(truth, keeps=keeps), Uplink("D", Traits(keeps=keeps))
    for kind in ("andon", "measurement", "job"):
        if kind != "measurement" or keeps == "all":
            submit(uplink, sender, message(kind, 1))
    sender.boot(START + 5)
    first = [
        (sender.record_report(report, START + 5), report)
        for report in (message("birth"), message("state"), message("inspection"))
    ]
    buffered = ["andon", "measurement", "job"] if keeps == "all" else ["andon", "job"]
    assert kinds(uplink.connect(sender, first)) == ["birth", *buffered, "state", "inspection"]
    assert [report.seq for report in sorted(truth.said, key=lambda report: report.seq or 0)] == list(
        range(len(buffered) + 3)
    )


def test_what_was_not_acknowledged_is_sent_again_with_the_same_bytes(truth: Truth) -> None:
    sender, uplink = build_device(truth), Uplink("D", Traits())
    sender.boot(START)
    uplink.connect(sender, [])
    (packet,) = submit(uplink, sender, message("andon"))
    uplink.disconnect([packet])
    sender.boot(START + 1)
    assert uplink.connect(sender, []) == [packet]


def test_a_power_cut_takes_what_waited(truth: Truth) -> None:
    sender, uplink = build_device(truth), Uplink("D", Traits())
    submit(uplink, sender, message("andon"))
    uplink.clear_memory()
    assert uplink.connect(sender, []) == []
    assert truth.said[0].fate == "no power"


def test_a_device_keeps_so_much_and_drops_the_oldest(truth: Truth) -> None:
    sender, uplink = build_device(truth), Uplink("D", Traits())
    for number in range(MAX_STORED_REPORTS + 5):
        submit(uplink, sender, message("andon", number))
    assert [report.fate for report in truth.said].count("memory full") == 5
    assert truth.said[0].fate == "memory full"


def test_a_gateway_keeps_the_numbers_that_its_devices_gave(truth: Truth) -> None:
    sender, uplink = build_device(truth), Gateway("_/l", Traits(), "report/s/a/l/_")
    sender.boot(7)
    submit(uplink, sender, message("state"))
    submit(uplink, sender, message("measurement"))
    uplink.boot(START)
    packets = uplink.connect_gateway()
    assert [packet.topic for packet in packets] == [
        "report/s/a/l/_/birth",
        "report/s/a/l/D/state",
        "report/s/a/l/D/measurement",
    ]
    assert [(report.boot_id, report.seq) for report in truth.said] == [(7, 0), (7, 1)]
