"""The outbox of a connection: packets in order of due time, within a bound."""

from device_sim.devices.device import Packet
from device_sim.mqtt.outbox import MAX_QUEUED, DeviceOutbox


async def test_an_outbox_gives_what_is_due_first_and_ends_when_it_is_empty() -> None:
    outbox = DeviceOutbox()
    for due, topic in ((0.2, "late"), (0.0, "first"), (0.1, "second")):
        outbox.put(Packet(None, topic, b""), due)
    outbox.close()
    topics = []
    while (entry := await outbox.next()) is not None:
        topics.append(entry.packet.topic)
    assert topics == ["first", "second", "late"]


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
